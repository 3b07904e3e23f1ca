#include "bench/harness/peer_output.h"

#include <algorithm>
#include <cstdlib>
#include <vector>

namespace fleetledger::bench {
namespace {

void each_line(std::string_view text, const std::function<void(const std::vector<std::string_view>&)>& each) {
  while (!text.empty()) {
    auto line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    std::vector<std::string_view> words;
    while (true) {
      const auto begin = line.find_first_not_of(" \t");
      if (begin == std::string_view::npos) break;
      line.remove_prefix(begin);
      words.push_back(line.substr(0, line.find_first_of(" \t")));
      line.remove_prefix(words.back().size());
    }
    each(words);
  }
}

double number(std::string_view text) { return std::strtod(std::string(text).c_str(), nullptr); }

/// The place of a word; past the end if it is none of them.
std::size_t place_of(const std::vector<std::string_view>& words, std::string_view word) {
  std::size_t place = 0;
  while (place < words.size() && words[place] != word) ++place;
  return place;
}

}  // namespace

double pidstat_seconds(std::string_view output, double interval, const Names& wanted) {
  double seconds = 0;
  std::size_t percent = 0;
  std::size_t command = 0;
  each_line(output, [&](const std::vector<std::string_view>& words) {
    if (!words.empty() && words.front() == "#") {  // a word more than its lines have
      percent = place_of(words, "%CPU") - 1;
      command = place_of(words, "Command") - 1;
      return;
    }
    if (command == 0 || words.size() <= command || !wanted(words[command])) return;
    seconds += number(words[percent]) / 100 * interval;
  });
  return seconds;
}

double top_seconds(std::string_view output, double interval, const Names& wanted) {
  double seconds = 0;
  int tables = 0;
  std::size_t percent = 0;
  std::size_t command = 0;
  each_line(output, [&](const std::vector<std::string_view>& words) {
    if (!words.empty() && words.front() == "top") {
      ++tables;
      command = 0;  // its head is no process
    } else if (!words.empty() && words.front() == "PID") {
      percent = place_of(words, "%CPU");
      command = place_of(words, "COMMAND");
    } else if (tables > 1 && command > 0 && words.size() > command && wanted(words[command])) {
      seconds += number(words[percent]) / 100 * interval;
    }
  });
  return seconds;
}

double apps_plugin_seconds(std::string_view output, std::string_view group) {
  std::map<std::string, double, std::less<>> divisors;  // by chart
  std::string chart;
  double percent = 0;
  const auto is_cpu = [](std::string_view name) {
    return name == "apps.cpu" || name == "apps.cpu_user" || name == "apps.cpu_system";
  };
  std::map<std::string, double, std::less<>> sums;
  each_line(output, [&](const std::vector<std::string_view>& words) {
    if (words.size() < 2) return;
    if (words[0] == "CHART" || words[0] == "BEGIN") {
      chart = words[1];
    } else if (words[0] == "DIMENSION" && words[1] == group && is_cpu(chart)) {
      divisors[chart] = number(words.back()) > 0 ? number(words.back()) : 1;
    } else if (words[0] == "SET" && words[1] == group && is_cpu(chart) && words.size() >= 4) {
      const auto divisor = divisors.find(chart);
      sums[chart] += number(words[3]) / (divisor == divisors.end() ? 1 : divisor->second);
    }
  });
  if (const auto both = sums.find("apps.cpu"); both != sums.end()) {
    percent = both->second;
  } else {
    for (const auto& [name, sum] : sums) percent += sum;
  }
  return percent / 100;
}

double apps_plugin_iterations(std::string_view output) {
  double microseconds = 0;  // since the iteration before; 0 in the first
  each_line(output, [&](const std::vector<std::string_view>& words) {
    if (words.size() == 3 && words[0] == "BEGIN" && words[1] == "apps.cpu") microseconds += number(words[2]);
  });
  return microseconds / 1e6;
}

}  // namespace fleetledger::bench
