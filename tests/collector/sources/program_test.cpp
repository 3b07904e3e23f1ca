#include "collector/sources/program.h"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/temp_dir.h"

using namespace fleetledger;
using fleetledger::test::TempDir;

namespace {

bool nobody_else_can_write(const std::filesystem::path& folder) {
  using std::filesystem::perms;
  const auto others = std::filesystem::status(folder).permissions() & (perms::group_write | perms::others_write);
  return others == perms::none && (folder == folder.root_path() || nobody_else_can_write(folder.parent_path()));
}

/// A folder of which nobody else can write a parent, unlike /tmp.
std::string private_place() {
  const char* home = ::getenv("HOME");
  for (const std::filesystem::path place :
       {std::filesystem::canonical("/proc/self/exe").parent_path().string(),
        std::string(home != nullptr ? home : "/root"), "/run/user/" + std::to_string(::getuid())}) {
    if (::access(place.c_str(), W_OK) == 0 && nobody_else_can_write(std::filesystem::canonical(place))) {
      return std::filesystem::canonical(place).string();
    }
  }
  throw std::runtime_error("others can write every folder that this test could use");
}

class PrivateDir {
 public:
  PrivateDir() {
    std::string pattern = private_place() + "/private-XXXXXX";
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    path = pattern;
  }
  ~PrivateDir() { std::filesystem::remove_all(path); }
  PrivateDir(const PrivateDir&) = delete;
  PrivateDir& operator=(const PrivateDir&) = delete;

  std::string program(const std::string& name) const {
    const auto made = path + '/' + name;
    std::filesystem::create_directories(std::filesystem::path(made).parent_path());
    std::filesystem::copy_file("/bin/true", made);
    ::chmod(made.c_str(), 0755);
    return made;
  }

  std::string path;
};

std::string why_refused(const std::string& path, Uid user = ::getuid()) {
  const auto program = trusted_program(path, user);
  return program ? "not refused" : program.error().text;
}

}  // namespace

TEST_CASE("a name is looked up in the fixed path only, an absolute path is taken as it is") {
  const TempDir dir;
  const auto mine = dir.script("fleetledger-unknown", "exit 0");
  ::setenv("PATH", (dir.path() + ":/usr/bin:/bin").c_str(), 1);
  CHECK_FALSE(find_program("fleetledger-unknown"));
  CHECK(find_program(mine).value() == mine);
  CHECK(find_program("ps").value().ends_with("/ps"));
  CHECK(find_program("ps").value().front() == '/');
}

TEST_CASE("what cannot be run is not found, with the reason") {
  const TempDir dir;
  CHECK(find_program("").error().kind == Error::Kind::invalid);
  CHECK(find_program("bin/ps").error().kind == Error::Kind::invalid);
  CHECK(find_program("./ps").error().kind == Error::Kind::invalid);
  CHECK(find_program(std::string("ps\0x", 4)).error().kind == Error::Kind::invalid);
  CHECK(find_program(dir / "none").error().text == "use " + (dir / "none") + ": No such file or directory");
  CHECK(find_program(dir.path()).error().text.ends_with("not a regular file"));
  CHECK(find_program(dir.write("plain", "")).error().text.ends_with("we may not execute it"));
}

TEST_CASE("a suggested program is trusted if only root and we can change it") {
  const PrivateDir dir;
  const auto real = dir.program("bin/tmux");
  CHECK(trusted_program(real, ::getuid()).value() == real);
  CHECK(trusted_program(dir.path + "/./bin//../bin/tmux", ::getuid()).value() == real);
  CHECK(trusted_program("/bin/true", ::getuid()).value() == std::filesystem::canonical("/bin/true").string());
}

TEST_CASE("a suggested program is followed through links and called by its real path") {
  const PrivateDir dir;
  const auto real = dir.program("real/tmux");
  std::filesystem::create_directory_symlink("real", dir.path + "/relative");
  std::filesystem::create_symlink(real, dir.path + "/absolute");
  CHECK(trusted_program(dir.path + "/relative/tmux", ::getuid()).value() == real);
  CHECK(trusted_program(dir.path + "/absolute", ::getuid()).value() == real);
  CHECK(trusted_program(dir.path + "/relative/../absolute", ::getuid()).value() == real);

  std::filesystem::create_symlink("loop", dir.path + "/loop");
  CHECK(why_refused(dir.path + "/loop").ends_with("a link that leads nowhere"));
  std::filesystem::create_symlink("missing", dir.path + "/dangling");
  CHECK(why_refused(dir.path + "/dangling").ends_with("No such file or directory"));
}

TEST_CASE("a suggested program that others could change, or could have exchanged, is not used") {
  const PrivateDir dir;
  const auto real = dir.program("bin/tmux");
  ::chmod(real.c_str(), 0775);
  CHECK(why_refused(real).ends_with("bin/tmux can be written by others"));
  ::chmod(real.c_str(), 0757);
  CHECK(why_refused(real).ends_with("bin/tmux can be written by others"));
  ::chmod(real.c_str(), 0755);
  CHECK(why_refused(real) == "not refused");
  ::chmod((dir.path + "/bin").c_str(), 0777);
  CHECK(why_refused(real).ends_with("/bin can be written by others"));
  ::chmod((dir.path + "/bin").c_str(), 0755);

  // A good program, reached by a link that lies in a folder of everybody's.
  const TempDir open;
  std::filesystem::create_symlink(real, open / "tmux");
  CHECK(why_refused(open / "tmux").ends_with("/tmp can be written by others"));
  // A link in a good folder into a folder of everybody's.
  const auto loose = open.script("loose", "exit 0");
  std::filesystem::create_symlink(loose, dir.path + "/outwards");
  CHECK(why_refused(dir.path + "/outwards").ends_with("/tmp can be written by others"));
}

TEST_CASE("a suggested program of another user is not used") {
  const PrivateDir dir;
  const auto real = dir.program("tmux");
  if (::getuid() == 0) {
    REQUIRE(::chown(real.c_str(), 4711, 4711) == 0);
    CHECK(why_refused(real).ends_with("tmux belongs to another user"));
    CHECK(why_refused(real, 4711) == "not refused");
  } else {
    CHECK(why_refused(real, ::getuid() + 1).ends_with("belongs to another user"));
  }
}

TEST_CASE("a suggestion that is no program is not used") {
  const PrivateDir dir;
  CHECK(why_refused("tmux").ends_with("not an absolute path"));
  CHECK(why_refused("").ends_with("not an absolute path"));
  CHECK(why_refused(std::string("/bin/true\0x", 11)).ends_with("not an absolute path"));
  CHECK(why_refused('/' + std::string(5000, 'x')).ends_with("not an absolute path"));
  CHECK(why_refused(dir.path).ends_with("not a regular file"));
  CHECK(why_refused("/").ends_with("not a regular file"));
  const auto real = dir.program("tmux");
  CHECK(why_refused(real + "/x").ends_with("not a folder"));
  ::chmod(real.c_str(), 0644);
  CHECK(why_refused(real).ends_with("we may not execute it"));
}
