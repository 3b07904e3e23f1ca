#include "config/agent_config.h"

#include <cmath>

#include "config/json.h"

namespace fleetledger {
namespace {

constexpr std::size_t kLongestText = 4'096;
constexpr double kLongestIntervalMs = 24.0 * 3'600'000;
constexpr double kShortestRetentionDays = 1.0 / 24;
constexpr double kLongestRetentionDays = 3'650;

/// Reads the keys of one object and remarks on what is wrong with them.
class Reader {
 public:
  Reader(JsonValue object, std::string_view prefix, std::vector<std::string>& remarks)
      : object_(object), prefix_(prefix), remarks_(remarks) {}

  /// The member, unless it is absent or null.
  JsonValue find(std::string_view key) {
    if (object_.count(key) > 1) remark(key, "is there twice: the last counts");
    const JsonValue value = object_.member(key);
    return value.is_null() ? JsonValue() : value;
  }

  Reader object(std::string_view key) {
    const JsonValue value = find(key);
    if (value.present() && !value.is_object()) remark(key, "is not an object: taken as absent");
    return {value, prefix_ + std::string(key) + ".", remarks_};
  }

  std::string text(std::string_view key) {
    const JsonValue value = find(key);
    if (!value.present()) return {};
    const auto text = value.text();
    if (!text || text->size() > kLongestText || text->find('\0') != std::string_view::npos) {
      remark(key, "is not a usable text: taken as absent");
      return {};
    }
    return std::string(*text);
  }

  Flag flag(std::string_view key) {
    const JsonValue value = find(key);
    if (!value.present()) return Flag::absent;
    const auto flag = value.boolean();
    if (!flag) {
      remark(key, "is neither true nor false: taken as absent");
      return Flag::wrong_type;
    }
    return *flag ? Flag::yes : Flag::no;
  }

  /// A number in [least, most].
  std::optional<double> number(std::string_view key, double least, double most) {
    const JsonValue value = find(key);
    if (!value.present()) return std::nullopt;
    const auto number = value.number();
    if (!number) {
      remark(key, "is not a number: the default is used");
      return std::nullopt;
    }
    if (!(*number >= least && *number <= most)) {
      remark(key, "is out of range: the default is used");
      return std::nullopt;
    }
    return number;
  }

  void remark(std::string_view key, std::string_view what) {
    remarks_.push_back(prefix_ + std::string(key) + " " + std::string(what));
  }

 private:
  JsonValue object_;
  std::string prefix_;
  std::vector<std::string>& remarks_;
};

AgentToken read_token(Reader& config) {
  const JsonValue value = config.find("authToken");
  if (!value.present()) return {};
  if (const auto text = value.text()) {
    if (text->empty()) return {};
    return {AgentToken::Kind::readable, Secret(std::string(*text))};
  }
  if (value.member("secret").boolean() == true) return {AgentToken::Kind::encrypted, {}};
  config.remark("authToken", "is not a text: taken as absent");
  return {};
}

std::optional<std::chrono::milliseconds> read_interval(Reader& ledger, std::string_view key) {
  const auto ms = ledger.number(key, 1, kLongestIntervalMs);
  if (!ms) return std::nullopt;
  return std::chrono::milliseconds{std::llround(*ms)};
}

}  // namespace

Result<AgentConfig> parse_agent_config(std::string_view text) {
  const auto document = JsonDocument::parse(text);
  if (!document) return fail(document.error());
  if (!document->root().is_object()) return fail("it is not a JSON object", Error::Kind::invalid);

  AgentConfig config;
  Reader top(document->root(), "", config.remarks);
  config.project_name = top.text("projectName");
  if (const auto port = top.number("port", 1, 65'535)) config.port = static_cast<std::uint16_t>(*port);
  config.token = read_token(top);
  config.development_agent = top.flag("developmentAgent");
  config.tmux_path = top.object("sessions").text("tmuxPath");

  Reader ledger = top.object("monitoring").object("resourceLedger");
  config.ledger_enabled = ledger.flag("enabled");
  config.sample_interval = read_interval(ledger, "sampleIntervalMs");
  config.idle_sample_interval = read_interval(ledger, "idleSampleIntervalMs");
  if (const auto days = ledger.number("retentionDays", kShortestRetentionDays, kLongestRetentionDays)) {
    config.retention = std::chrono::seconds{std::llround(*days * 86'400)};
  }
  return config;
}

}  // namespace fleetledger
