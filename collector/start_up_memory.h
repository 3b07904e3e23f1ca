#pragma once

namespace fleetledger {

/// Gives back to the system what only the start needed: code of ours and of libraries that ran once (it is read again
/// from the system's cache if it is run again), and heap that is free. Costs some milliseconds; any thread. Linux only;
/// elsewhere nothing happens.
void give_back_start_up_memory();

}  // namespace fleetledger
