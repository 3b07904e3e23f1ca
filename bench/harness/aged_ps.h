#pragma once

#include <cstdint>
#include <string>

#include "core/process_table.h"
#include "core/result.h"

namespace fleetledger::bench {

/// What `ps` with linux_ps_arguments() would print of these processes if those that began before `old_before` were
/// `days` older and had used no more for it: their shares of their age say little then.
[[nodiscard]] std::string aged_ps_output(const ProcessTable& table, BootTime old_before, std::int64_t days);

/// The same of this host, now.
[[nodiscard]] Result<std::string> aged_ps(BootTime old_before, std::int64_t days);

}  // namespace fleetledger::bench
