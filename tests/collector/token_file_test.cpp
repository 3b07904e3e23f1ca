#include "collector/token_file.h"

#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/ptrace.h>
#endif

#include "tests/support/temp_dir.h"

using namespace fleetledger;
using namespace fleetledger::test;

namespace {

std::string refusal(const std::string& path) {
  const auto token = open_token_file(path, "the token");
  return token ? "accepted" : token.error().text;
}

#ifdef __linux__
/// Opens the token in a process of its own that is killed at the beginning or the end of its `at`-th system call, the
/// call itself not made or made. False if it ended before.
bool killed_at(int at, const std::string& path) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    ::raise(SIGSTOP);
    _exit(open_token_file(path, "the token") ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  for (int stop = 0; stop < at && WIFSTOPPED(status); ++stop) {
    ::ptrace(PTRACE_SYSCALL, child, nullptr, nullptr);
    ::waitpid(child, &status, 0);
  }
  if (!WIFSTOPPED(status)) {
    CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 0));
    return false;
  }
  ::kill(child, SIGKILL);
  ::waitpid(child, &status, 0);
  return true;
}
#endif

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("a token is made once, for its owner alone, and read back after that") {
  const TempDir folder;
  const auto path = folder / "operator.token";
  const auto loose = umask(0);
  const auto made = open_token_file(path, "the token");
  umask(loose);
  REQUIRE(made);
  CHECK(made->made);
  CHECK(made->secret.reveal().size() == 64);
  CHECK(made->secret.reveal().find_first_not_of("0123456789abcdef") == std::string::npos);
  struct stat found {};
  REQUIRE(stat(path.c_str(), &found) == 0);
  CHECK((found.st_mode & 07777U) == 0600);

  const auto again = open_token_file(path, "the token");
  REQUIRE(again);
  CHECK_FALSE(again->made);
  CHECK(again->secret == made->secret);

  const auto other = open_token_file(folder / "another.token", "the token");
  REQUIRE(other);
  CHECK_FALSE(other->secret == made->secret);
}

TEST_CASE("a token of the operator's own is taken as it stands") {
  const TempDir folder;
  for (const std::string line : {"my-own-token-0123456789", "my-own-token-0123456789\n"}) {
    const auto token = open_token_file(folder.write("own.token", line, 0600), "the token");
    REQUIRE(token);
    CHECK(token->secret.reveal() == "my-own-token-0123456789");
  }
}

TEST_CASE("a token that others may use or that is no file of ours is refused, without being shown") {
  const TempDir folder;
  const std::string secret = "my-own-token-0123456789";
  for (const mode_t mode : {0640U, 0604U, 0620U, 0601U, 0666U}) {
    const auto why = refusal(folder.write("loose.token", secret, mode));
    CHECK(contains(why, folder / "loose.token"));
    CHECK(contains(why, "chmod 600"));
    CHECK_FALSE(contains(why, secret));
  }
  const auto good = folder.write("good.token", secret, 0600);
  REQUIRE(symlink(good.c_str(), (folder / "link.token").c_str()) == 0);
  CHECK(contains(refusal(folder / "link.token"), "it is a link"));
  REQUIRE(symlink((folder / "nothing").c_str(), (folder / "dangling.token").c_str()) == 0);
  CHECK(contains(refusal(folder / "dangling.token"), "it is a link"));
  REQUIRE(mkfifo((folder / "fifo.token").c_str(), 0600) == 0);
  CHECK(contains(refusal(folder / "fifo.token"), "no regular file"));
  REQUIRE(mkdir((folder / "folder.token").c_str(), 0700) == 0);
  CHECK(contains(refusal(folder / "folder.token"), "no regular file"));
  CHECK(contains(refusal(folder / "missing/operator.token"), "No such file"));
}

TEST_CASE("a token file that is empty, weak or no single line is refused") {
  const TempDir folder;
  const std::string texts[] = {"",
                               "\n",
                               "fifteen-bytes..",
                               "two lines of text\nand another",
                               "with a space 0123456789",
                               std::string("with\0nul-0123456789", 19),
                               std::string(257, 'x'),
                               std::string(1'000'000, 'x')};
  for (const auto& text : texts) {
    CAPTURE(text.size());
    CHECK(contains(refusal(folder.write("bad.token", text, 0600)), "one line of 16 to 256 printable characters"));
  }
  CHECK(refusal(folder.write("least.token", std::string(16, 'x'), 0600)) == "accepted");
  CHECK(refusal(folder.write("most.token", std::string(256, 'x') + "\n", 0600)) == "accepted");
}

#ifdef __linux__
TEST_CASE("a kill while the token is made left an empty file, with which no collector started any more") {
  for (int at = 1;; ++at) {
    CAPTURE(at);
    const TempDir folder;
    const auto path = folder / "operator.token";
    const bool killed = killed_at(at, path);
    const bool there = std::filesystem::exists(path);
    const auto next = open_token_file(path, "the token");
    REQUIRE(next);
    CHECK(next->made == !there);
    CHECK(next->secret.reveal().size() == 64);
    const auto again = open_token_file(path, "the token");
    REQUIRE(again);
    CHECK(again->secret == next->secret);
    if (!killed) {
      CHECK(at > 10);  // it did see system calls
      break;
    }
  }
}
#endif

TEST_CASE("a token that cannot be written leaves no file, and is made once it can be") {
  const TempDir folder;
  const auto path = folder / "operator.token";
  const auto before = std::signal(SIGXFSZ, SIG_IGN);
  rlimit limit{};
  REQUIRE(getrlimit(RLIMIT_FSIZE, &limit) == 0);
  for (const rlim_t most : {rlim_t{0}, rlim_t{10}}) {
    const rlimit tight{most, limit.rlim_max};
    REQUIRE(setrlimit(RLIMIT_FSIZE, &tight) == 0);
    const auto why = refusal(path);
    setrlimit(RLIMIT_FSIZE, &limit);
    CHECK(contains(why, path));
    CHECK(contains(why, most == 0 ? "too large" : "full"));
    CHECK(std::filesystem::is_empty(folder.path()));
  }
  std::signal(SIGXFSZ, before);
  CHECK(refusal(path) == "accepted");
}

TEST_CASE("what stands where the token is prepared is neither followed nor written") {
  const TempDir folder;
  const auto path = folder / "operator.token";
  const auto victim = folder.write("victim", "untouched", 0600);
  REQUIRE(symlink(victim.c_str(), (path + ".new").c_str()) == 0);
  CHECK(refusal(path) == "accepted");
  CHECK(std::filesystem::file_size(victim) == 9);
  CHECK_FALSE(std::filesystem::exists(path + ".new"));

  std::filesystem::remove(path);
  REQUIRE(mkdir((path + ".new").c_str(), 0700) == 0);
  CHECK(contains(refusal(path), "make the token " + path));
  CHECK_FALSE(std::filesystem::exists(path));
}
