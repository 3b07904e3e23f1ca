#include "collector/commands/top_view.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <optional>

#include "collector/api/json_writer.h"
#include "collector/commands/table.h"

namespace fleetledger {
namespace {

constexpr const char* kBold = "\x1b[1m";
constexpr const char* kDim = "\x1b[2m";
constexpr const char* kYellow = "\x1b[33m";
constexpr const char* kPlain = "";

/// CPU in tenths of a percent, as it is shown: these are what adds up.
using Tenths = std::int64_t;

Tenths tenths(double percent) {
  constexpr double kMost = 1e12;  // foreign numbers: more is no percentage
  return std::llround(std::clamp(percent, -kMost, kMost) * 10);
}

double percent_of(const JsonValue& amount) { return amount.member("cpuPercent").number().value_or(0); }

std::string text_of(Tenths cpu) { return fixed(static_cast<double>(cpu) / 10, 1); }

std::string whole(std::int64_t number) { return std::to_string(number); }

std::string name_of(const JsonValue& value, const char* member) {
  constexpr std::size_t kLongest = 400;
  return value.member(member).short_text(kLongest);
}

std::int64_t count_of(const JsonValue& value, const char* member) {
  constexpr std::int64_t kMost = 1'000'000'000'000'000;  // foreign numbers: no host has more of anything
  return std::clamp(value.member(member).integer().value_or(0), -kMost, kMost);
}

std::string memory_of(const JsonValue& amount) { return mebibytes(static_cast<double>(count_of(amount, "rssBytes"))); }

template <typename Visit>
void for_each(const JsonValue& array, Visit visit) {
  for (std::size_t i = 0; i < array.size(); ++i) {
    visit(array.element(i));
  }
}

/// The page as it grows: lines of foreign text made safe and cut to the width, each in one style.
class Lines {
 public:
  explicit Lines(const TopPage& page) : page_(page) {}

  void add(const std::string& text, const char* style = kPlain) {
    auto line = shortened(printable(text), page_.width);
    lines_.push_back(page_.colour && *style != '\0' ? style + line + "\x1b[0m" : line);
  }

  /// `styles`: of the rows; the header is bold.
  void add(const Table& table, const std::vector<const char*>& styles) {
    const auto text = table.text();
    std::size_t row = 0;
    for (std::size_t from = 0, to = 0; (to = text.find('\n', from)) != std::string::npos; from = to + 1, ++row) {
      add(text.substr(from, to - from), row == 0 ? kBold : styles.at(row - 1));
    }
  }

  [[nodiscard]] std::vector<std::string> take() { return std::move(lines_); }

