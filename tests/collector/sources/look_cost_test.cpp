#include <atomic>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <fmt/format.h>
#include <new>
#include <optional>
#include <unistd.h>

#include "collector/sources/procfs_source.h"
#include "tests/support/temp_dir.h"

using namespace fleetledger;
using namespace fleetledger::test;

namespace {

std::atomic<std::size_t> allocations{0};

}  // namespace

// In this program each allocation of C++ is counted.

void* operator new(std::size_t size, const std::nothrow_t& /*tag*/) noexcept {
  ++allocations;
  return std::malloc(size == 0 ? 1 : size);
}
void* operator new(std::size_t size) {
  if (void* memory = operator new(size, std::nothrow)) {
    return memory;
  }
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, const std::nothrow_t& /*tag*/) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t /*size*/) noexcept { std::free(memory); }

namespace {

/// What a look at so many processes allocates once they are known.
std::size_t allocations_of_a_look(int processes) {
  const TempDir dir;
  for (int pid = 1; pid <= processes; ++pid) {
    dir.write(std::to_string(pid) + "/stat",
              fmt::format("{} (fifteen letters) S 1 1 1 0 -1 4194560 100 0 0 0 {} 20 30 40 20 0 1 0 1000 1000000 500 "
                          "18446744073709551615 0 0 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0\n",
                          pid, pid));
  }
  const auto source = make_procfs_source({.root = dir.path(), .self = 1});
  REQUIRE(source);
  std::size_t made = 0;
  for (int look = 0; look < 3; ++look) {
    std::optional<Result<ProcessTable>> seen;
    const auto before = allocations.load();
    (*source)->look([&](Result<ProcessTable> table) { seen.emplace(std::move(table)); });
    made = allocations.load() - before;
    REQUIRE(*seen);
    REQUIRE((*seen)->size() == static_cast<std::size_t>(processes));
  }
  return made;
}

}  // namespace

TEST_CASE("a look at known processes allocates nothing for each of them") {
  const auto few = allocations_of_a_look(50);
  CHECK(few > 0);  // they are counted
  CHECK(allocations_of_a_look(400) <= few);
}
