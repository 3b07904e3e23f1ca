#include "bench/harness/markdown.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <optional>
#include <utility>
#include <vector>

#include "bench/harness/json_reader.h"

namespace fleetledger::bench {
namespace {

constexpr std::array kParts{"accuracy", "peers", "sight", "growth", "store", "context", "events", "http", "micro"};

class Results {
 public:
  explicit Results(const PartTexts& texts) {
    for (const auto& [file, text] : texts) files_.emplace(file, parsed(text));
  }

  /// A JSON null where there is none.
  [[nodiscard]] const Json& of(const std::string& part, const std::string& file) const {
    static const Json kNone;
    const auto found = files_.find(part + "/" + file + ".json");
    return found == files_.end() ? kNone : found->second;
  }
  [[nodiscard]] const Json& of(const std::string& part) const { return of(part, part); }
  [[nodiscard]] const Json& machine_of(const std::string& part) const { return of(part, "machine"); }

 private:
  std::map<std::string, rapidjson::Document> files_;
};

double median(const Json& object, const char* name) { return number_in(member_of(object, name), "median"); }

/// The median with least and greatest.
std::string spread_text(const Json& object, const char* name, int decimals = 2) {
  const Json& spread = member_of(object, name);
  return fmt::format("{:.{}f} ({:.{}f} to {:.{}f})", number_in(spread, "median"), decimals, number_in(spread, "least"),
                     decimals, number_in(spread, "greatest"), decimals);
}

/// Thousands are set apart.
std::string count_text(double number) {
  auto digits = fmt::format("{:.0f}", number);
  for (auto at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > 0; at -= 3) {
    digits.insert(static_cast<std::size_t>(at), ",");
  }
  return digits;
}

std::string system_of(const Json& machine) {
  return fmt::format("{}, {:.0f} cores, {}", text_in(machine, "cpu"), number_in(machine, "cores"),
                     text_in(machine, "kernel"));
}

std::string heading(const Results& results, const char* part, const char* title) {
  auto text = fmt::format("\n### {}\n\n", title);
  const Json& machine = results.machine_of(part);
  if (machine.IsObject()) {
    text += fmt::format("{}: {}, load average {:.1f} at the part's start.\n\n", text_in(machine, "time"),
                        system_of(machine), number_in(machine, "loadAverage"));
  }
  return text;
}

/// On what all parts were measured, and from when to when.
std::string machines_line(const Results& results) {
  struct Range {
    std::string first;
    std::string last;
    double least_load;
    double most_load;
  };
  std::map<std::string, Range> systems;
  for (const char* part : kParts) {
    const Json& machine = results.machine_of(part);
    if (!machine.IsObject()) continue;
    const auto time = text_in(machine, "time");
    const auto load = number_in(machine, "loadAverage");
    auto& range = systems.try_emplace(system_of(machine), Range{time, time, load, load}).first->second;
    range.first = std::min(range.first, time);
    range.last = std::max(range.last, time);
    range.least_load = std::min(range.least_load, load);
    range.most_load = std::max(range.most_load, load);
  }
  std::string text;
  for (const auto& [system, range] : systems) {
    text += fmt::format("{}; parts begun {} to {}, load average {:.1f} to {:.1f} as they began.\n", system, range.first,
                        range.last, range.least_load, range.most_load);
  }
  return text;
}

const Json& point_of(const Json& growth, double agents) {
  static const Json kNone;
  for (const auto& point : list_in(growth, "points")) {
    if (number_in(point, "agents") == agents) return point;
  }
  return kNone;
}

const Json& load_of(const Json& accuracy, const std::string& load) {
  static const Json kNone;
  for (const auto& found : list_in(accuracy, "loads")) {
    if (text_in(found, "load") == load) return found;
  }
  return kNone;
}

std::string measured_of_true(const Json& accuracy, const std::string& load) {
  const Json& whole = member_of(load_of(accuracy, load), "whole");
  return fmt::format("{:.2f} of {:.2f}", number_in(whole, "measuredSeconds"), number_in(whole, "truthSeconds"));
}

using Rows = std::vector<std::pair<std::string, std::string>>;

/// ms; one that is above all bounds is infinite, which JSON does not know. Nothing of an older run that did not ask.
std::string longest_text(const Json& run, const char* name) {
  const Json* longest = find_in(run, name);
  if (longest == nullptr) return {};
  return longest->IsNumber() ? fmt::format("{:.3g}", longest->GetDouble()) : "above all bounds";
}

/// How many took over 10 ms, how many that much of the loop's own CPU time, of all.
std::string turns_text(const Json& run) {
  if (find_in(run, "workAbove10Ms") == nullptr) {
    return fmt::format("{:.0f} of {:.0f}", number_in(run, "lagAbove10Ms"), number_in(run, "turns"));
  }
  return fmt::format("{:.0f} and {:.0f} of {:.0f}", number_in(run, "lagAbove10Ms"), number_in(run, "workAbove10Ms"),
                     number_in(run, "turns"));
}

void add_growth_headlines(const Json& growth, Rows& rows) {
  const auto tick_of = [&](double agents) {
    const Json& point = point_of(growth, agents);
    if (!point.IsObject()) return;
    const Json& procfs = member_of(point, "procfs");
    rows.emplace_back(
        fmt::format("CPU ms of a tick with all its rows, {:.0f} agents with ten sessions each: by `/proc`; "
                    "by `ps`, with its `ps`; a bare `ps`",
                    agents),
        fmt::format("{:.1f}; {:.1f}; {:.1f}", median(procfs, "togetherMs"),
                    median(member_of(point, "ps"), "togetherMs"), median(point, "barePsMs")));
    rows.emplace_back(fmt::format("MiB of memory with {:.0f} agents", agents),
                      fmt::format("{:.0f}", number_in(procfs, "residentMiB")));
    rows.emplace_back(
        fmt::format("turns of the event loop above 10 ms by the clock, and by its own CPU time, with {:.0f} agents: by "
                    "`/proc`; by `ps`",
                    agents),
        turns_text(procfs) + "; " + turns_text(member_of(point, "ps")));
  };
  tick_of(10);
  tick_of(500);
  if (list_in(growth, "points").Size() > 1) {
    rows.emplace_back(
        "own CPU grows with the number of agents to the power of: `/proc`; `ps`",
        fmt::format("{:.2f}; {:.2f}", number_in(growth, "exponentProcfs"), number_in(growth, "exponentPs")));
  }
}

void add_accuracy_headlines(const Results& results, Rows& rows) {
  for (const auto& [view, name] : {std::pair{"ps", "`ps`"}, std::pair{"procfs", "`/proc`"}}) {
    const Json& accuracy = results.of("accuracy", std::string("every-5s-") + view);
    if (!accuracy.IsObject()) continue;
    rows.emplace_back(
        fmt::format("CPU seconds seen by {} in {:.0f} s, of true ones: short tools one after the other; in chains of "
                    "shells; one long child",
                    name, number_in(accuracy, "seconds")),
        fmt::format("{}; {}; {}", measured_of_true(accuracy, "flat"), measured_of_true(accuracy, "deep"),
                    measured_of_true(accuracy, "long")));
  }
}

std::string headlines(const Results& results) {
  Rows rows;
  add_accuracy_headlines(results, rows);
  add_growth_headlines(results.of("growth"), rows);
  const Json& store = results.of("store");
  if (store.IsObject()) {
    rows.emplace_back(
        "CPU ms of a summary of an hour; of a week; of 90 days of sixty sources (MiB of that ledger)",
        fmt::format("{:.2f}; {:.2f}; {:.1f} ({:.1f})", median(store, "summaryMs"), median(store, "weekSummaryMs"),
                    median(store, "longSummaryMs"), number_in(store, "longMebibytes")));
  }
  const Json& context = results.of("context");
  if (context.IsObject()) {
    rows.emplace_back("ms until it is said what ran before a rate limit, over fifty ledgers of a week",
                      fmt::format("{:.1f}", median(context, "wallMs")));
  }
  const Json& events = results.of("events");
  if (median(events, "seconds") > 0) {
    rows.emplace_back("lines of a sentinels' log read a second at first sight",
                      count_text(number_in(events, "lines") / median(events, "seconds")));
  }
  const Json& http = results.of("http");
  if (http.IsObject()) {
    rows.emplace_back(
        "HTTP requests answered a second; ms within which 99 % were",
        count_text(number_in(http, "requestsPerSecond")) + fmt::format("; {:.2f}", number_in(http, "p99Ms")));
  }
  if (rows.empty()) return {};
  std::string text = "| what | figure |\n|---|---|\n";
  for (const auto& [what, figure] : rows) text += fmt::format("| {} | {} |\n", what, figure);
  return text;
}

/// Who looks, what that costs and how much each sees.
std::string peers_table(const Results& results) {
  const Json& peers = results.of("peers");
  if (list_in(peers, "costs").Empty()) return {};
  std::map<std::string, std::string> seen;
  for (const auto& seer : list_in(results.of("sight"), "seers")) {
    const auto truth = number_in(seer, "truthSeconds");
    if (truth > 0) seen[text_in(seer, "name")] = fmt::format("{:.1f} %", 100 * number_in(seer, "seenSeconds") / truth);
  }
  seen["a sampler in each agent"] = seen["panes' pids alone"];
  auto text = fmt::format(
      "\nOne view of a host with {:.0f} processes, {:.0f} agents and {:.0f} sessions:\n\n"
      "| who | CPU ms, median | least | greatest | MiB | of short-lived tools it sees |\n|---|---|---|---|---|---|\n",
      number_in(peers, "processes"), number_in(peers, "agents"), number_in(peers, "sessions"));
  for (const auto& cost : list_in(peers, "costs")) {
    const Json& cpu = member_of(cost, "cpuMs");
    const auto resident = number_in(cost, "residentMiB");
    text += fmt::format("| {} | {:.1f} | {:.1f} | {:.1f} | {} | {} |\n", text_in(cost, "name"),
                        number_in(cpu, "median"), number_in(cpu, "least"), number_in(cpu, "greatest"),
                        resident > 0 ? fmt::format("{:.0f}", resident) : "", seen[text_in(cost, "name")]);
  }
  return text;
}

std::string error_text(const Json& load, const char* stretch) {
  const Json& found = member_of(load, stretch);
  if (!found.IsObject()) return "";
  return fmt::format("{:+.3f}", number_in(found, "measuredSeconds") - number_in(found, "truthSeconds"));
}

std::string accuracy_section(const Results& results) {
  std::string rows;
  double uneven = 0;
  for (const char* view : {"ps", "procfs"}) {
    const Json& slow = results.of("accuracy", std::string("every-5s-") + view);
    const Json& quick = results.of("accuracy", std::string("every-2s-") + view);
    uneven += number_in(slow, "unevenTicks") + number_in(quick, "unevenTicks");
    for (const auto& load : list_in(slow, "loads")) {
      const auto name = text_in(load, "load");
      rows += fmt::format("| {} | {} | {} | {} | {} | {} | {} | {:.3f} |\n", name, view, measured_of_true(slow, name),
                          error_text(load, "whole"), error_text(load, "firstMinute"), error_text(load, "worstMinute"),
                          measured_of_true(quick, name), median(load_of(quick, name), "tickErrorSeconds"));
    }
  }
  if (rows.empty()) return {};
  return heading(results, "accuracy", "Accuracy") +
         fmt::format(
             "CPU seconds, scope tree: {:.0f} s at a tick of 5 s, then {:.0f} s at 2 s. Ticks whose sources did not "
             "sum up "
             "to the aggregate: {:.0f}.\n\n"
             "| load | by | at 5 s: of true ones | error | of the first minute | of the worst minute | at 2 s: of true "
             "ones | median error of a tick |\n|---|---|---|---|---|---|---|---|\n",
             number_in(results.of("accuracy", "every-5s-ps"), "seconds"),
             number_in(results.of("accuracy", "every-2s-ps"), "seconds"), uneven) +
         rows;
}

std::string growth_section(const Results& results) {
  const Json& growth = results.of("growth");
  if (list_in(growth, "points").Empty()) return {};
  auto text = heading(results, "growth", "Growth") +
              "| agents with ten sessions | by | CPU ms a tick | of it own | bare ps | bare SQLite | ms from begin to "
              "publishing | longest turn of the loop, ms | most CPU of one, ms | turns above 10 ms by the clock and by "
              "CPU | MiB | start, ms | KiB a tick |\n"
              "|---|---|---|---|---|---|---|---|---|---|---|---|---|\n";
  for (const auto& point : list_in(growth, "points")) {
    for (const char* source : {"procfs", "ps"}) {
      const Json& run = member_of(point, source);
      text += fmt::format(
          "| {:.0f} | {} | {} | {} | {:.1f} | {:.2f} | {:.0f} | {} | {} | {} | {:.0f} | "
          "{:.0f} | {:.0f} |\n",
          number_in(point, "agents"), source, spread_text(run, "togetherMs", 1), spread_text(run, "ownMs", 1),
          median(point, "barePsMs"), median(point, "bareLedgersMs"), number_in(run, "wallMs"),
          longest_text(run, "lagHighestMs"), longest_text(run, "workHighestMs"), turns_text(run),
          number_in(run, "residentMiB"), number_in(run, "startUpMs"), number_in(run, "ledgerKiB"));
    }
  }
  return text;
}

std::string store_section(const Results& results) {
  const Json& store = results.of("store");
  if (!store.IsObject()) return {};
  struct Line {
    const char* what;
    const char* name;
    const char* bare;  ///< null: there is none
  };
  auto text = heading(results, "store", "Store") + "| CPU ms | median (least to greatest) | x bare |\n|---|---|---|\n";
  for (const auto& line :
       {Line{"summary of 1 h", "summaryMs", "bareSummaryMs"},
        Line{"the same, nothing new", "summaryAgainMs", "bareSummaryMs"},
        Line{"bare statements", "bareSummaryMs", nullptr}, Line{"bare, rows not counted", "bareSeeksMs", nullptr},
        Line{"summary of 7 d", "weekSummaryMs", nullptr}, Line{"trend of 7 d", "trendMs", "barePassMs"},
        Line{"bare pass over its rows", "barePassMs", nullptr}, Line{"append of a tick", "appendMs", "bareAppendMs"},
        Line{"bare transaction", "bareAppendMs", nullptr},
        Line{"summary of 90 d of 60 sources", "longSummaryMs", nullptr}}) {
    const double bare = line.bare == nullptr ? 0 : median(store, line.bare);
    text += fmt::format("| {} | {} | {} |\n", line.what, spread_text(store, line.name, 3),
                        bare > 0 ? fmt::format("{:.2f}", median(store, line.name) / bare) : "");
  }
  return text + fmt::format("\nThe file of 90 days: {:.1f} MiB. CPU time written to it {:.0f} us, kept {:.0f} us.\n",
                            number_in(store, "longMebibytes"), number_in(store, "writtenMicros"),
                            number_in(store, "keptMicros"));
}

std::string context_section(const Results& results) {
  const Json& context = results.of("context");
  if (!context.IsObject()) return {};
  return heading(results, "context", "Context of a rate limit") +
         fmt::format("ms: until it is answered {}, CPU of it {}, CPU of bare statements {}.\n",
                     spread_text(context, "wallMs"), spread_text(context, "cpuMs"), spread_text(context, "bareCpuMs"));
}

std::string events_section(const Results& results) {
  const Json& events = results.of("events");
  if (!events.IsObject()) return {};
  const auto line = [&](const char* what, const char* name) {
    const double took = median(events, name);
    return fmt::format("| {} | {} | {} |\n", what, spread_text(events, name, 3),
                       took > 0 ? count_text(number_in(events, "lines") / took) : "");
  };
  return heading(results, "events", "Events") +
         fmt::format("| a log of {} lines, s | median (least to greatest) | lines a second |\n|---|---|---|\n",
                     count_text(number_in(events, "lines"))) +
         line("every 20th an event", "seconds") + line("all of them events", "eventsOnlySeconds") +
         line("only counting the lines", "bareSeconds") +
         fmt::format("\nA look at a log that is as it was: {} us of CPU.\n", spread_text(events, "lookMicros", 1));
}

std::string http_section(const Results& results) {
  const Json& http = results.of("http");
  if (!http.IsObject()) return {};
  const auto ticks = [&](const char* name) {
    const Json& found = member_of(http, name);
    return fmt::format("{:.1f} ms ({:.0f} ticks, {:.0f} skipped)", number_in(found, "meanMs"),
                       number_in(found, "ticks"), number_in(found, "skipped"));
  };
  return heading(results, "http", "HTTP") +
         fmt::format(
             "{} requests a second; median {:.2f} ms, 99 % within {:.2f} ms; {:.0f} failed. A tick took {} "
             "meanwhile, and {} when nobody asked.\n",
             count_text(number_in(http, "requestsPerSecond")), number_in(http, "medianMs"), number_in(http, "p99Ms"),
             number_in(http, "failed"), ticks("loadedTicks"), ticks("quietTicks"));
}

std::string steps_section(const Results& results) {
  const Json& steps = results.of("micro");
  if (list_in(steps, "steps").Empty()) return {};
  auto text = heading(results, "micro", "Single steps") +
              "| step | CPU us of one, median (least to greatest) | items | ns each |\n|---|---|---|---|\n";
  for (const auto& step : list_in(steps, "steps")) {
    const auto items = number_in(step, "items");
    const auto label = text_in(step, "label");
    text += fmt::format("| {}{}{} | {} | {} | {} |\n", text_in(step, "name"), label.empty() ? "" : ", ", label,
                        spread_text(step, "cpuMicros"), items > 0 ? count_text(items) : "",
                        items > 0 ? fmt::format("{:.0f}", median(step, "cpuMicros") * 1e3 / items) : "");
  }
  return text;
}

/// All that were asked, the missed ones in bold.
std::string bars_section(const Results& results) {
  std::string rows;
  for (const char* part : kParts) {
    for (const auto& bar : list_in(results.of(part), "bars")) {
      const Json& met = member_of(bar, "met");
      const auto unit = text_in(bar, "unit");
      rows += fmt::format("| {} | {} | {:.4g}{}{} | {} {:.4g} | {} |\n", part, text_in(bar, "what"),
                          number_in(bar, "value"), unit.empty() ? "" : " ", unit, text_in(bar, "kind"),
                          number_in(bar, "bar"), met.IsTrue() ? "met" : "**missed**");
    }
  }
  for (const char* run : {"every-5s", "every-2s"}) {
    for (const char* view : {"ps", "procfs", "aged-ps", "ps-alone", "procfs-alone"}) {
      const Json& accuracy = results.of("accuracy", fmt::format("{}-{}", run, view));
      if (!accuracy.IsObject()) continue;
      const auto missed = list_in(accuracy, "missed");
      const auto name = fmt::format("accuracy | {}, {}", run, view);
      if (missed.Empty()) rows += fmt::format("| {} | | | met |\n", name);
      for (const auto& what : missed) {
        rows += fmt::format("| {} | {} | | **missed** |\n", name, what.IsString() ? what.GetString() : "");
      }
    }
  }
  if (rows.empty()) return {};
  return "\n### Bars\n\n| part | what | figure | asked | |\n|---|---|---|---|---|\n" + rows;
}

}  // namespace

std::string performance_markdown(const PartTexts& parts) {
  const Results results(parts);
  const auto line = machines_line(results);
  const auto first = headlines(results) + peers_table(results);
  const auto rest = bars_section(results) + accuracy_section(results) + growth_section(results) +
                    store_section(results) + context_section(results) + events_section(results) +
                    http_section(results) + steps_section(results);
  std::string text;
  if (!first.empty()) text += "<!-- figures: README.md -->\n" + line + "\n" + first + "<!-- end of figures -->\n";
  if (!rest.empty()) {
    text += "<!-- figures: bench/README.md -->\n" + line + rest + "<!-- end of figures -->\n";
  }
  return text;
}

}  // namespace fleetledger::bench
