#pragma once

#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "backends/backends.h"
#include "collector/api/api.h"
#include "core/agent.h"

namespace fleetledger::test {

inline constexpr const char* kOperatorToken = "operator-token-0123456789";
inline constexpr const char* kMetricsToken = "metrics-token-0123456789";

inline WallTime at_ms(std::int64_t ms) { return WallTime{std::chrono::milliseconds{ms}}; }

/// Of which nothing can be read.
class BrokenStore final : public LedgerStore {
 public:
  explicit BrokenStore(Error::Kind kind) : error_{"read ledger: broken", kind} {}

  Result<LedgerStanding> append(const LedgerKey&, const AgentTick&) override { return fail(error_); }
  Result<LedgerSummary> summary(const LedgerKey&, WallTime) override { return fail(error_); }
  Result<std::vector<Sample>> recent_samples(const LedgerKey&, const SampleQuery&) override { return fail(error_); }
  Result<std::vector<SourceTrend>> trend(const LedgerKey&, const TrendQuery&) override { return fail(error_); }
  Result<std::int64_t> sample_count(const LedgerKey&) override { return fail(error_); }
  Result<std::optional<WallTime>> newest_sample(const LedgerKey&) override { return fail(error_); }
  Result<std::int64_t> prune_older_than(const LedgerKey&, WallTime) override { return fail(error_); }
  Result<RateLimitReport> rate_limit_report(const LedgerKey&, WallTime) override { return fail(error_); }
  Result<std::optional<RateLimitEvent>> rate_limit_event(const LedgerKey&, const std::string&) override {
    return fail(error_);
  }
  Result<Activity> activity(const LedgerKey&, WallTime, WallTime) override { return fail(error_); }
  Result<ReadMarks> read_marks(const LedgerKey&) override { return fail(error_); }
  Result<EventsElsewhere> events_elsewhere(const LedgerKey&, const std::optional<ReadMark>&) override {
    return fail(error_);
  }
  [[nodiscard]] LedgerStanding standing(const LedgerKey&, WallTime) override { return {.place = "broken"}; }
  void release(const LedgerKey&) override {}

 private:
  Error error_;
};

/// A fleet, a look and ledgers in memory, and an Api over them.
struct ApiFixture {
  std::shared_ptr<Fleet> fleet = std::make_shared<Fleet>();
  std::shared_ptr<Snapshot> snapshot = std::make_shared<Snapshot>();
  std::map<std::string, AgentStatus> statuses;  ///< of agents whose status is not what their files say
  std::map<Pid, Explanation> explanations;
  std::unique_ptr<LedgerStore> store = std::move(*open_store("memory", {}));
  WallTime now = at_ms(1'800'000'000'000);
  std::string operators = kOperatorToken;
  MetricsView metrics;
  bool metrics_for_anyone = false;
  int reads = 0;
  std::string read_of;  ///< whose ledger the last one was said to read

  /// Its token is "<name>-token-0123456789" unless another is given.
  Agent& add(const std::string& name, Gate gate = {true, true}, AgentToken token = {AgentToken::Kind::absent, {}}) {
    Agent agent;
    const auto path = "/home/" + name + std::to_string(fleet->agents.size());
    agent.identity = {agent_id(name, path), name, path};
    agent.gate = gate;
    agent.reason = "as the test wants it";
    if (token.kind == AgentToken::Kind::absent) {
      token = readable(token_of(name));
    }
    fleet->agents.push_back(agent);
    fleet->access.push_back({token, {}, ""});
    return fleet->agents.back();
  }
  static AgentToken readable(const std::string& text) { return {AgentToken::Kind::readable, Secret(text)}; }
  static std::string token_of(const std::string& name) { return name + "-token-0123456789"; }

  void write(const Agent& agent, std::vector<Sample> samples, std::vector<RateLimitEvent> events = {}) {
    const auto written = store->append(ledger_of(agent), {std::move(samples), std::move(events), std::nullopt});
    if (!written) {
      throw std::runtime_error(written.error().text);
    }
  }

  /// Asks as the server would: `token` empty means no Authorization at all.
  Response get(const std::string& target, const std::string& token = "", std::optional<std::string> header = {}) {
    const auto parsed = parse_target(target);
    if (!parsed) {
      throw std::runtime_error(parsed.error().text);
    }
    Request request;
    request.target = target;
    request.path = parsed->path;
    request.query = parsed->query;
    request.agent_id = std::move(header);
    if (!token.empty()) {
      request.authorization = "Bearer " + token;
    }
    return ask(request);
  }

  Response ask(const Request& request) {
    Api api{
        {.operators = Secret(operators), .metrics = Secret(kMetricsToken), .metrics_for_anyone = metrics_for_anyone}};
    auto answer = api.answer(
        request, {.fleet = fleet,
                  .snapshot = snapshot,
                  .status_of =
                      [this](const Agent& agent) {
                        const auto known = statuses.find(agent.identity.id);
                        return known == statuses.end() ? AgentStatus{agent.state(), agent.reason} : known->second;
                      },
                  .metrics = [this] { return metrics; },
                  .explain = [this](Pid pid) -> std::optional<Explanation> {
                    const auto known = explanations.find(pid);
                    return known == explanations.end() ? std::nullopt : std::optional{known->second};
                  },
                  .own_resident = Bytes{77},
                  .now = now});
    if (auto* read = std::get_if<StoreRead>(&answer)) {
      ++reads;
      read_of = read->whose();
      return (*read)(*store);
    }
    return std::get<Response>(answer);
  }
};

inline std::string body_of(const Response& response) { return std::string(response.body.view()); }

inline std::string header_of(const Response& response, std::string_view name) {
  for (const auto& [key, value] : response.headers) {
    if (key == name) {
      return value;
    }
  }
  return "";
}

}  // namespace fleetledger::test
