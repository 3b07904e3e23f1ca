#include "collector/commands/top_view.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <fmt/format.h>
#include <random>

#include "tests/support/columns.h"

using namespace fleetledger;
using Names = std::vector<std::string>;

namespace {

std::string amount(double percent, std::int64_t bytes = 1 << 20, int processes = 2) {
  return fmt::format(R"("cpuSeconds":1,"cpuPercent":{},"rssBytes":{},"processes":{})", percent, bytes, processes);
}

/// An answer of /fleet/now.
struct FleetText {
  Names agents;
  Names sessions;
  Names top;
  double host = 0, other = 0, unattributed = 0, collector = 0;
  std::string orphans = amount(0, 0, 0);

  void agent(const std::string& name, const std::string& state, const std::string& now,
             const std::string& its_orphans = amount(0, 0, 0)) {
    agents.push_back(fmt::format(R"({{"name":"{}","state":"{}","liveSessions":3,"now":{},"orphans":{{{}}}}})", name,
                                 state, now, its_orphans));
  }
  void session(const std::string& name, const std::string& agent, double percent) {
    sessions.push_back(
        fmt::format(R"({{"agentName":"{}","source":"session:s","sessionName":{},{}}})", agent, name, amount(percent)));
  }
  [[nodiscard]] std::string json() const {
    return fmt::format(
        R"({{"ts":1,"intervalMs":60000,"host":{{{},"cpus":4,"memoryTotalBytes":4194304,"memoryAvailableBytes":1048576}},)"
        R"("everythingElse":{{{},"top":[{}]}},"unattributed":{{{}}},"rounding":{{{}}},"collector":{{{}}},)"
        R"("orphans":{{{}}},"heaviestSessions":[{}],"agents":[{}]}})",
        amount(host, 0, 321), amount(other), fmt::join(top, ","), amount(unattributed), amount(0), amount(collector),
        orphans, fmt::join(sessions, ","), fmt::join(agents, ","));
  }
  [[nodiscard]] Names lines(const TopPage& page = {},
                            const TopOrigin& origin = {true, "", std::chrono::seconds{12}}) const {
    const auto document = JsonDocument::parse(json());
    REQUIRE(document);
    return top_lines(document->root(), origin, page);
  }
};

std::string joined(const Names& lines) { return fmt::format("{}", fmt::join(lines, "\n")); }

std::string substring(const std::string& line, std::size_t from, std::size_t count) {
  std::string text;
  std::size_t column = 0;
  for (const char c : line) {
    column += (static_cast<unsigned char>(c) & 0xC0U) != 0x80U ? 1 : 0;
    if (column > from && column <= from + count) text += c;
  }
  return text;
}

/// Of the table whose header begins so, the cells below `title`, which are right-aligned, by what their rows begin
/// with.
std::vector<std::pair<std::string, std::int64_t>> tenths_below(const Names& lines, const std::string& header,
                                                               const std::string& title) {
  std::vector<std::pair<std::string, std::int64_t>> cells;
  std::size_t end = 0;
  for (const auto& line : lines) {
    if (end == 0 && line.starts_with(header)) {
      end = line.find(title) + title.size();
    } else if (end != 0 && (line.empty() || line.starts_with("most of"))) {
      break;
    } else if (end != 0) {
      cells.emplace_back(line.substr(0, line.find("  ")), std::llround(std::stod(substring(line, end - 9, 9)) * 10));
    }
  }
  return cells;
}

void check_adds_up(const Names& lines) {
  INFO(joined(lines));
  const auto rows = tenths_below(lines, "AGENT", "CPU %");
  REQUIRE(rows.size() >= 5);
  REQUIRE(rows.back().first == "host");
  std::int64_t sum = 0;
  for (std::size_t i = 0; i + 1 < rows.size(); ++i) {
    sum += rows[i].second;
  }
  CHECK(sum == rows.back().second);
}

}  // namespace

