#include "tests/fuzz/host_targets.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "collector/discovery/tmux_name.h"
#include "collector/sources/environment_source.h"
#include "collector/sources/net_table.h"
#include "collector/sources/proc_stat.h"
#include "collector/sources/ps_history.h"
#include "collector/sources/ps_parser.h"
#include "collector/sources/tmux_panes.h"
#include "core/charge.h"
#include "tests/fuzz/fuzz.h"

namespace fleetledger::fuzz {
namespace {

using std::chrono::seconds;

std::size_t count_lines(std::string_view text) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const auto end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) {
      return parts;
    }
    text.remove_prefix(end + 1);
  }
}

void expect_row(const PsRow& row) {
  expect(row.pid > 0 && row.parent >= 0, "pids are numbers of processes");
  expect(row.elapsed >= Micros{0} && row.elapsed <= seconds{510LL * 366 * 86'400}, "an age is at most some 500 years");
  expect(row.resident.value >= 0, "memory is not negative");
  for (const auto& cpu : {row.own, row.with_reaped}) {
    expect(cpu.at_least >= Micros{0}, "CPU time is not negative");
    expect(cpu.share_low >= 0 && cpu.share_low <= 1e5 && cpu.share_high <= 1.1e5, "a share is one of so many CPUs");
  }
}

std::string state_and_name(const PsRow& row) {
  return (row.zombie ? "Z    " : "S    ") + std::string(row.name.view()) + (row.zombie ? " <defunct>\n" : "\n");
}

/// The row as procps prints it.
std::string printed_by_linux(const PsRow& row) {
  const auto cpu_seconds = std::chrono::floor<seconds>(row.own.at_least).count();
  const auto all_seconds = std::chrono::floor<seconds>(row.with_reaped.at_least).count();
  std::array<char, 200> text{};
  std::snprintf(text.data(), text.size(), "%7d %7d %5u %7lld %8lld %3lld:%02lld %6.3f %6.3f %4.1f %5lld ", row.pid,
                row.parent, row.owner, static_cast<long long>(std::chrono::floor<seconds>(row.elapsed).count()),
                static_cast<long long>(cpu_seconds), static_cast<long long>(all_seconds / 60),
                static_cast<long long>(all_seconds % 60), 0.0, 0.0, 0.0,
                static_cast<long long>(row.resident.value / 1024));
  return text.data() + state_and_name(row);
}

/// [[dd-]hh:]mm:ss and hundredths.
std::string printed_time(Micros time) {
  const auto all = std::chrono::floor<seconds>(time).count();
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%lld-%02lld:%02lld:%02lld.%02lld", static_cast<long long>(all / 86'400),
                static_cast<long long>(all / 3600 % 24), static_cast<long long>(all / 60 % 60),
                static_cast<long long>(all % 60), static_cast<long long>(time.count() % 1'000'000 / 10'000));
  return text.data();
}

/// mmm:ss.cc: however many minutes.
std::string printed_cpu_time(Micros time) {
  const auto all = std::chrono::floor<seconds>(time).count();
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%lld:%02lld.%02lld", static_cast<long long>(all / 60),
                static_cast<long long>(all % 60), static_cast<long long>(time.count() % 1'000'000 / 10'000));
  return text.data();
}

std::string printed_by_macos(const PsRow& row) {
  return std::to_string(row.pid) + ' ' + std::to_string(row.parent) + ' ' + std::to_string(row.owner) + ' ' +
         printed_time(row.elapsed) + ' ' + printed_cpu_time(row.own.at_least) + ' ' +
         std::to_string(row.resident.value / 1024) + ' ' + state_and_name(row);
}

/// What is read of rows that are printed again is what was read before, but for the shares.
void expect_same(const PsRow& row, const PsRow& again) {
  expect(row.pid == again.pid && row.parent == again.parent && row.owner == again.owner, "who it is reads back");
  expect(row.elapsed == again.elapsed && row.resident == again.resident, "age and memory read back");
  expect(row.own.at_least == again.own.at_least && row.with_reaped.at_least == again.with_reaped.at_least,
         "CPU times read back");
  expect(row.zombie == again.zombie && row.name == again.name, "state and name read back");
}

void check_rows(std::string_view bytes, Result<std::vector<PsRow>> (*parse)(std::string_view),
                std::string (*print)(const PsRow&)) {
  const auto rows = parse(bytes);
  if (!rows) {
    return expect_message(rows.error().text);
  }
  expect(rows->size() == count_lines(bytes) && bytes.ends_with('\n'), "a row is a line");
  std::string printed;
  for (const auto& row : *rows) {
    expect_row(row);
    printed += print(row);
  }
  const auto again = parse(printed);
  expect(again && again->size() == rows->size(), "what was read can be printed and read again");
  for (std::size_t i = 0; i < rows->size(); ++i) {
    expect_same((*rows)[i], (*again)[i]);
  }
}

}  // namespace

void linux_ps(std::string_view bytes) { check_rows(bytes, parse_linux_ps, printed_by_linux); }

/// Two outputs, with a NUL between them.
void macos_ps(std::string_view bytes) {
  Input input(bytes);
  const auto first = input.part();
  const auto second = input.part();
  check_rows(first, parse_macos_ps, printed_by_macos);
  const auto own = parse_macos_ps(first);
  const auto with_reaped = parse_macos_ps(second);
  if (!own || !with_reaped) {
    return;
  }
  const auto merged = merge_macos_ps(*own, *with_reaped);
  expect(merged.size() == own->size(), "a look has the rows of its own times");
  for (std::size_t i = 0; i < merged.size(); ++i) {
    expect(merged[i].pid == (*own)[i].pid && merged[i].own.at_least == (*own)[i].own.at_least, "own times stay");
    expect(merged[i].with_reaped.at_least >= merged[i].own.at_least, "children take no time away");
  }
}

/// The outputs of several looks, two seconds apart, with NULs between them.
void ps_history(std::string_view bytes) {
  Input input(bytes);
  constexpr std::int64_t kBooted = 1'000'000'000;  // seconds: before what any row can say
  std::optional<PsHistory> history;
  Pid us = 0;
  ProcessTable before;
  Membership membership;
  for (std::int64_t look = 0; look < 4 && !input.empty(); ++look) {
    auto rows = parse_linux_ps(input.part());
    if (!rows) {
      continue;
    }
    if (!history) {
      us = rows->front().pid;
      history.emplace(OwnProcess{.pid = us, .start = BootTime{seconds{kBooted} * 20} - rows->front().elapsed});
    }
    std::map<Pid, PsRow> by_pid;
    for (const auto& row : *rows) {
      by_pid[row.pid] = row;
    }
    const BootTime moment{seconds{kBooted * 20 + look * 2}};
    const MonotonicTime taken{seconds{look * 2}};
    const auto table = history->take({.rows = std::move(*rows),
                                      .started = taken,
                                      .ended = taken + Micros{5'000},
                                      .boot_started = moment,
                                      .boot_ended = moment + Micros{5'000}});
    expect(table.has_value() == by_pid.contains(us), "a look without us fails, and no other does");
    if (!table) {
      expect_message(table.error().text);
      continue;
    }
    expect(table->size() == by_pid.size() && history->size() == by_pid.size(),
           "a process is remembered while it is there");
    for (const auto& reading : table->readings()) {
      const auto& row = by_pid.at(reading.key.pid);
      const auto* last = before.find(reading.key);
      expect(reading.own <= reading.with_reaped && reading.own >= CpuTotal{}, "own time is part of all of it");
      expect(reading.with_reaped.since_start() >= row.with_reaped.at_least, "what ps said was spent was");
      expect(last == nullptr || (last->with_reaped <= reading.with_reaped && last->own <= reading.own),
             "totals of a process do not fall");
      expect(reading.with_reaped.since_start() < row.with_reaped.at_least + seconds{1} ||
                 (last != nullptr && last->with_reaped == reading.with_reaped),
             "the second that ps said is the one");
    }
    Roots roots;
    roots.claims[table->readings().front().key] = {1, 1};
    const auto charges = charge(before, *table, roots, membership);
    for (const auto& source : charges.sources) {
      expect(source.usage >= Usage{} && source.resident.value >= 0, "nothing that is charged is negative");
    }
    expect(membership.size() <= table->size(), "who is remembered lives");
    before = *table;
  }
}

void proc_stat(std::string_view bytes) {
  const auto stat = parse_proc_stat(bytes);
  if (!stat) {
    return;
  }
  // The same line as a human would read it: the name between the outer brackets, then words.
  const auto open = bytes.find('(');
  const auto close = bytes.rfind(')');
  expect(stat->name == ProcessName(bytes.substr(open + 1, close - open - 1)), "the name is what stands in brackets");
  expect(bytes.starts_with(std::to_string(stat->pid)) || bytes.starts_with('0'), "the line starts with the pid");
  const auto words = split(bytes.substr(close + 2), ' ');
  const auto word = [&](std::size_t field) {
    std::int64_t value = 0;
    const auto text = words.at(field - 3);
    const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
    expect(read.ec == std::errc(), "a field is a number");
    return value;
  };
  expect(stat->state == words.front().front() && stat->parent == word(4) && stat->parent >= 0, "state and parent");
  expect(stat->own_ticks == word(14) + word(15) && stat->own_ticks >= 0, "own time is utime and stime");
  expect(stat->reaped_ticks == word(16) + word(17) && stat->reaped_ticks >= 0, "children's is cutime and cstime");
  expect(stat->start_ticks == word(22) && stat->resident_pages == word(24), "start and memory");
  expect(ticks_to_micros(stat->start_ticks) >= Micros{0}, "ticks are time");
}

void tmux_panes(std::string_view bytes) {
  const auto panes = parse_panes(bytes);
  if (!panes) {
    return expect_message(panes.error().text);
  }
  expect(panes->size() == count_lines(bytes), "a pane is a line");
  std::string printed;
  for (const auto& pane : *panes) {
    expect(pane.tmux_server > 0 && pane.pid >= 0 && (pane.pid > 0 || pane.dead), "pids are numbers of processes");
    printed += std::to_string(pane.tmux_server) + ' ' + std::to_string(pane.pid) + (pane.dead ? " 1 " : " 0 ") +
               pane.session + '\n';
  }
  const auto again = parse_panes(printed);
  expect(again && *again == *panes, "what was read can be printed and read again");
}

void tmux_name(std::string_view bytes) {
  const auto name = name_in_tmux(bytes);
  expect(name.find_first_of(".:\n\r\t") == std::string::npos, "no name in tmux has dots, colons or control characters");
  if (!name.empty()) {
    const auto panes = parse_panes("1 2 0 " + name + '\n');
    expect(panes && panes->size() == 1 && panes->front().session == name, "tmux's panes show the name");
  }
}

void environment(std::string_view bytes) {
  const auto says = parse_environment(bytes);
  // The same, by hand: the first ended text of a name counts, if it is no longer than a path.
  const auto first = [&](std::string_view name) -> std::string_view {
    auto variables = split(bytes, '\0');
    variables.pop_back();  // what is not ended
    for (const auto variable : variables) {
      if (variable.starts_with(name)) {
        const auto value = variable.substr(name.size());
        return value.size() > 4096 ? "" : value;
      }
    }
    return "";
  };
  expect(says.agent_home == first("INSTAR_AGENT_HOME="), "INSTAR_AGENT_HOME");
  expect(says.agent_id == first("INSTAR_AGENT_ID="), "INSTAR_AGENT_ID");
  expect(says.session_id == first("INSTAR_SESSION_ID="), "INSTAR_SESSION_ID");
}

void net_socket(std::string_view bytes) {
  for (const auto line : split(bytes, '\n')) {
    const auto socket = parse_net_socket(line);
    if (!socket) {
      continue;
    }
    const auto printed = "  12: " + std::string(socket->local) + ' ' + std::string(socket->remote) + ' ' +
                         std::string(socket->state) + " 00000000:00000000 00:00000000 00000000 " +
                         std::to_string(socket->owner) + " 0 " + std::to_string(socket->inode) + " 1 0000000000000000";
    const auto again = parse_net_socket(printed);
    expect(again && again->local == socket->local && again->remote == socket->remote && again->owner == socket->owner &&
               again->inode == socket->inode,
           "what was read can be printed and read again");
  }
}

}  // namespace fleetledger::fuzz
