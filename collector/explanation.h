#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "collector/discovery/discovery.h"
#include "collector/discovery/roots.h"
#include "core/charge.h"
#include "core/process_table.h"
#include "core/units.h"

namespace fleetledger {

/// One process on the way from the one that was asked for up to what decides whose it is, and what it has to do with
/// it in plain words. Names are what the kernel calls processes (comm), never command lines; foreign text, like those
/// of sessions.
struct ExplainedStep {
  Pid pid = 0;
  std::string name;
  Attribution why = Attribution::nobody;
  std::string text;  ///< what follows "PID (NAME) "
};

/// Why a process is charged where it is, or to nobody.
struct Explanation {
  WallTime ts{};          ///< of the look
  bool one_look = false;  ///< nothing is known of the time before it
  Pid pid = 0;
  std::string name;
  Uid owner = 0;
  Attribution why = Attribution::nobody;
  std::string agent_id;    ///< these are empty for what is nobody's or the collector's
  std::string agent_name;  ///< foreign text
  std::string source;
  std::vector<ExplainedStep> steps;  ///< the process itself first
};

/// A look and what came of it.
struct ExplainedLook {
  const Fleet& fleet;
  const ResolvedRoots& resolved;
  const ProcessTable& table;
  const Charges& charges;  ///< of `table`
  Scope scope = Scope::tree;
  Uid user = 0;
  BootTime first_look{};  ///< when the looking began
  /// Whether the environment of a process was asked for.
  std::function<bool(const ProcessKey&)> environment_asked;
};

/// Nothing if no such process was there. Leaves ts and one_look to the caller.
[[nodiscard]] std::optional<Explanation> explain(Pid pid, const ExplainedLook& look);

}  // namespace fleetledger
