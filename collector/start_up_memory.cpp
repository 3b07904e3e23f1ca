#include "collector/start_up_memory.h"

#ifdef __linux__
#include <cstdint>
#include <link.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

namespace fleetledger {
namespace {

/// Code is mapped from its file and never written to, so that dropping it loses nothing.
int drop_code(dl_phdr_info* object, std::size_t /*size*/, void* /*unused*/) {
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  for (int i = 0; i < object->dlpi_phnum; ++i) {
    const auto& segment = object->dlpi_phdr[i];
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_X) == 0 || (segment.p_flags & PF_W) != 0) {
      continue;
    }
    const auto begin = (object->dlpi_addr + segment.p_vaddr + page - 1) / page * page;
    const auto end = (object->dlpi_addr + segment.p_vaddr + segment.p_filesz) / page * page;
    // The kernel's own page of code has no name of a file, and nothing to give back.
    if (begin < end && segment.p_filesz > page) {
      // NOLINTNEXTLINE(performance-no-int-to-ptr): the linker tells where it is as a number
      ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
    }
  }
  return 0;
}

}  // namespace

void give_back_start_up_memory() {
  ::malloc_trim(0);
  ::dl_iterate_phdr(drop_code, nullptr);
}

}  // namespace fleetledger
#else
namespace fleetledger {

void give_back_start_up_memory() {}

}  // namespace fleetledger
#endif
