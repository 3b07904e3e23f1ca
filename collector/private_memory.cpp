#include "collector/private_memory.h"

#include <sys/resource.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

namespace fleetledger {

void keep_memory_private() {
  // The limit alone does not bind where the kernel hands cores to a program.
  constexpr rlimit kNone{0, 0};
  setrlimit(RLIMIT_CORE, &kNone);
#ifdef __linux__
  prctl(PR_SET_DUMPABLE, 0);
#endif
}

}  // namespace fleetledger
