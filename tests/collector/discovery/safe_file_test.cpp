#include "collector/discovery/safe_file.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <optional>
#include <sys/resource.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#ifdef __linux__
#include <linux/magic.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#endif

#include "tests/collector/discovery/fake_home.h"

#ifdef __linux__
namespace {

std::optional<std::uint32_t> disk_of_all;  ///< what every folder is said to be on; 0: nothing is said

}  // namespace

// It stands before the C library's own.
extern "C" int fstatfs(int file, struct statfs* status) noexcept {
  if (disk_of_all == 0U) {
    errno = EIO;
    return -1;
  }
  const auto answer = static_cast<int>(syscall(SYS_fstatfs, file, status));
  if (disk_of_all) status->f_type = *disk_of_all;
  return answer;
}
#endif

using namespace fleetledger;
using namespace fleetledger::test;
using namespace std::chrono_literals;

namespace {

Folder open_folder(const std::string& path) {
  auto folder = Folder::open(path);
  REQUIRE(folder);
  REQUIRE(*folder);
  return std::move(**folder);
}

FileLimits limits(std::size_t size = 100) { return {.size = size, .user = ::geteuid()}; }

std::size_t open_descriptors() {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator("/dev/fd"), {}));
}

/// While it lives we are nobody: root is let through everywhere.
class WithoutRoot {
 public:
  WithoutRoot() {
    if (root_) REQUIRE(::seteuid(65'534) == 0);
  }
  ~WithoutRoot() {
    if (root_) CHECK(::seteuid(0) == 0);
  }
  WithoutRoot(const WithoutRoot&) = delete;
  WithoutRoot& operator=(const WithoutRoot&) = delete;

 private:
  bool root_ = ::geteuid() == 0;
};

}  // namespace

TEST_CASE("a file is read whole up to its limit and refused one byte above") {
  const TempDir temporary;
  write_file(temporary / "f", std::string(100, 'x'));
  const Folder folder = open_folder(temporary.path());
  const auto file = folder.read("f", limits());
  REQUIRE(file);
  CHECK((*file)->text == std::string(100, 'x'));
  CHECK((*file)->identity.size == 100);
  write_file(temporary / "f", std::string(101, 'x'));
  const auto longer = folder.read("f", limits());
  REQUIRE_FALSE(longer);
  CHECK(longer.error().text == "it is longer than 100 bytes");
  CHECK(longer.error().kind == Error::Kind::unavailable);
}

TEST_CASE("a file that does not exist is nothing, not an error") {
  const TempDir temporary;
  const Folder folder = open_folder(temporary.path());
  CHECK(folder.read("f", limits())->has_value() == false);
  CHECK(folder.stat("f")->has_value() == false);
  CHECK(folder.below("a/b")->has_value() == false);
  CHECK(Folder::open(temporary / "nowhere")->has_value() == false);
}

TEST_CASE("a file of another user is refused, one of root is not") {
  const TempDir temporary;
  write_file(temporary / "f", "x");
  const Folder folder = open_folder(temporary.path());
  const bool root = ::geteuid() == 0;
  if (root) REQUIRE(::chown((temporary / "f").c_str(), 12'345, 12'345) == 0);
  const auto file = folder.read("f", {.size = 100, .user = root ? Uid{0} : ::geteuid() + 1});
  REQUIRE_FALSE(file);
  CHECK(file.error().text == "it belongs to another user");
  const Folder devices = open_folder("/etc");
  CHECK(devices.read("passwd", {.size = 1'000'000, .user = 54'321}).has_value());
}

TEST_CASE("no device is opened") {
  const Folder folder = open_folder("/dev");
  const auto device = folder.read("null", {.size = 100, .user = 0});
  REQUIRE_FALSE(device);
  CHECK(device.error().text == "it is not a regular file");
}

TEST_CASE("a change of a file changes its identity even if size and modification time are put back") {
  const TempDir temporary;
  write_file(temporary / "f", "aaaa");
  const Folder folder = open_folder(temporary.path());
  const auto before = folder.stat("f");
  const auto time = std::filesystem::last_write_time(temporary / "f");
  FileIdentity after = **before;
  while (after.changed_ns == (*before)->changed_ns) {  // until the file system's clock has gone on
    write_file(temporary / "f", "bbbb");
    std::filesystem::last_write_time(temporary / "f", time);
    after = **folder.stat("f");
  }
  CHECK(after.modified_ns == (*before)->modified_ns);
  CHECK(after.size == (*before)->size);
  CHECK(after != **before);
}

TEST_CASE("a file is young for two seconds, in either direction of the clock") {
  FileIdentity file;
  file.changed_ns = 1'000'000'000'000;
  const WallTime changed{1'000'000ms};
  CHECK(is_young(file, changed));
  CHECK(is_young(file, changed + 1'999ms));
  CHECK_FALSE(is_young(file, changed + 2s));
  CHECK(is_young(file, changed - 1'999ms));
  CHECK_FALSE(is_young(file, changed - 2s));
}

TEST_CASE("a file is read when it changed and not otherwise") {
  using Outcome = FileLook::Outcome;
  const TempDir temporary;
  const Folder folder = open_folder(temporary.path());
  FileMark mark;
  const auto look = [&](std::chrono::seconds later = 10s) {
    return look_at_file(folder, "f", limits(), wall(later), mark);
  };
  CHECK(look().outcome == Outcome::missing);
  CHECK(look().outcome == Outcome::missing);
  write_file(temporary / "f", "one");
  CHECK(look().text == "one");
  CHECK(look().outcome == Outcome::unchanged);
  write_file(temporary / "f", "three");
  CHECK(look().text == "three");
  std::filesystem::remove(temporary / "f");
  CHECK(look().outcome == Outcome::missing);
  write_file(temporary / "f", std::string(200, 'x'));
  CHECK(look().outcome == Outcome::failed);
  CHECK(look().outcome == Outcome::unchanged);
  write_file(temporary / "f", "young");
  CHECK(look(0s).text == "young");
  CHECK(look(0s).text == "young");
  CHECK(look().text == "young");
  CHECK(look().outcome == Outcome::unchanged);
}

TEST_CASE("folders are walked without following links") {
  const TempDir temporary;
  std::filesystem::create_directories(temporary / "a/b");
  std::filesystem::create_directory_symlink(temporary / "a", temporary / "link");
  write_file(temporary / "file", "");
  const Folder folder = open_folder(temporary.path());
  CHECK(folder.below("a/b")->has_value());
  CHECK_FALSE(folder.below("link/b"));
  CHECK_FALSE(folder.below("link"));
  CHECK_FALSE(folder.below("file"));
  CHECK_FALSE(folder.below("file/x"));
  CHECK_FALSE(Folder::open(temporary / "link"));
}

#ifdef __linux__
TEST_CASE("a folder is told from others, and is local only where that can be told") {
  const TempDir temporary;
  std::filesystem::create_directories(temporary / "a/b");
  const auto which = [&](const std::string& path) {
    FolderIdentity found;
    const bool is_other = identify(Folder::open(temporary / path), found);
    CHECK(is_other == found.exists());
    return found;
  };
  struct stat status {};
  REQUIRE(::stat((temporary / "a").c_str(), &status) == 0);
  CHECK(which("a").device == status.st_dev);
  CHECK(which("a").inode == status.st_ino);
  CHECK(which("a") == which("a"));
  CHECK(which("a") != which("a/b"));
  CHECK_FALSE(which("missing").exists());
  for (const auto& [disk, local] : {std::pair(EXT4_SUPER_MAGIC, true),
                                    {TMPFS_MAGIC, true},
                                    {NFS_SUPER_MAGIC, false},
                                    {FUSE_SUPER_MAGIC, false},
                                    {0, false}}) {
    disk_of_all = disk;
    CHECK(which("a").local == local);
    CHECK(which("a").exists());
  }
  // What it is on is asked of another folder only: where it is another host's the answer comes from there.
  auto known = which("a");
  disk_of_all = EXT4_SUPER_MAGIC;
  CHECK_FALSE(identify(Folder::open(temporary / "a"), known));
  CHECK_FALSE(known.local);
  CHECK(identify(Folder::open(temporary / "a/b"), known));
  CHECK(known == which("a/b"));
  CHECK(known.local);
  CHECK(identify(Folder::open(temporary / "missing"), known));
  CHECK(known == FolderIdentity{});
  disk_of_all.reset();
}
#endif

TEST_CASE("a listing has the names with an ending, up to a limit") {
  const TempDir temporary;
  for (const char* name : {"a.json", "b.json", "c.txt", "d.json.tmp"}) write_file(temporary / name, "");
  const Folder folder = open_folder(temporary.path());
  for (int again = 0; again < 2; ++again) {
    auto listing = folder.list(".json", 2);
    REQUIRE(listing);
    std::sort(listing->names.begin(), listing->names.end());
    CHECK(listing->names == std::vector<std::string>{"a.json", "b.json"});
    CHECK_FALSE(listing->cut);
  }
  const auto cut = folder.list(".json", 1);
  CHECK(cut->names.size() == 1);
  CHECK(cut->cut);
}

TEST_CASE("no descriptor stays open, whatever is read") {
  const TempDir temporary;
  std::filesystem::create_directories(temporary / "a/b");
  write_file(temporary / "f", "x");
  REQUIRE(mkfifo((temporary / "fifo").c_str(), 0600) == 0);
  const auto use_all = [&] {
    const Folder folder = open_folder(temporary.path());
    static_cast<void>(folder.below("a/b").has_value());
    static_cast<void>(folder.below("a/c").has_value());
    static_cast<void>(folder.below("f/c").has_value());
    static_cast<void>(folder.read("f", limits()).has_value());
    static_cast<void>(folder.read("f", limits(0)).has_value());
    static_cast<void>(folder.read("fifo", limits()).has_value());
    static_cast<void>(folder.read("a", limits()).has_value());
    static_cast<void>(folder.list("", 1).has_value());
  };
  const std::size_t before = open_descriptors();
  use_all();
  CHECK(open_descriptors() == before);
}

TEST_CASE("without descriptors a file is not refused for good but tried again") {
  const TempDir temporary;
  write_file(temporary / "f", "x");
  const Folder folder = open_folder(temporary.path());
  FileMark mark;
  const std::string reason = std::system_category().message(EMFILE);
  rlimit old{};
  REQUIRE(getrlimit(RLIMIT_NOFILE, &old) == 0);
  const rlimit none{.rlim_cur = 0, .rlim_max = old.rlim_max};
  REQUIRE(setrlimit(RLIMIT_NOFILE, &none) == 0);
  const FileLook failed = look_at_file(folder, "f", limits(), wall(), mark);
  REQUIRE(setrlimit(RLIMIT_NOFILE, &old) == 0);
  CHECK(failed.outcome == FileLook::Outcome::failed);
  CHECK(failed.reason == reason);
  CHECK(look_at_file(folder, "f", limits(), wall(), mark).text == "x");
}

TEST_CASE("a file behind a folder that was closed to us for a while is read again when it is open") {
  const WithoutRoot nobody;
  const TempDir temporary;
  write_file(temporary / "f", "x");
  const Folder folder = open_folder(temporary.path());
  FileMark mark;
  const auto look = [&] { return look_at_file(folder, "f", limits(), wall(), mark); };
  CHECK(look().text == "x");
  REQUIRE(::chmod(temporary.path().c_str(), 0) == 0);
  CHECK(look().reason == "Permission denied");
  REQUIRE(::chmod(temporary.path().c_str(), 0700) == 0);
  CHECK(look().text == "x");
  REQUIRE(::chmod((temporary / "f").c_str(), 0) == 0);
  CHECK(look().reason == "Permission denied");
  REQUIRE(::chmod((temporary / "f").c_str(), 0600) == 0);
  CHECK(look().text == "x");
  CHECK(look().outcome == FileLook::Outcome::unchanged);
}