 private:
  const TopPage& page_;
  std::vector<std::string> lines_;
};

/// How many rows of each kind there is room for.
struct Room {
  std::size_t agents = 0;
  std::size_t sessions = 0;
};

Room room_for(std::size_t agents, std::size_t sessions, std::size_t height) {
  constexpr std::size_t kOtherLines = 16;
  constexpr std::size_t kSessionsAtLeast = 3;
  if (height == 0) {
    return {agents, sessions};
  }
  const auto rows = std::max(height, kOtherLines + 1) - kOtherLines;
  const auto for_sessions = std::min({sessions, kSessionsAtLeast, rows - 1});
  const auto shown = std::min(agents, rows - for_sessions);
  return {shown, std::min(sessions, rows - shown)};
}

std::string duration_text(std::chrono::milliseconds duration) {
  const auto seconds = std::chrono::duration<double>(duration).count();
  return seconds < 120 ? fixed(seconds, 1) + " s" : fixed(seconds / 60, 1) + " min";
}

JsonValue refused_configuration(const JsonValue& fleet) { return fleet.member("configuration").member("refused"); }

void add_header(Lines& lines, const JsonValue& fleet, const TopOrigin& origin) {
  const auto host = fleet.member("host");
  const auto total = count_of(host, "memoryTotalBytes");
  lines.add(
      fmt::format("CPU {} % of {} % (one core is 100), memory {} of {} MiB, {} processes",
                  text_of(tenths(percent_of(host))), 100 * count_of(host, "cpus"),
                  fixed(static_cast<double>(total - count_of(host, "memoryAvailableBytes")) / (1024.0 * 1024.0), 0),
                  fixed(static_cast<double>(total) / (1024.0 * 1024.0), 0), count_of(host, "processes")));
  const auto interval = std::chrono::milliseconds{count_of(fleet, "intervalMs")};
  lines.add(fmt::format("{}, {} old, over {}{}", origin.collector ? "the collector's last look" : "own looks",
                        duration_text(origin.age), duration_text(interval),
                        origin.why.empty() ? "" : " (" + origin.why + ")"),
            kDim);
  if (const auto refused = refused_configuration(fleet); refused.is_object()) {
    lines.add("the configuration was refused, the old one stays in force:", kYellow);
    lines.add("  " + name_of(refused, "reason"), kYellow);
  }
  lines.add("");
}

using Align = Table::Align;

/// The rows that add up.
void add_shares(Lines& lines, const JsonValue& fleet, const TopPage& page, std::size_t shown) {
  constexpr std::size_t kOtherColumns = 54;
  Table table({{"AGENT", Align::left, page.width - kOtherColumns},
               {"STATE", Align::left, 11},
               {"SESSIONS", Align::right},
               {"  CPU %", Align::right},
               {"  RSS MiB", Align::right},
               {"PROCESSES", Align::right}});
  std::vector<const char*> styles;
  Tenths sum = 0;
  const auto add = [&](std::vector<std::string> cells, Tenths cpu, const char* style) {
    sum += cpu;
    cells[3] = text_of(cpu);
    table.row(std::move(cells));
    styles.push_back(style);
  };
  struct {
    std::int64_t agents = 0, sessions = 0, processes = 0;
    double percent = 0, bytes = 0;
  } rest;
  std::size_t row = 0;
  for_each(fleet.member("agents"), [&](const JsonValue& agent) {
    const auto now = agent.member("now");
    if (!now.is_object()) {
      return;
    }
    if (row++ < shown) {
      const auto state = name_of(agent, "state");
      add({name_of(agent, "name"), state, whole(count_of(agent, "liveSessions")), "", memory_of(now),
           whole(count_of(now, "processes"))},
          tenths(percent_of(now)), state == "sampling" || state == "idle" ? kPlain : kYellow);
    } else {
      ++rest.agents;
      rest.sessions += count_of(agent, "liveSessions");
      rest.processes += count_of(now, "processes");
      rest.percent += percent_of(now);
      rest.bytes += static_cast<double>(count_of(now, "rssBytes"));
    }
  });
  if (rest.agents > 0) {
    add({whole(rest.agents) + " more agents", "", whole(rest.sessions), "", mebibytes(rest.bytes),
         whole(rest.processes)},
        tenths(rest.percent), kDim);
  }
  add({"everything else", "", "", "", "", ""}, tenths(percent_of(fleet.member("everythingElse"))), kPlain);
  add({"unattributed", "", "", "", "", ""}, tenths(percent_of(fleet.member("unattributed"))), kDim);
  const auto collector = fleet.member("collector");
  add({"fleetledger", "", "", "", memory_of(collector), ""}, tenths(percent_of(collector)), kPlain);
  const auto host = tenths(percent_of(fleet.member("host")));
  add({"rounding", "", "", "", "", ""}, host - sum, kDim);
  add({"host", "", "", "", "", whole(count_of(fleet.member("host"), "processes"))}, host, kBold);
  lines.add(table, styles);

  std::string top;
  for_each(fleet.member("everythingElse").member("top"), [&](const JsonValue& program) {
    top += fmt::format("{}{} {} %", top.empty() ? "" : ", ", printable(name_of(program, "name")),
                       text_of(tenths(percent_of(program))));
  });
  lines.add("most of everything else: " + (top.empty() ? "nothing" : top), kDim);
  lines.add("");
}

void add_sessions(Lines& lines, const JsonValue& sessions, const TopPage& page, std::size_t shown) {
  constexpr std::size_t kOtherColumns = 35;
  const auto names = page.width - kOtherColumns;
  Table table({{"SESSION", Align::left, names - names / 3},
               {"AGENT", Align::left, names / 3},
               {"  CPU %", Align::right},
               {"  RSS MiB", Align::right},
               {"PROCESSES", Align::right}});
  std::size_t row = 0;
  for_each(sessions, [&](const JsonValue& session) {
    if (row < shown) {
      ++row;
      const auto name = name_of(session, "sessionName");
      table.row({name.empty() ? name_of(session, "source") : name, name_of(session, "agentName"),
                 text_of(tenths(percent_of(session))), memory_of(session), whole(count_of(session, "processes"))});
    }
  });
  lines.add(table, std::vector<const char*>(row, kPlain));
  lines.add("");
}

void add_orphans(Lines& lines, const JsonValue& fleet) {
  const auto orphans = fleet.member("orphans");
  std::string whose;
  for_each(fleet.member("agents"), [&](const JsonValue& agent) {
    if (const auto processes = count_of(agent.member("orphans"), "processes"); processes > 0) {
      whose += fmt::format("{}{} {}", whose.empty() ? ": " : ", ", printable(name_of(agent, "name")), processes);
    }
  });
  const auto processes = count_of(orphans, "processes");
  lines.add(processes == 0 ? "orphans: none"
                           : fmt::format("orphans: {} processes, {} % CPU, {} MiB{}", processes,
                                         text_of(tenths(percent_of(orphans))), memory_of(orphans), whose),
            processes == 0 ? kDim : kYellow);
}

void add_without_numbers(Lines& lines, const JsonValue& agents) {
  std::string who;
  for_each(agents, [&](const JsonValue& agent) {
    if (!agent.member("now").is_object()) {
      who += fmt::format("{}{} ({})", who.empty() ? "" : ", ", printable(name_of(agent, "name")),
                         printable(name_of(agent, "state")));
    }
  });
  if (!who.empty()) {
    lines.add("not metered: " + who, kDim);
  }
}

}  // namespace

bool has_numbers(const JsonValue& fleet) {
  return fleet.member("host").member("cpuPercent").number() && fleet.member("agents").is_array();
}

std::vector<std::string> top_lines(const JsonValue& fleet, const TopOrigin& origin, const TopPage& page) {
  constexpr std::size_t kNarrowest = 80;
  auto wide = page;
  wide.width = std::max(page.width, kNarrowest);
  std::size_t agents = 0;
  for_each(fleet.member("agents"), [&](const JsonValue& agent) { agents += agent.member("now").is_object() ? 1 : 0; });
  const auto sessions = fleet.member("heaviestSessions");
  const std::size_t refusal = refused_configuration(fleet).is_object() ? 2 : 0;
  const auto room =
      room_for(agents, sessions.size(), page.height == 0 ? 0 : page.height - std::min(page.height - 1, refusal));

  Lines lines(wide);
  add_header(lines, fleet, origin);
  add_shares(lines, fleet, wide, room.agents);
  if (room.sessions > 0) {
    add_sessions(lines, sessions, wide, room.sessions);
  }
  add_orphans(lines, fleet);
  add_without_numbers(lines, fleet.member("agents"));
  return lines.take();
}

std::string top_json(const std::string& fleet, const TopOrigin& origin) {
  JsonWriter json;
  json.object()
      .field("from", origin.collector ? "collector" : "own looks")
      .field("why", origin.why.empty() ? std::nullopt : std::optional{std::string_view(origin.why)})
      .field("ageMs", std::int64_t{origin.age.count()})
      .end();
  auto text = json.take();
  text.back() = ',';
  return text + fleet.substr(1);
}

}  // namespace fleetledger