TEST_CASE("top says who uses the host, the heaviest first as they came, and what is shown adds up") {
  FleetText fleet;
  fleet.agent("echo", "sampling", "{" + amount(70.72, 15 << 20, 4) + "}");
  fleet.agent("scout", "unavailable", "{" + amount(20.61, 26 << 20, 7) + "}", amount(1, 1, 2));
  fleet.agent("archivist", "off", "null");
  fleet.session(R"("build")", "echo", 25.13);
  fleet.session("null", "scout", 16.5);
  fleet.top = {R"({"name":"cc1plus",)" + amount(30.26) + "}", R"({"name":"node",)" + amount(3) + "}"};
  fleet.orphans = amount(1.25, 3 << 20, 2);
  fleet.host = 128.87;
  fleet.other = 33.33;
  fleet.unattributed = 0.11;
  fleet.collector = 4.1;
  const auto lines = fleet.lines();
  INFO(joined(lines));
  CHECK(joined(lines) ==
        "CPU 128.9 % of 400 % (one core is 100), memory 3 of 4 MiB, 321 processes\n"
        "the collector's last look, 12.0 s old, over 60.0 s\n"
        "\n"
        "AGENT            STATE        SESSIONS    CPU %    RSS MiB  PROCESSES\n"
        "echo             sampling            3     70.7       15.0          4\n"
        "scout            unavailable         3     20.6       26.0          7\n"
        "everything else                            33.3\n"
        "unattributed                                0.1\n"
        "fleetledger                                 4.1        1.0\n"
        "rounding                                    0.1\n"
        "host                                      128.9                   321\n"
        "most of everything else: cc1plus 30.3 %, node 3.0 %\n"
        "\n"
        "SESSION    AGENT    CPU %    RSS MiB  PROCESSES\n"
        "build      echo      25.1        1.0          2\n"
        "session:s  scout     16.5        1.0          2\n"
        "\n"
        "orphans: 2 processes, 1.3 % CPU, 3.0 MiB: scout 2\n"
        "not metered: archivist (off)");
  check_adds_up(lines);
  const auto own = fleet.lines({}, {false, "no collector runs", std::chrono::minutes{3}});
  CHECK(own[1] == "own looks, 3.0 min old, over 60.0 s (no collector runs)");
}

TEST_CASE("the CPU rows that are shown add up to the host's row, and no line is too wide or too many") {
  std::mt19937 random(4);  // NOLINT: the same fleets each time
  std::uniform_real_distribution<double> percent(0, 99);
  for (int run = 0; run < 60; ++run) {
    FleetText fleet;
    const auto agents = random() % 40;
    for (std::size_t i = 0; i < agents; ++i) {
      const auto used = percent(random);
      fleet.agent(std::string(random() % 60, 'n') + std::to_string(i), "sampling", "{" + amount(used) + "}");
      fleet.session("\"" + std::string(random() % 90, 's') + "\"", "agent", used / 2);
      fleet.host += used;
    }
    fleet.other = percent(random);
    fleet.collector = percent(random) / 100;
    fleet.unattributed = percent(random) / 50;
    fleet.host += fleet.other + fleet.collector + fleet.unattributed;
    for (const auto& page :
         {TopPage{}, TopPage{.width = 120}, TopPage{.width = 20}, TopPage{.height = 24}, TopPage{.height = 30}}) {
      const auto lines = fleet.lines(page);
      check_adds_up(lines);
      CHECK((page.height == 0 || lines.size() <= page.height));
      for (const auto& line : lines) {
        CHECK(test::columns_of(line) <= std::max<std::size_t>(page.width, 80));
      }
    }
  }
}

TEST_CASE("agents that do not fit are one row together") {
  FleetText fleet;
  for (int i = 0; i < 30; ++i) {
    fleet.agent("agent" + std::to_string(i), "sampling", "{" + amount(1.5) + "}");
  }
  fleet.host = 45;
  const auto lines = fleet.lines({.height = 24});
  const auto rows = tenths_below(lines, "AGENT", "CPU %");
  CHECK(rows.size() == 8 + 1 + 5);
  CHECK(rows[8] == std::pair<std::string, std::int64_t>{"22 more agents", 330});
  CHECK(lines.size() <= 24);
  CHECK(fleet.lines().size() == 3 + 1 + 30 + 5 + 2 + 1);
}

