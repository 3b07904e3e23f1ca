#include "config/parse_config.h"

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

namespace fleetledger {
namespace {

using namespace std::chrono_literals;

constexpr std::array<std::string_view, 2> kBackends{"memory", "sqlite"};

ParsedConfig parse(std::string_view text, Environment environment = {}) {
  return parse_config({.text = text, .file = "f.yaml", .environment = std::move(environment), .backends = kBackends});
}

std::string texts(const std::vector<Problem>& problems) {
  std::string all;
  for (const Problem& problem : problems) all += to_string(problem) + "\n";
  return all;
}

std::string read(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  REQUIRE(stream);
  std::ostringstream content;
  content << stream.rdbuf();
  return content.str();
}

const std::filesystem::path kRoot = FLEETLEDGER_SOURCE_DIR;

TEST_CASE("nothing at all is the default configuration") {
  const auto* text = GENERATE("", "\n", "# nothing\n", "---\n", "--- {}\n", "sampling:\nlog: {}\n", "\xEF\xBB\xBF");
  CAPTURE(text);
  const ParsedConfig parsed = parse(text);
  CHECK(texts(parsed.problems).empty());
  CHECK(parsed.remarks.empty());
  CHECK(parsed.config == Config{});
}

TEST_CASE("the example file says what the defaults are") {
  const ParsedConfig parsed = parse(read(kRoot / "config/fleetledger.example.yaml"));
  CHECK(texts(parsed.problems).empty());
  CHECK(texts(parsed.remarks).empty());
  CHECK(parsed.config == Config{});
}

// The keys that a file has, written out or in a comment, as "section.key": two spaces of indentation a level.
std::set<std::string> keys_written(const std::string& yaml) {
  std::set<std::string> keys;
  std::array<std::string, 4> path;
  std::istringstream lines(yaml);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t colon = line.find(':');
    std::size_t start = line.find_first_not_of(" #");
    if (colon == std::string::npos || start == std::string::npos || start >= colon) continue;
    const std::string word = line.substr(start, colon - start);
    if (word.find_first_not_of("abcdefghijklmnopqrstuvwxyz_") != std::string::npos) continue;
    // "  #   overrides:" is an example of what could stand at "  overrides:".
    if (line.find('#') < start) start -= std::min<std::size_t>(start, 4);
    const std::size_t level = start / 2;
    if (level >= path.size()) continue;
    path.at(level) = word;
    std::string key;
    for (std::size_t at = 0; at <= level; ++at) key += (at == 0 ? "" : ".") + path.at(at);
    keys.insert(key);
  }
  return keys;
}

TEST_CASE("the example file has every key") {
  const std::set<std::string> written = keys_written(read(kRoot / "config/fleetledger.example.yaml"));
  for (const ConfigKey& key : config_keys()) {
    std::string path = key.path;
    if (const std::size_t at = path.find("<agent>"); at != std::string::npos) path.replace(at, 7, "luna");
    CAPTURE(path);
    CHECK(written.count(path) == 1);
  }
}

TEST_CASE("the README's table of keys is the one that the parser has") {
  const std::string readme = read(kRoot / "README.md");
  const std::string begin = "<!-- config keys: begin -->\n";
  const std::string end = "<!-- config keys: end -->";
  const std::size_t from = readme.find(begin);
  const std::size_t to = readme.find(end);
  REQUIRE(from != std::string::npos);
  REQUIRE(to != std::string::npos);
  CHECK(readme.substr(from + begin.size(), to - from - begin.size()) == config_keys_markdown());
}

TEST_CASE("every key is documented, and every default that is shown reads back") {
  for (const ConfigKey& key : config_keys()) {
    CAPTURE(key.path);
    CHECK_FALSE(key.form.empty());
    CHECK_FALSE(key.meaning.empty());
    if (key.default_value.empty()) continue;
    const std::size_t dot = key.path.find('.');
    const std::string quote = key.default_value.front() == '<' ? "'" : "";
    const std::string yaml =
        key.path.substr(0, dot) + ": {" + key.path.substr(dot + 1) + ": " + quote + key.default_value + quote + "}";
    const ParsedConfig parsed = parse(yaml);
    CHECK(texts(parsed.problems).empty());
    CHECK(parsed.config == Config{});
  }
}

TEST_CASE("every key is read into its own member") {
  const ParsedConfig parsed = parse(R"(
discovery:
  homes: [/home/*, "~/x"]
  agents: [/srv/a, <state>/b]
  exclude: ["7", luna-0123abcd]
  overrides:
    luna: {enabled: false, sample_interval: 10s, idle_sample_interval: 20s, retention: 3d, location: central}
    /srv/a: {enabled: true}
    ? "two: words"
    :
sampling: {source: procfs, scope: process, sample_interval: 5s, idle_sample_interval: 2m, ps: /bin/ps, tmux: "~/bin/tmux", timeout: 500ms, heap: false}
http:
  enabled: false
  listen: ["[::1]:0", "unix:<state>/http.sock", "10.0.0.1:4100"]
  operator_token_file: ~/operator
  metrics_auth: token
  metrics_token_file: /etc/metrics.token
  metrics_sessions: 20
  allowed_hosts: [metrics.example, "[fe80::1]"]
  allow_remote: true
  limits: {connections: 10, header: 2KiB, url: 1KiB, idle: 2s}
storage:
  backend: memory
  location: agent
  directory: /var/ledgers
  retention: 30d
  event_retention: 60d
  upstream_event_retention: 1d
  rollup_retention: 800d
  max_size: 12MiB
log:
  level: "debug"
)");
  CHECK(texts(parsed.problems).empty());
  Config expected;
  expected.discovery.homes = {"/home/*", "~/x"};
  expected.discovery.agents = {"/srv/a", "<state>/b"};
  expected.discovery.exclude = {"7", "luna-0123abcd"};
  expected.discovery.overrides["luna"] = {.enabled = false,
                                          .sample_interval = 10s,
                                          .idle_sample_interval = 20s,
                                          .retention = 72h,
                                          .location = LedgerLocation::central};
  expected.discovery.overrides["/srv/a"].enabled = true;
  expected.discovery.overrides["two: words"] = {};
  expected.sampling = {.source = ProcessSourceKind::procfs,
                       .scope = Scope::process,
                       .sample_interval = 5s,
                       .idle_sample_interval = 2min,
                       .ps = "/bin/ps",
                       .tmux = "~/bin/tmux",
                       .timeout = 500ms,
                       .heap = false};
  expected.storage = {.backend = "memory",
                      .location = LedgerLocation::agent,
                      .directory = "/var/ledgers",
                      .retention = 720h,
                      .event_retention = 1440h,
                      .upstream_event_retention = 24h,
                      .rollup_retention = 800 * 24h,
                      .max_size = Bytes{12 << 20}};
  expected.http = {.enabled = false,
                   .listen = {"[::1]:0", "unix:<state>/http.sock", "10.0.0.1:4100"},
                   .operator_token_file = "~/operator",
                   .metrics_auth = MetricsAuth::token,
                   .metrics_token_file = "/etc/metrics.token",
                   .metrics_sessions = 20,
                   .allowed_hosts = {"metrics.example", "[fe80::1]"},
                   .allow_remote = true,
                   .limits = {.connections = 10, .header = Bytes{2048}, .url = Bytes{1024}, .idle = 2s}};
  expected.log.level = LogLevel::debug;
  CHECK(parsed.config == expected);
}

TEST_CASE("each bad file gets exactly the problems that are written beside it") {
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kRoot / "tests/config/fixtures/bad")) {
    if (entry.path().extension() != ".yaml") continue;
    ++files;
    const std::string name = entry.path().filename().string();
    CAPTURE(name);
    const std::string text = read(entry.path());
    const ParsedConfig parsed = parse_config({.text = text, .file = name, .environment = {}, .backends = kBackends});
    CHECK_FALSE(parsed.ok());
    CHECK(texts(parsed.problems) == read(std::filesystem::path(entry.path()).replace_extension(".expected")));
  }
  CHECK(files >= 20);
}

TEST_CASE("periods below a second are raised to one, and that is said") {
  const ParsedConfig parsed = parse(
      "sampling:\n"
      "  sample_interval: 100ms\n"
      "  idle_sample_interval: 0s\n"
      "discovery:\n"
      "  overrides: {luna: {sample_interval: 999ms}}\n");
  CHECK(parsed.ok());
  CHECK(parsed.config.sampling.sample_interval == 1s);
  CHECK(parsed.config.sampling.idle_sample_interval == 1s);
  CHECK(parsed.config.discovery.overrides.at("luna").sample_interval == 1s);
  CHECK(texts(parsed.remarks) ==
        "f.yaml:2: sampling.sample_interval: 100ms is raised to 1s, the least there is\n"
        "f.yaml:3: sampling.idle_sample_interval: 0s is raised to 1s, the least there is\n"
        "f.yaml:5: discovery.overrides.luna.sample_interval: 999ms is raised to 1s, the least there is\n");
}

TEST_CASE("the environment wins over the file") {
  const ParsedConfig parsed =
      parse("sampling: {scope: tree, ps: /file/ps}\nlog: {level: debug}\n", {{"FLEETLEDGER_SAMPLING_SCOPE", "process"},
                                                                             {"FLEETLEDGER_SAMPLING_PS", "7"},
                                                                             {"FLEETLEDGER_STORAGE_RETENTION", "3d"},
                                                                             {"PATH", "/bin"},
                                                                             {"fleetledger_log_level", "error"}});
  CHECK(texts(parsed.problems).empty());
  CHECK(parsed.remarks.empty());
  CHECK(parsed.config.sampling.scope == Scope::process);
  CHECK(parsed.config.sampling.ps == "7");
  CHECK(parsed.config.storage.retention == 72h);
  CHECK(parsed.config.log.level == LogLevel::debug);
}

TEST_CASE("every single value has a variable, lists and maps have none") {
  for (const ConfigKey& key : config_keys()) {
    CAPTURE(key.path);
    const bool many = key.path.starts_with("discovery.") || key.path.starts_with("http.limits") ||
                      key.path == "http.listen" || key.path == "http.allowed_hosts";
    CHECK(key.variable.empty() == many);
    if (!many) CHECK(texts(parse("", {{key.variable, key.default_value}}).problems).empty());
    if (!many) CHECK_FALSE(parse("", {{key.variable, "\x01"}}).ok());
  }
}

TEST_CASE("an address that other hosts can reach has to be asked for, in the file or by the environment") {
  const std::string remote = "http:\n  listen: [\"127.0.0.1:4100\", \"0.0.0.0:4100\"]\n";
  CHECK(texts(parse(remote).problems) ==
        "f.yaml:2: http.listen: 0.0.0.0:4100 can be reached from other hosts; if that is meant, say "
        "http.allow_remote: true\n");
  CHECK(parse(remote + "  allow_remote: true\n").ok());
  CHECK(parse(remote + "  enabled: false\n").ok());
  CHECK(parse(remote, {{"FLEETLEDGER_HTTP_ALLOW_REMOTE", "true"}}).ok());
  CHECK(parse("http: {listen: [\"127.9.9.9:1\", \"[::1]:2\", \"unix:/x\"]}").ok());
  CHECK(texts(parse("http: {listen: []}").problems) ==
        "f.yaml:1: http.listen: an address is needed; to serve nothing, say http.enabled: false\n");
}

TEST_CASE("metrics for anybody are refused where others can connect, in the file or by the environment") {
  const std::string none = "http:\n  metrics_auth: none\n";
  CHECK(parse(none).ok());
  CHECK(parse(none + "  listen: [\"[::1]:0\", \"unix:/x\"]\n").ok());
  const std::string remote = "  allow_remote: true\n  listen: [\"127.0.0.1:1\", \"0.0.0.0:4100\"]\n";
  const std::string why =
      "http.metrics_auth: none is for loopback addresses only, and 0.0.0.0:4100 can be reached from other hosts\n";
  CHECK(texts(parse(none + remote).problems) == "f.yaml:2: " + why);
  CHECK(texts(parse("http:\n" + remote, {{"FLEETLEDGER_HTTP_METRICS_AUTH", "none"}}).problems) == "f.yaml: " + why);
  CHECK(parse(none + remote + "  enabled: false\n").ok());
}

TEST_CASE("what is wrong in the environment is told by the variable's name") {
  const ParsedConfig parsed = parse("log: {level: loud}\n", {{"FLEETLEDGER_SAMPLING_SCOPE", "treee"},
                                                             {"FLEETLEDGER_SAMPLING_SCOOP", "tree"},
                                                             {"FLEETLEDGER_SAMPLNG_TIMEOUT", "5s"},
                                                             {"FLEETLEDGER_STORAGE_COLOUR", "red"},
                                                             {"FLEETLEDGER_DISCOVERY_HOMES", "/home/ada"},
                                                             {"FLEETLEDGER_STORAGE_DIRECTORY", "/\xFF"},
                                                             {"FLEETLEDGER_SAMPLING_PS", ""}});
  CHECK(texts(parsed.problems) ==
        "f.yaml:1: log.level: \"loud\" is none of debug | info | warning | error\n"
        "environment: FLEETLEDGER_DISCOVERY_HOMES: lists and maps are set in the file only\n"
        "environment: FLEETLEDGER_SAMPLING_SCOPE: \"treee\" is none of tree | process; did you mean \"tree\"?\n"
        "environment: FLEETLEDGER_SAMPLING_PS: text is needed; it is empty\n"
        "environment: FLEETLEDGER_STORAGE_DIRECTORY: this is not UTF-8\n"
        "environment: FLEETLEDGER_SAMPLING_SCOOP: unknown variable; did you mean \"FLEETLEDGER_SAMPLING_SCOPE\"?\n"
        "environment: FLEETLEDGER_SAMPLNG_TIMEOUT: unknown variable; did you mean \"FLEETLEDGER_SAMPLING_TIMEOUT\"?\n"
        "environment: FLEETLEDGER_STORAGE_COLOUR: unknown variable\n");
}

TEST_CASE("variables that orchestrators make of a service's name stop nothing") {
  const ParsedConfig parsed = parse("", {{"FLEETLEDGER_SERVICE_HOST", "10.0.0.1"}, {"FLEETLEDGER_PORT", "tcp://x"}});
  CHECK(parsed.ok());
  CHECK(texts(parsed.remarks) ==
        "environment: FLEETLEDGER_PORT: this variable means nothing here\n"
        "environment: FLEETLEDGER_SERVICE_HOST: this variable means nothing here\n");
}

TEST_CASE("a file of more than 1 MiB is refused unread") {
  const std::string limit = "log: {level: debug}\n" + std::string((1 << 20) - 20, '\n');
  CHECK(parse(limit).config.log.level == LogLevel::debug);
  const ParsedConfig parsed = parse(limit + "\n");
  CHECK(texts(parsed.problems) == "f.yaml:1048558: the file is larger than 1 MiB\n");
  CHECK(parsed.config == Config{});
}

TEST_CASE("a file of problems ends in a count, not in a flood") {
  std::string text;
  for (int line = 1; line <= 5000; ++line) text += "key" + std::to_string(line) + ": 1\n";
  const ParsedConfig parsed = parse(text);
  REQUIRE(parsed.problems.size() == 101);
  CHECK(to_string(parsed.problems.at(99)) == "f.yaml:100: key100: unknown key");
  CHECK(to_string(parsed.problems.at(100)) == "f.yaml: and 4900 more problems");
}

TEST_CASE("texts made to hurt a parser are refused, and no message is long or unprintable") {
  const std::string megabyte((1 << 20) - 100, ' ');
  const auto repeated = [](std::string_view piece, std::size_t times) {
    std::string text;
    while (times-- > 0) text += piece;
    return text;
  };
  std::vector<std::string> hostile{repeated("[", 500'000),
                                   repeated("{", 500'000),
                                   repeated("- ", 500'000),
                                   repeated("? ", 500'000),
                                   repeated("{a: ", 200'000),
                                   repeated("[{", 200'000),
                                   repeated("&a ", 300'000),
                                   repeated("!", 500'000),
                                   repeated("a: &a\n", 100'000),
                                   repeated("\"", 500'001),
                                   repeated("'", 500'001),
                                   repeated("%YAML 1.2\n", 50'000),
                                   repeated("---\n", 200'000),
                                   repeated("*a\n", 200'000),
                                   "log: {level: " + repeated("x", 900'000) + "}",
                                   repeated("x", 900'000) + ": 1",
                                   "log:\n" + megabyte + "level: 1",
                                   "log: |\n" + repeated("  x\n", 200'000),
                                   repeated("a: b: ", 150'000),
                                   "log: >-\n\t\n",
                                   "log: \"\\xZZ\"\n",
                                   "log: \"\\uD800\"\n",
                                   "log: \"\\U7FFFFFFF\"\n",
                                   "? ? ? ? ? ? ? ? ? ? ? ? a",
                                   repeated("- a\n", 200'000),
                                   "discovery: {homes: [" + repeated("x,", 400'000) + "]}"};
  std::string nested;
  for (int level = 0; level < 700; ++level) nested += std::string(static_cast<std::size_t>(level), ' ') + "a:\n";
  hostile.push_back(nested);
  for (const std::string& text : hostile) {
    CAPTURE(text.substr(0, 40));
    const ParsedConfig parsed = parse(text);
    CHECK_FALSE(parsed.ok());
    CHECK(parsed.problems.size() <= 101);
    for (const Problem& problem : parsed.problems) {
      CHECK(problem.message.size() < 300);
      CHECK(problem.key.size() < 300);
      const std::string line = to_string(problem);
      CHECK(std::none_of(line.begin(), line.end(), [](char c) { return (c >= 0 && c < 0x20) || c == 0x7F; }));
    }
  }
}

TEST_CASE("a problem is told as path, line, key and message, without what is absent") {
  CHECK(to_string(Problem{"/c.yaml", 14, "sampling.intervall", "unknown key"}) ==
        "/c.yaml:14: sampling.intervall: unknown key");
  CHECK(to_string(Problem{"/c.yaml", 3, "", "this is not UTF-8"}) == "/c.yaml:3: this is not UTF-8");
  CHECK(to_string(Problem{"environment", 0, "FLEETLEDGER_X", "unknown variable"}) ==
        "environment: FLEETLEDGER_X: unknown variable");
}

}  // namespace
}  // namespace fleetledger
