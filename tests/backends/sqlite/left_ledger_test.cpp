#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/backends/ledgers.h"
#include "tests/backends/sqlite/peer.h"

namespace fleetledger::test {
namespace {

namespace fs = std::filesystem;

/// Each file's bytes. The -shm is every reader's to write.
std::map<std::string, std::string> contents(const std::string& folder) {
  std::map<std::string, std::string> result;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename();
    std::ifstream file(entry.path(), std::ios::binary);
    result[name] = name.ends_with("-shm") ? "" : std::string(std::istreambuf_iterator<char>(file), {});
  }
  return result;
}

}  // namespace

// Permissions mean nothing to root, so where the test is root, its peers are somebody else.
TEST_CASE("a ledger whose writer was killed is read whole in a folder that cannot be written, and left as it is") {
  const bool with_shm = GENERATE(true, false);
  const mode_t file_mode = GENERATE(mode_t{0400}, mode_t{0600});
  CAPTURE(with_shm, file_mode);
  const uid_t user = ::geteuid() == 0 ? 65534 : ::geteuid();
  const Host host;
  const LedgerKey ledger = host.agent("peer");
  const std::string folder = ledger.agent.path + "/.instar/server-data";
  const std::string file = folder + "/resource-ledger.db";
  fs::create_directory(folder);
  for (auto path = fs::path(folder); path != fs::path(host.path()).parent_path(); path = path.parent_path()) {
    REQUIRE(::chown(path.c_str(), user, static_cast<gid_t>(-1)) == 0);
  }
  REQUIRE(Peer({"leave", file, std::to_string(user)}).wait() == 0);
  REQUIRE(fs::file_size(file + "-wal") > 0);
  if (!with_shm) {
    fs::remove(file + "-shm");
  }
  for (const auto& entry : fs::directory_iterator(folder)) {
    REQUIRE(::chmod(entry.path().c_str(), file_mode) == 0);
  }
  REQUIRE(::chmod(folder.c_str(), 0500) == 0);
  const auto before = contents(folder);
  REQUIRE(before.size() == (with_shm ? 3 : 2));
  for (int round = 0; round < 2; ++round) {
    const int status = Peer({"count", ledger.agent.path, std::to_string(user)}).wait();
    REQUIRE(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 6);
    CHECK(contents(folder) == before);
  }
  REQUIRE(::chmod(folder.c_str(), 0700) == 0);
}

}  // namespace fleetledger::test
