#include "collector/sources/program.h"

#include <cerrno>
#include <climits>
#include <cstring>
#include <deque>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

namespace fleetledger {
namespace {

constexpr int kMostLinks = 40;

/// Empty if this is a regular file that we may execute; else what is wrong with it.
std::string why_not_executable(const std::string& path) {
  struct stat about {};
  if (::stat(path.c_str(), &about) != 0) {
    return std::strerror(errno);
  }
  if (!S_ISREG(about.st_mode)) {
    return "not a regular file";
  }
  if (::faccessat(AT_FDCWD, path.c_str(), X_OK, AT_EACCESS) != 0) {
    return "we may not execute it";
  }
  return {};
}

/// Empty if nobody but root and `user` can change this entry of the file system; else why not.
std::string why_not_trusted(const struct stat& about, Uid user) {
  if (about.st_uid != 0 && about.st_uid != user) {
    return "belongs to another user";
  }
  // The mode of a link means nothing.
  if (!S_ISLNK(about.st_mode) && (about.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return "can be written by others";
  }
  return {};
}

/// The components of a path, in front of what is still to walk.
void push_components(std::deque<std::string>& rest, std::string_view path) {
  std::vector<std::string> components;
  while (!path.empty()) {
    const auto slash = path.find('/');
    if (const auto component = path.substr(0, slash); !component.empty() && component != ".") {
      components.emplace_back(component);
    }
    path.remove_prefix(slash == std::string_view::npos ? path.size() : slash + 1);
  }
  rest.insert(rest.begin(), components.begin(), components.end());
}

}  // namespace

Result<std::string> find_program(std::string_view name_or_path) {
  const std::string wanted(name_or_path);
  if (wanted.empty() || wanted.find('\0') != std::string::npos) {
    return fail("find a program: its name is empty or not a name", Error::Kind::invalid);
  }
  if (wanted.front() == '/') {
    if (const auto why = why_not_executable(wanted); !why.empty()) {
      return fail("use " + wanted + ": " + why, Error::Kind::unavailable);
    }
    return wanted;
  }
  if (wanted.find('/') != std::string::npos) {
    return fail("use " + wanted + ": a program is given by an absolute path or by its bare name", Error::Kind::invalid);
  }
  for (std::string_view rest = kProgramPath; !rest.empty();) {
    const auto colon = rest.find(':');
    const auto path = std::string(rest.substr(0, colon)) + '/' + wanted;
    if (why_not_executable(path).empty()) {
      return path;
    }
    rest.remove_prefix(colon == std::string_view::npos ? rest.size() : colon + 1);
  }
  return fail("find " + wanted + ": in none of " + std::string(kProgramPath), Error::Kind::unavailable);
}

Result<std::string> trusted_program(std::string_view path, Uid user) {
  const auto refuse = [&](const std::string& why) {
    return fail("use " + std::string(path) + ": " + why, Error::Kind::unavailable);
  };
  if (path.empty() || path.front() != '/' || path.size() >= PATH_MAX || path.find('\0') != std::string_view::npos) {
    return refuse("not an absolute path");
  }
  std::deque<std::string> rest;
  push_components(rest, path);
  std::string real = "/";
  int links = 0;
  // Walks as the kernel would, so that every folder in which a name could be exchanged is looked at.
  for (;;) {
    struct stat about {};
    if (::lstat(real.c_str(), &about) != 0) {
      return refuse(real + ": " + std::strerror(errno));
    }
    if (const auto why = why_not_trusted(about, user); !why.empty()) {
      return refuse(real + ' ' + why);
    }
    if (S_ISLNK(about.st_mode)) {
      std::vector<char> target(PATH_MAX);
      const auto length = ::readlink(real.c_str(), target.data(), target.size());
      if (length <= 0 || static_cast<std::size_t>(length) == target.size() || ++links > kMostLinks) {
        return refuse(real + ": a link that leads nowhere");
      }
      const std::string_view there(target.data(), static_cast<std::size_t>(length));
      push_components(rest, there);
      const auto slash = real.rfind('/');
      real = there.front() == '/' || slash == 0 ? "/" : real.substr(0, slash);
    } else if (rest.empty()) {
      break;
    } else if (!S_ISDIR(about.st_mode)) {
      return refuse(real + ": not a folder");
    } else if (rest.front() == "..") {
      const auto slash = real.rfind('/');
      real = slash == 0 ? "/" : real.substr(0, slash);
      rest.pop_front();
    } else {
      if (real.size() > 1) {
        real += '/';
      }
      real += rest.front();
      rest.pop_front();
    }
  }
  if (const auto why = why_not_executable(real); !why.empty()) {
    return refuse(why);
  }
  return real;
}

}  // namespace fleetledger
