#include "bench/harness/http.h"

#include <array>
#include <cstdio>
#include <fmt/format.h>
#include <memory>
#include <optional>
#include <sstream>
#include <thread>

#include "collector/api/json_writer.h"
#include "collector/http/client.h"

namespace fleetledger::bench {
namespace {

constexpr double kFewestRequests = 5000;
constexpr double kMostP99 = 20;

/// "1.5ms", "630.00us", "2.1s" in milliseconds.
std::optional<double> milliseconds(const std::string& text) {
  std::size_t used = 0;
  double number = 0;
  try {
    number = std::stod(text, &used);
  } catch (const std::exception&) {
    return std::nullopt;
  }
  const auto unit = text.substr(used);
  if (unit == "us") return number / 1e3;
  if (unit == "ms") return number;
  if (unit == "s") return number * 1e3;
  return std::nullopt;
}

struct Counters {
  double ticks = 0;
  double seconds = 0;
  double skipped = 0;
};

Result<Counters> read_counters(const HttpTarget& target) {
  const auto answer = http_get({.address = target.address,
                                .target = "/metrics",
                                .headers = {{"Authorization", "Bearer " + target.token}},
                                .time_limit = std::chrono::seconds{5}});
  if (!answer) return fail(answer.error());
  if (answer->status != 200) return fail(fmt::format("read /metrics: status {}", answer->status));
  Counters counters;
  std::istringstream lines(answer->body);
  for (std::string line; std::getline(lines, line);) {
    const auto space = line.rfind(' ');
    if (line.empty() || line.front() == '#' || space == std::string::npos) continue;
    const auto value = std::strtod(line.c_str() + space, nullptr);
    if (line.starts_with("fleetledger_tick_duration_seconds_count")) counters.ticks = value;
    if (line.starts_with("fleetledger_tick_duration_seconds_sum")) counters.seconds = value;
    if (line.starts_with("fleetledger_ticks_skipped_total")) counters.skipped += value;
  }
  return counters;
}

TicksBetween between(const Counters& before, const Counters& after) {
  TicksBetween result;
  result.ticks = static_cast<std::uint64_t>(after.ticks - before.ticks);
  result.skipped = static_cast<std::uint64_t>(after.skipped - before.skipped);
  if (result.ticks > 0) result.mean_ms = (after.seconds - before.seconds) / (after.ticks - before.ticks) * 1e3;
  return result;
}

/// What wrk prints. The token is in a file that wrk is told of, not in its arguments.
Result<std::string> run_wrk(const HttpTarget& target) {
  std::string script = "/tmp/fleetledger-wrk-XXXXXX";
  const int file = ::mkstemp(script.data());
  if (file < 0) return fail("make a temporary file");
  const std::unique_ptr<FILE, int (*)(FILE*)> lua(::fdopen(file, "w"), &std::fclose);
  fmt::print(lua.get(), "wrk.headers[\"Authorization\"] = \"Bearer {}\"\nwrk.headers[\"X-Instar-AgentId\"] = \"{}\"\n",
             target.token, target.agent);
  std::fflush(lua.get());
  const auto command = fmt::format("wrk -t1 -c64 -d{}s --latency -s {} 'http://{}/resources/summary?sinceHours=1'",
                                   target.seconds, script, target.address);
  std::string output;
  FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe != nullptr) {
    std::array<char, 4096> buffer{};
    for (std::size_t got = 0; (got = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) {
      output.append(buffer.data(), got);
    }
  }
  const int status = pipe == nullptr ? -1 : ::pclose(pipe);
  std::remove(script.c_str());
  if (status != 0) return fail("run wrk: it failed");
  return output;
}

}  // namespace

Result<HttpCost> parse_wrk(std::string_view output) {
  HttpCost cost;
  std::optional<double> rate;
  std::optional<double> median;
  std::optional<double> p99;
  std::istringstream lines{std::string(output)};
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string first;
    std::string second;
    words >> first >> second;
    if (first == "50%") median = milliseconds(second);
    if (first == "99%") p99 = milliseconds(second);
    if (first == "Requests/sec:") rate = std::strtod(second.c_str(), nullptr);
    if (first == "Non-2xx") cost.failed += std::strtoull(line.c_str() + line.rfind(' '), nullptr, 10);
    if (first == "Socket") {  // Socket errors: connect 0, read 0, write 0, timeout 0
      for (std::string word; words >> word;) cost.failed += std::strtoull(word.c_str(), nullptr, 10);
    }
  }
  if (!rate || !median || !p99) return fail("read what wrk prints: a figure is missing");
  cost.requests_per_second = *rate;
  cost.median_ms = *median;
  cost.p99_ms = *p99;
  return cost;
}

Result<HttpCost> measure_http(const HttpTarget& target) {
  const auto begin = read_counters(target);
  if (!begin) return fail(begin.error());
  std::this_thread::sleep_for(std::chrono::seconds{target.seconds});
  const auto middle = read_counters(target);
  if (!middle) return fail(middle.error());
  const auto printed = run_wrk(target);
  if (!printed) return fail(printed.error());
  const auto end = read_counters(target);
  if (!end) return fail(end.error());
  auto cost = parse_wrk(*printed);
  if (!cost) return cost;
  cost->quiet = between(*begin, *middle);
  cost->loaded = between(*middle, *end);
  return cost;
}

std::string http_table(const HttpCost& cost) {
  return fmt::format(
      "HTTP: one hour's summary of a week's ledger, 64 connections, while ticks run\n\n"
      "{:.0f} requests a second; median {:.2f} ms, 99 % within {:.2f} ms; {} failed\n"
      "A tick takes {:.1f} ms meanwhile ({} of them, {} skipped), and {:.1f} ms when nobody asks ({}, {} skipped)\n",
      cost.requests_per_second, cost.median_ms, cost.p99_ms, cost.failed, cost.loaded.mean_ms, cost.loaded.ticks,
      cost.loaded.skipped, cost.quiet.mean_ms, cost.quiet.ticks, cost.quiet.skipped);
}

std::string http_json(const HttpCost& cost) {
  JsonWriter json;
  json.object()
      .field("requestsPerSecond", cost.requests_per_second)
      .field("medianMs", cost.median_ms)
      .field("p99Ms", cost.p99_ms)
      .field("failed", cost.failed);
  const auto ticks = [&](const char* name, const TicksBetween& between) {
    json.key(name).object().field("ticks", between.ticks).field("meanMs", between.mean_ms);
    json.field("skipped", between.skipped).end();
  };
  ticks("quietTicks", cost.quiet);
  ticks("loadedTicks", cost.loaded);
  bars_field(json, http_bars(cost));
  json.end();
  return json.take();
}

std::vector<Bar> http_bars(const HttpCost& cost) {
  return {{"requests answered a second", cost.requests_per_second, kFewestRequests, Bar::Kind::at_least},
          {"99 % of requests answered within", cost.p99_ms, kMostP99, Bar::Kind::at_most, "ms"},
          {"requests that failed", static_cast<double>(cost.failed), 0},
          {"ticks skipped meanwhile", static_cast<double>(cost.loaded.skipped), 0}};
}

}  // namespace fleetledger::bench
