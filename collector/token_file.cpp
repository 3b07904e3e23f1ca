#include "collector/token_file.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collector/api/access.h"

namespace fleetledger {
namespace {

constexpr std::size_t kRandomBytes = 32;
constexpr int kFlags = O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;

std::string reason() { return std::strerror(errno); }

/// A descriptor that is closed with its scope.
class File {
 public:
  explicit File(int descriptor) : descriptor_(descriptor) {}
  ~File() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  [[nodiscard]] int get() const { return descriptor_; }

 private:
  int descriptor_;
};

std::string random_token() {
  std::array<unsigned char, kRandomBytes> random{};
  if (getentropy(random.data(), random.size()) != 0) {
    return {};
  }
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string token;
  for (const unsigned byte : random) {
    token += kDigits[byte >> 4U];
    token += kDigits[byte & 0xFU];
  }
  return token;
}

/// Writes a new file of mode 0600, through to the disk; empty, or why not. What a killed process left there goes.
std::string write_new(const std::string& path, const std::string& text) {
  if (unlink(path.c_str()) != 0 && errno != ENOENT) {
    return reason();
  }
  const File file(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | kFlags, 0600));
  if (file.get() < 0 || fchmod(file.get(), 0600) != 0) {
    return reason();
  }
  const auto written = write(file.get(), text.data(), text.size());
  if (written >= 0 && written != static_cast<ssize_t>(text.size())) {
    return "the disk is full";
  }
  return written < 0 || fsync(file.get()) != 0 ? reason() : std::string();
}

void sync_folder_of(const std::string& path) {
  const auto slash = path.rfind('/');
  const auto folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const File file(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (file.get() >= 0) {
    fsync(file.get());
  }
}

/// Gets its name only once it is whole: whoever is killed on the way leaves no file, or the finished one, and at most a
/// further one beside it that nobody reads.
Result<Secret> make_token(const std::string& named, const std::string& path) {
  const auto doing = "make " + named + ": ";
  auto token = random_token();
  if (token.empty()) {
    return fail(doing + reason());
  }
  const auto unfinished = path + ".new";
  auto why = write_new(unfinished, token + "\n");
  if (why.empty() && link(unfinished.c_str(), path.c_str()) != 0) {  // unlike rename(2) it replaces nothing
    why = reason();
  }
  unlink(unfinished.c_str());
  if (!why.empty()) {
    return fail(doing + why);
  }
  sync_folder_of(path);
  return Secret(std::move(token));
}

Result<Secret> read_token(int file, const std::string& doing) {
  struct stat found {};
  if (fstat(file, &found) != 0) {
    return fail(doing + reason());
  }
  if (!S_ISREG(found.st_mode)) {
    return fail(doing + "it is no regular file");
  }
  if (found.st_uid != geteuid()) {
    return fail(doing + "it belongs to another user");
  }
  if ((found.st_mode & 077U) != 0) {
    return fail(doing + "others may use it; make it yours alone: chmod 600");
  }
  std::string text(Access::kLongestToken + 2, '\0');
  const auto size = pread(file, text.data(), text.size(), 0);
  if (size < 0) {
    return fail(doing + reason());
  }
  text.resize(static_cast<std::size_t>(size));
  if (text.ends_with('\n')) {
    text.pop_back();
  }
  const auto printable = [](char c) { return c > ' ' && c < 0x7F; };
  if (text.size() < Access::kShortestToken || text.size() > Access::kLongestToken ||
      !std::all_of(text.begin(), text.end(), printable)) {
    return fail(doing +
                "it must be one line of 16 to 256 printable characters; remove the file to have a new one made");
  }
  return Secret(std::move(text));
}

}  // namespace

Result<std::optional<Secret>> read_token_file(const std::string& path, std::string_view what) {
  const auto reading = std::string("read ").append(what).append(" ").append(path).append(": ");
  const File file(open(path.c_str(), O_RDONLY | kFlags));
  if (file.get() < 0) {
    if (errno == ENOENT) {
      return std::optional<Secret>{};
    }
    return fail(reading + (errno == ELOOP ? "it is a link" : reason()));
  }
  auto token = read_token(file.get(), reading);
  if (!token) {
    return fail(token.error());
  }
  return std::optional{std::move(*token)};
}

Result<FileToken> open_token_file(const std::string& path, std::string_view what) {
  auto token = read_token_file(path, what);
  if (!token) {
    return fail(token.error());
  }
  if (*token) {
    return FileToken{std::move(**token), false};
  }
  auto made = make_token(std::string(what).append(" ").append(path), path);
  if (!made) {
    return fail(made.error());
  }
  return FileToken{std::move(*made), true};
}

}  // namespace fleetledger
