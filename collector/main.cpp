#ifdef __linux__
#include <malloc.h>
#endif

#include "collector/commands/command_line.h"
#include "collector/loop/worker.h"
#include "collector/private_memory.h"

int main(int argc, char** argv) {
  fleetledger::keep_memory_private();
  fleetledger::size_pool();
#ifdef M_ARENA_MAX
  mallopt(M_ARENA_MAX, 2);  // few, because most threads of the pool only wait
#endif
  return fleetledger::run_command_line(argc, argv);
}
