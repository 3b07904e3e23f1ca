#pragma once

namespace fleetledger {

/// Parses the command line and runs the verb; returns the exit code.
int run_command_line(int argc, const char* const* argv);

}  // namespace fleetledger