TEST_CASE("no foreign name reaches the terminal with a character that moves, colours, turns or hides") {
  for (const std::string hostile :
       {R"(\u001b[2Jx)", R"(a\nb)", R"(a\rb)", R"(a\tb)", R"(\u009b31mx)", R"(a\u007fb)", R"(a\u202eb)", R"(a\u200bb)",
        R"(a\u2066b)", R"(a\u2028b)", R"(\ufeffb)", R"(a\u0000b)"}) {
    CAPTURE(hostile);
    FleetText fleet;
    fleet.agent(hostile, hostile, "{" + amount(1) + "}", amount(1));
    fleet.agent(hostile, hostile, "null");
    fleet.session("\"" + hostile + "\"", hostile, 1);
    fleet.top = {R"({"name":")" + hostile + "\"," + amount(1) + "}"};
    fleet.orphans = amount(1);
    const auto origin = TopOrigin{false, "a\x1b[31m\nb", {}};
    int marks = 0;
    for (const auto& line : fleet.lines({}, origin)) {
      INFO(line);
      for (const char c : line) {
        CHECK(static_cast<unsigned char>(c) >= 0x20);
        CHECK(c != 0x7F);
        marks += c == '?' ? 1 : 0;
      }
      for (const auto* three : {"\xE2\x80\xAE", "\xE2\x80\x8B", "\xE2\x81\xA6", "\xE2\x80\xA8", "\xEF\xBB\xBF"}) {
        CHECK(line.find(three) == std::string::npos);
      }
      CHECK(line.find("\xC2\x9B") == std::string::npos);
    }
    CHECK(marks >= 6);
  }
}

TEST_CASE("colour changes nothing but colour, and is there only if it is asked for") {
  FleetText fleet;
  fleet.agent("echo", "unreadable", "{" + amount(1) + "}");
  const auto plain = fleet.lines();
  CHECK(joined(plain).find('\x1b') == std::string::npos);
  auto coloured = joined(fleet.lines({.colour = true}));
  CHECK(coloured.find("\x1b[33mecho") != std::string::npos);
  for (auto at = coloured.find("\x1b["); at != std::string::npos; at = coloured.find("\x1b[")) {
    coloured.erase(at, coloured.find('m', at) + 1 - at);
  }
  CHECK(coloured == joined(plain));
}

TEST_CASE("an answer that is another than promised is no reason to fall") {
  for (const std::string odd :
       {"{}", "[]", "1", R"({"host":[],"agents":{},"heaviestSessions":{"a":1}})",
        R"({"host":{"cpuPercent":1e300,"cpus":-1,"memoryTotalBytes":1e300},"agents":[1,null,{"now":{}},)"
        R"({"now":{"cpuPercent":"x","rssBytes":-1e308}}],"heaviestSessions":[7,{"sessionName":5}],)"
        R"("everythingElse":{"top":[[],{"name":3}]}})"}) {
    const auto document = JsonDocument::parse(odd);
    REQUIRE(document);
    CHECK(top_lines(document->root(), {}, {}).size() >= 10);
  }
  CHECK_FALSE(has_numbers(JsonDocument::parse("{}")->root()));
  CHECK_FALSE(has_numbers(JsonDocument::parse(R"({"host":{"cpuPercent":null},"agents":[]})")->root()));
  CHECK_FALSE(has_numbers(JsonDocument::parse(R"({"host":{"cpuPercent":1},"agents":{}})")->root()));
  CHECK(has_numbers(JsonDocument::parse(R"({"host":{"cpuPercent":1},"agents":[]})")->root()));
}

TEST_CASE("for programs the answer stays as it is, with where it comes from in front") {
  CHECK(top_json(R"({"ts":1,"agents":[]})", {true, "", std::chrono::milliseconds{5}}) ==
        R"({"from":"collector","why":null,"ageMs":5,"ts":1,"agents":[]})");
  CHECK(top_json(R"({"ts":1})", {false, "a \"b\"", {}}) == R"({"from":"own looks","why":"a \"b\"","ageMs":0,"ts":1})");
}

TEST_CASE("the page says that a configuration was refused, and nothing of one that is in force") {
  FleetText fleet;
  const auto with = [&](const std::string& configuration) {
    auto text = fleet.json();
    text.insert(text.size() - 1, R"(,"configuration":)" + configuration);
    const auto document = JsonDocument::parse(text);
    REQUIRE(document);
    return joined(top_lines(document->root(), {true, "", {}}, {}));
  };
  const std::string said =
      "the configuration was refused, the old one stays in force:\n  fleet.yaml:3: log.level: ? x\n";
  CHECK(with(R"({"since":1,"refused":{"at":2,"reason":"fleet.yaml:3: log.level: \u001b x"},"atNextStart":[]})")
            .find(said) != std::string::npos);
  for (const auto* quiet : {"null", R"({"since":1,"refused":null,"atNextStart":["http"]})", "[]", "7"}) {
    CHECK(with(quiet).find("configuration") == std::string::npos);
  }
}
