#include "backends/backends.h"

#include <array>

#include "backends/memory/memory_store.h"
#include "backends/sqlite/sqlite_store.h"

namespace fleetledger {
namespace {

constexpr std::array kBackends{
    Backend{"memory", open_memory_store},
    Backend{"sqlite", open_sqlite_store},
};

}  // namespace

std::span<const Backend> backends() { return kBackends; }

Result<std::unique_ptr<LedgerStore>> open_store(std::string_view name, const StoreOptions& options) {
  std::string known;
  for (const Backend& backend : kBackends) {
    if (backend.name == name) {
      return backend.open(options);
    }
    known.append(known.empty() ? "" : ", ").append(backend.name);
  }
  return fail("open store \"" + std::string(name) + "\": no such backend; there are: " + known, Error::Kind::invalid);
}

}  // namespace fleetledger
