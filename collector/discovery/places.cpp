#include "collector/discovery/places.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <glob.h>
#include <memory>
#include <sys/stat.h>
#include <system_error>

#include "config/values.h"

namespace fleetledger {
namespace {

constexpr std::size_t kMostHomes = 1'000;

struct FreeGlob {
  void operator()(glob_t* found) const {
    ::globfree(found);
    delete found;
  }
};

}  // namespace

bool is_glob(const std::string& pattern) { return pattern.find_first_of("*?[") != std::string::npos; }

std::vector<std::string> expand_glob(const std::string& pattern) {
  const std::unique_ptr<glob_t, FreeGlob> found(new glob_t{});
  if (::glob(pattern.c_str(), 0, nullptr, found.get()) != 0) return {};
  return {found->gl_pathv, found->gl_pathv + std::min<std::size_t>(found->gl_pathc, kMostHomes)};
}

bool has_instar(const std::string& home) {
  struct stat status {};
  return ::lstat((home + "/.instar").c_str(), &status) == 0;
}

std::string expand_home(std::string_view path, const std::string& home) {
  std::string expanded(path);
  if (path == "~" || path.starts_with("~/")) expanded = home + std::string(path.substr(1));
  while (expanded.size() > 1 && expanded.ends_with('/')) expanded.pop_back();
  return expanded;
}

std::string_view last_part(std::string_view path) { return path.substr(path.rfind('/') + 1); }

Result<std::string> resolve_folder(const std::string& path, Uid user) {
  if (!path.starts_with('/')) return fail("it is not an absolute path", Error::Kind::unavailable);
  const std::unique_ptr<char, decltype(&std::free)> real(::realpath(path.c_str(), nullptr), &std::free);
  struct stat status {};
  if (!real || ::stat(real.get(), &status) != 0) {
    if (errno == ENOENT) return fail("it does not exist", Error::Kind::unavailable);
    return fail(std::system_category().message(errno), Error::Kind::unavailable);
  }
  if (!S_ISDIR(status.st_mode)) return fail("it is not a folder", Error::Kind::unavailable);
  if (status.st_uid != user) return fail("it belongs to another user", Error::Kind::unavailable);
  if (find_invalid_utf8(real.get()) != std::string_view::npos) {
    return fail("its real path is not UTF-8", Error::Kind::unavailable);
  }
  return std::string(real.get());
}

}  // namespace fleetledger
