#include "tests/fuzz/config_targets.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <rapidjson/encodings.h>
#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>
#include <set>
#include <string>
#include <vector>

#include "config/agent_config.h"
#include "config/health.h"
#include "config/json.h"
#include "config/listen_address.h"
#include "config/parse_config.h"
#include "config/registry.h"
#include "config/sentinel_line.h"
#include "config/session_file.h"
#include "config/suggestion.h"
#include "config/timestamp.h"
#include "config/values.h"
#include "config/yaml_tree.h"
#include "tests/fuzz/fuzz.h"

namespace fleetledger::fuzz {
namespace {

using namespace std::chrono_literals;

/// Writes again what it is told, numbers as they stood there.
struct Speller {
  rapidjson::StringBuffer buffer;
  rapidjson::Writer<rapidjson::StringBuffer> writer{buffer};

  bool Null() { return writer.Null(); }
  bool Bool(bool truth) { return writer.Bool(truth); }
  bool Int(int) { return false; }
  bool Uint(unsigned) { return false; }
  bool Int64(std::int64_t) { return false; }
  bool Uint64(std::uint64_t) { return false; }
  bool Double(double) { return false; }
  bool RawNumber(const char* text, rapidjson::SizeType size, bool) {
    return writer.RawValue(text, size, rapidjson::kNumberType);
  }
  bool String(const char* text, rapidjson::SizeType size, bool) { return writer.String(text, size); }
  bool StartObject() { return writer.StartObject(); }
  bool Key(const char* text, rapidjson::SizeType size, bool) { return writer.Key(text, size); }
  bool EndObject(rapidjson::SizeType) { return writer.EndObject(); }
  bool StartArray() { return writer.StartArray(); }
  bool EndArray(rapidjson::SizeType) { return writer.EndArray(); }
};

/// Has half a surrogate pair, or a whole one: what it means is for unit tests.
bool has_surrogates(std::string_view text) {
  for (auto at = text.find("\\u"); at != std::string_view::npos; at = text.find("\\u", at + 1)) {
    if (at + 2 < text.size() && (text[at + 2] == 'd' || text[at + 2] == 'D')) return true;
  }
  return false;
}

/// The same JSON without a mark and white space and with other escapes. `text` is JSON.
std::string respelled(std::string_view text) {
  if (has_surrogates(text)) return std::string(text);
  constexpr unsigned kFlags =
      rapidjson::kParseIterativeFlag | rapidjson::kParseValidateEncodingFlag | rapidjson::kParseNumbersAsStringsFlag;
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  rapidjson::MemoryStream stream(text.data(), text.size());
  rapidjson::Reader reader;
  Speller speller;
  expect(!reader.Parse<kFlags>(stream, speller).IsError(), "what was read as JSON is JSON");
  return {speller.buffer.GetString(), speller.buffer.GetSize()};
}

bool is_utf8(std::string_view text) { return find_invalid_utf8(text) == std::string_view::npos; }

void expect_text(std::string_view text, std::size_t longest) {
  expect(text.size() <= longest && is_utf8(text), "a text is UTF-8 and not too long");
}

void expect_time(WallTime time) {
  expect(time >= WallTime{} && time < std::chrono::sys_days{std::chrono::year{10'000} / 1 / 1}, "years 1970 to 9999");
}

void check_registry(std::string_view bytes, Result<Registry> (*parse)(std::string_view)) {
  const auto found = parse(bytes);
  if (!found) {
    return expect_message(found.error().text);
  }
  for (const auto& entry : found->entries) {
    expect(entry.path.starts_with('/') && entry.path.find('\0') == std::string::npos, "a path is absolute");
    expect_text(entry.path, 4096);
    expect(!entry.name.empty() || entry.path.find_first_not_of('/') == std::string::npos, "an agent has a name");
    expect_text(entry.name, 4096);
    expect(!entry.pid || *entry.pid > 0, "a pid is a number of a process");
    if (entry.last_heartbeat) expect_time(*entry.last_heartbeat);
  }
  expect(found->remarks.size() <= 22, "remarks are few");
  for (const auto& remark : found->remarks) expect_message(remark);

  const auto again = parse(respelled(bytes));
  expect(again && again->remarks == found->remarks && again->entries.size() == found->entries.size(),
         "how JSON is spelled does not matter");
  for (std::size_t i = 0; i < again->entries.size(); ++i) {
    const auto& left = again->entries[i];
    const auto& right = found->entries[i];
    expect(left.path == right.path && left.name == right.name && left.pid == right.pid &&
               left.last_heartbeat == right.last_heartbeat,
           "how JSON is spelled does not matter to an entry");
  }
}

void expect_printable(const std::vector<Problem>& problems, int lines) {
  for (const auto& problem : problems) {
    expect_message(problem.message);
    expect(problem.file == "environment" ? problem.line == 0 : problem.line >= 0 && problem.line <= lines,
           "a problem's line is one of the file's");
    if (!problem.key.empty()) expect_message(problem.key);
    expect(is_utf8(to_string(problem)), "a problem is UTF-8");
  }
}

int count_lines(std::string_view text) {
  // YAML 1.2 ends a line with LF, CR or CR LF; the parser counts LF. One more where the text ends in a line.
  return static_cast<int>(std::count(text.begin(), text.end(), '\n')) + 1;
}

template <typename Duration>
bool within(Duration value, Duration least, Duration most) {
  return value >= least && value <= most;
}

using Millis = std::chrono::milliseconds;
using Seconds = std::chrono::seconds;
constexpr std::chrono::hours kDay{24};
constexpr std::chrono::hours kTenYears{24 * 3650};

/// What the README's table says of each key.
void expect_in_range(const Config& config) {
  const auto period = [](Millis value) { return within<Millis>(value, 1s, kDay); };
  const auto kept = [](Seconds value) { return within<Seconds>(value, 1s, kTenYears); };
  expect(period(config.sampling.sample_interval) && period(config.sampling.idle_sample_interval), "periods");
  expect(within<Millis>(config.sampling.timeout, 100ms, 1min), "sampling.timeout");
  expect(!config.sampling.ps.empty() && !config.sampling.tmux.empty(), "programs");
  expect(kept(config.storage.retention) && kept(config.storage.event_retention), "retention");
  expect(kept(config.storage.upstream_event_retention.value_or(1s)), "storage.upstream_event_retention");
  expect(config.storage.backend == "memory" || config.storage.backend == "sqlite", "storage.backend");
  for (const auto& [agent, said] : config.discovery.overrides) {
    expect(!agent.empty() && is_utf8(agent), "an override names an agent");
    expect(period(said.sample_interval.value_or(1s)) && period(said.idle_sample_interval.value_or(1s)) &&
               kept(said.retention.value_or(1s)),
           "an override's times");
  }
  const auto& http = config.http;
  for (const auto& address : http.listen) {
    const auto parsed = parse_listen_address(address);
    expect(parsed && (parsed->loopback || http.allow_remote), "listen has addresses, and remote ones only if allowed");
    expect(http.metrics_auth != MetricsAuth::none || parsed->loopback, "metrics for anybody only on loopback");
  }
  expect(within<std::int64_t>(http.metrics_sessions, 0, 10'000), "http.metrics_sessions");
  expect(within<std::int64_t>(http.limits.connections, 1, 10'000), "http.limits.connections");
  expect(within<std::int64_t>(http.limits.header.value, 1 << 10, 1 << 20), "http.limits.header");
  expect(within<std::int64_t>(http.limits.url.value, 256, 64 << 10), "http.limits.url");
  expect(within<Millis>(http.limits.idle, 1s, 1h), "http.limits.idle");
}

/// How deep it is; checks what holds of every node.
std::size_t check_node(const YamlNode& node, int lines) {
  expect(node.line >= 1 && node.line <= lines, "a node's line is one of the file's");
  expect(node.kind == YamlNode::Kind::scalar || node.text.empty(), "only scalars have text");
  expect(node.kind == YamlNode::Kind::list || node.items.empty(), "only lists have items");
  expect(node.kind == YamlNode::Kind::map || node.entries.empty(), "only maps have entries");
  expect(node.text.find('\0') == std::string::npos && is_utf8(node.text), "a scalar is UTF-8 without NUL");
  std::size_t below = 0;
  for (const auto& item : node.items) below = std::max(below, check_node(item, lines));
  for (const auto& entry : node.entries) {
    expect(entry.line >= 1 && entry.line <= lines, "a key's line is one of the file's");
    below = std::max(below, check_node(entry.value, lines));
  }
  return below + 1;
}

/// UTF-8 by RapidJSON's own check.
bool is_utf8_elsewhere(std::string_view text) {
  rapidjson::MemoryStream in(text.data(), text.size());
  rapidjson::StringBuffer out;
  while (in.Tell() < text.size()) {
    if (!rapidjson::UTF8<>::Validate(in, out)) return false;
  }
  return in.Tell() == text.size();
}

}  // namespace

void registry(std::string_view bytes) { check_registry(bytes, parse_registry); }
void port_registry(std::string_view bytes) { check_registry(bytes, parse_port_registry); }

void agent_config(std::string_view bytes) {
  const auto found = parse_agent_config(bytes);
  if (!found) return expect_message(found.error().text);
  expect_text(found->project_name, 4096);
  expect_text(found->tmux_path, 4096);
  expect(found->token.kind == AgentToken::Kind::readable || found->token.secret.empty(),
         "a token is read or it is not");
  expect(!found->port || *found->port > 0, "a port is a number of one");
  for (const auto interval : {found->sample_interval, found->idle_sample_interval}) {
    expect(within<Millis>(interval.value_or(1ms), 1ms, kDay), "an interval is a day at most");
  }
  expect(within<Seconds>(found->retention.value_or(1h), 1h, kTenYears), "retention is an hour to ten years");
  for (const auto& remark : found->remarks) expect_message(remark);

  const auto again = parse_agent_config(respelled(bytes));
  expect(again && again->project_name == found->project_name && again->port == found->port &&
             again->token == found->token && again->tmux_path == found->tmux_path &&
             again->development_agent == found->development_agent && again->ledger_enabled == found->ledger_enabled &&
             again->sample_interval == found->sample_interval &&
             again->idle_sample_interval == found->idle_sample_interval && again->retention == found->retention &&
             again->remarks == found->remarks,
         "how JSON is spelled does not matter");
}

void session_file(std::string_view bytes) {
  const auto found = parse_session_file("id", bytes);
  if (!found) return expect_message(found.error().text);
  expect(found->live || found->session == Session{}, "only a live session is filled in");
  expect(!found->live || found->session.id == "id", "the id is the file's");
  expect_text(found->session.name, 1024);
  expect_text(found->session.tmux_session, 1024);
  expect_time(found->session.started_at);
  const auto again = parse_session_file("id", respelled(bytes));
  expect(again && again->live == found->live && again->session == found->session,
         "how JSON is spelled does not matter");
}

void sentinel_line(std::string_view bytes) {
  constexpr WallTime kOldest{std::chrono::milliseconds{1'000'000'000'000}};
  constexpr WallTime kNewest{std::chrono::milliseconds{2'000'000'000'000}};
  const auto found = parse_sentinel_line(bytes, kOldest, kNewest);
  if (const auto* why = std::get_if<SkippedLine>(&found)) return expect_message(to_string(*why));
  const auto& event = std::get<SentinelEvent>(found);
  expect(event.ts >= kOldest && event.ts <= kNewest, "no other time counts");
  expect_text(event.kind, 64);
  expect_text(event.session_name.value_or(""), 1024);
  expect_text(event.detail.value_or(""), 4096);
  const auto again = parse_sentinel_line(respelled(bytes), kOldest, kNewest);
  const auto* same = std::get_if<SentinelEvent>(&again);
  if (respelled(bytes).size() > kLongestSentinelLine) return;
  expect(same != nullptr && same->ts == event.ts && same->kind == event.kind && same->recovery == event.recovery &&
             same->session_name == event.session_name,
         "how JSON is spelled does not matter");
}

void health(std::string_view bytes) {
  const auto heap = parse_health(bytes);
  if (!heap) return expect_message(heap.error().text);
  expect(heap->value >= 0 && heap->value <= std::int64_t{1} << 44U, "a heap is 16 TiB at most");
  const auto again = parse_health(respelled(bytes));
  expect(again && *again == *heap, "how JSON is spelled does not matter");
}

void timestamp(std::string_view bytes) {
  const auto time = parse_iso_timestamp(bytes);
  if (!time) return;
  expect_time(*time);
  const auto count = time->time_since_epoch().count();
  const std::time_t whole = count / 1000;
  std::tm parts{};
  gmtime_r(&whole, &parts);
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", parts.tm_year + 1900, parts.tm_mon + 1,
                parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, static_cast<int>(count % 1000));
  const std::string_view printed(text.data());
  expect(bytes.substr(0, 19) == printed.substr(0, 19), "the C library tells the same second");
  expect(parse_iso_timestamp(printed) == *time, "a time reads back");
}

void yaml_tree(std::string_view bytes) {
  constexpr std::size_t kDeepest = 8;
  const auto tree = parse_yaml(bytes, "fleet.yaml");
  const int lines = count_lines(bytes);
  expect_printable(tree.problems, lines);
  expect(check_node(tree.root, lines) <= kDeepest + 1, "not nested deeper than 8");
}

/// The file, then variables as NAME=value, each after a NUL.
void configuration(std::string_view bytes) {
  Input input(bytes);
  const auto text = input.part();
  Environment environment;
  while (!input.empty() && environment.size() < 8) {
    const auto variable = input.part();
    const auto equals = std::min(variable.find('='), variable.size());
    environment.emplace(variable.substr(0, equals), variable.substr(std::min(equals + 1, variable.size())));
  }
  constexpr std::array<std::string_view, 2> kBackends{"memory", "sqlite"};
  const auto parsed =
      parse_config({.text = text, .file = "fleet.yaml", .environment = environment, .backends = kBackends});
  expect(parsed.problems.size() <= 101, "of more than 100 problems the first 100");
  expect_printable(parsed.problems, count_lines(text));
  expect_printable(parsed.remarks, count_lines(text));
  if (parsed.ok()) expect_in_range(parsed.config);
}

void values(std::string_view bytes) {
  if (const auto duration = parse_duration(bytes)) {
    expect(*duration >= 0ms && parse_duration(format_duration(*duration)) == *duration, "a duration reads back");
    expect(format_duration(*duration).size() <= bytes.size() || *duration == 0ms, "in its largest unit");
  } else {
    expect_message(duration.error().text);
  }
  if (const auto size = parse_size(bytes)) {
    expect(size->value >= 0 && parse_size(format_size(*size)) == *size, "a size reads back");
  } else {
    expect_message(size.error().text);
  }
  expect(is_utf8(bytes) == is_utf8_elsewhere(bytes), "what is UTF-8 is so for RapidJSON too");
  const auto shown = quoted(bytes);
  expect_message(shown);
  expect(is_utf8(shown) && shown.size() <= 100 && shown.front() == '"' && shown.back() == '"', "quoted is short UTF-8");
}

void listen_address(std::string_view bytes) {
  const auto address = parse_listen_address(bytes);
  if (!address) return expect_message(address.error().text);
  const auto port = ":" + std::to_string(address->port);
  const auto printed = address->kind == ListenAddress::Kind::unix_socket ? "unix:" + address->place
                       : address->kind == ListenAddress::Kind::ipv6      ? "[" + address->place + "]" + port
                                                                         : address->place + port;
  const auto again = parse_listen_address(printed);
  expect(again && *again == *address, "an address reads back");
}

/// A word, then the words that are known, with NULs between them.
void suggestion(std::string_view bytes) {
  Input input(bytes);
  const auto word = input.part();
  std::vector<std::string_view> known;
  while (!input.empty() && known.size() < 20) known.push_back(input.part());
  const auto nearest = nearest_word(word, known);
  expect(nearest.empty() || std::find(known.begin(), known.end(), nearest) != known.end(), "what is near is known");
  expect(did_you_mean(word, known).empty() == nearest.empty(), "and is told");
}

}  // namespace fleetledger::fuzz
