#ifdef __linux__
#include <malloc.h>
#endif

#include <cstdlib>

#include "collector/commands/command_line.h"
#include "collector/private_memory.h"

int main(int argc, char** argv) {
  fleetledger::keep_memory_private();
  // Enough threads that a few hung disks leave some over; few arenas, because most of these threads only wait.
  setenv("UV_THREADPOOL_SIZE", "16", 0);
#ifdef M_ARENA_MAX
  mallopt(M_ARENA_MAX, 2);
#endif
  return fleetledger::run_command_line(argc, argv);
}
