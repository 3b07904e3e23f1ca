#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>

namespace fleetledger::bench {

// What other tools print about CPU, as CPU seconds of the processes whose names `wanted` takes. A tool cuts names to 15
// bytes, and says nothing of what did not live at both ends of an interval, or of what it does not keep.

using Names = std::function<bool(std::string_view name)>;

/// `pidstat -h -u -p ALL SECONDS N`: a line a process and interval; %CPU of one core.
[[nodiscard]] double pidstat_seconds(std::string_view output, double interval, const Names& wanted);

/// `top -b -d SECONDS -n N`: the first table is about the time since the processes' start and is left out.
[[nodiscard]] double top_seconds(std::string_view output, double interval, const Names& wanted);

/// apps.plugin's own protocol: of one group what its charts apps.cpu_user and apps.cpu_system, or else apps.cpu, say in
/// percent of a core a second.
[[nodiscard]] double apps_plugin_seconds(std::string_view output, std::string_view group);
/// How many seconds that is about: its iterations but the first.
[[nodiscard]] double apps_plugin_iterations(std::string_view output);

}  // namespace fleetledger::bench
