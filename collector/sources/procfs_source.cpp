#include "collector/sources/procfs_source.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <fstream>
#include <sstream>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include "collector/clock.h"
#include "collector/sources/descriptor.h"
#include "collector/sources/proc_stat.h"

namespace fleetledger {
namespace {

struct CloseFolder {
  void operator()(DIR* folder) const { ::closedir(folder); }
};
using Folder = std::unique_ptr<DIR, CloseFolder>;

/// The open stat of one process. Reading it again is half the price of opening it; if its process is gone it says so,
/// also when the pid is another's by then.
struct OpenStat {
  Pid pid = 0;
  Descriptor file;
  Uid owner = 0;
};

enum class Seen {
  yes,
  absent,   ///< it vanished, or we may not read it
  unknown,  ///< it could not be read for another reason: `errno`
  rubbish,  ///< it was read and is not what the kernel writes
};

/// The pid that a folder's name stands for; 0 if it is none.
Pid pid_of(const char* name) {
  Pid pid = 0;
  const auto* end = name + std::strlen(name);
  const auto read = std::from_chars(name, end, pid);
  return read.ec == std::errc{} && read.ptr == end && *name != '-' ? pid : 0;
}

/// How many descriptors may be kept: of many that we may have half, so that a host of 500 agents is looked at without
/// opening anything; of few a quarter, so that there is room for the ledgers, which take a third, and for all else.
std::size_t most_kept() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) {
    return 0;
  }
  constexpr rlim_t kMost = 8192;
  constexpr rlim_t kForAllElse = 1024;
  const rlim_t half = limit.rlim_cur / 2;
  return static_cast<std::size_t>(std::min(std::max(half / 2, half - std::min(half, kForAllElse)), kMost));
}

class ProcfsSource final : public ProcessSource {
 public:
  ProcfsSource(Folder folder, ProcfsOptions options)
      : folder_(std::move(folder)), options_(std::move(options)), page_size_(std::max(::sysconf(_SC_PAGESIZE), 1L)) {}

  void look(Done done) override { done(read_all()); }

 private:
  Result<ProcessTable> read_all() {
    const auto tick = ticks_to_micros(1);
    ProcessTable::Moment moment;
    moment.taken = system_clock().monotonic();
    // Starts are cut off to ticks, so the moment is too: what starts from now on does not start before it.
    moment.boot = BootTime{boot_now().time_since_epoch() / tick * tick};
    moment.cpu_resolution = tick;
    moment.start_slack = Micros{0};

    std::vector<ProcessReading> readings;
    readings.reserve(last_size_ + last_size_ / 8 + 64);
    bool ourselves = false;
    std::string why;
    ::rewinddir(folder_.get());
    while (why.empty()) {
      errno = 0;
      const dirent* entry = ::readdir(folder_.get());
      if (entry == nullptr) {
        why = errno != 0 ? std::strerror(errno) : "";
        break;
      }
      const auto pid = pid_of(entry->d_name);
      if (pid == 0) {
        continue;
      }
      ProcessReading reading;
      switch (read_one(pid, reading)) {
        case Seen::yes:
          ourselves = ourselves || pid == options_.self;
          readings.push_back(reading);
          break;
        case Seen::absent:
          break;
        case Seen::unknown:
          why = std::to_string(pid) + "/stat: " + std::strerror(errno);
          break;
        case Seen::rubbish:
          why = std::to_string(pid) + "/stat is not what the kernel writes";
          break;
      }
    }
    keep_what_was_read();
    if (why.empty() && !ourselves) {
      why = "our own process " + std::to_string(options_.self) + " is not in it";
    }
    if (!why.empty()) {
      return fail("look at " + options_.root + ": " + why);
    }
    last_size_ = readings.size();
    return ProcessTable(moment, std::move(readings));
  }

  /// Closes what the pass did not come by; the rest is in the order of pids for the next one.
  void keep_what_was_read() {
    const auto by_pid = [](const OpenStat& left, const OpenStat& right) { return left.pid < right.pid; };
    if (!std::is_sorted(next_.begin(), next_.end(), by_pid)) {
      std::sort(next_.begin(), next_.end(), by_pid);
    }
    kept_.clear();
    kept_.swap(next_);
    place_ = 0;
  }

  /// The open stat that was kept of this pid, taken out; not open if there is none. Pids mostly come in their order.
  OpenStat take_kept(Pid pid) {
    const auto below = [](const OpenStat& kept, Pid wanted) { return kept.pid < wanted; };
    while (place_ < kept_.size() && kept_[place_].pid < pid) {
      ++place_;
    }
    auto found = kept_.begin() + static_cast<std::ptrdiff_t>(place_);
    if (place_ > 0 && kept_[place_ - 1].pid >= pid) {
      found = std::lower_bound(kept_.begin(), kept_.end(), pid, below);
    }
    return found != kept_.end() && found->pid == pid ? std::move(*found) : OpenStat{};
  }

  /// Opens a process's stat, if need be at the cost of those that are kept.
  OpenStat open_stat(Pid pid) {
    const int proc = ::dirfd(folder_.get());
    const auto process = std::to_string(pid);
    const auto path = process + "/stat";
    constexpr int kFlags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
    OpenStat stat{.pid = pid, .file = Descriptor(::openat(proc, path.c_str(), kFlags))};
    if (!stat.file.open() && errno == EMFILE && !(kept_.empty() && next_.empty())) {
      kept_.clear();
      next_.clear();
      place_ = 0;
      most_kept_ = 0;
      stat.file = Descriptor(::openat(proc, path.c_str(), kFlags));
    }
    // The folder is its owner's always; the files of a process that may not be traced are root's.
    struct stat about {};
    if (stat.file.open() && ::fstatat(proc, process.c_str(), &about, AT_SYMLINK_NOFOLLOW) != 0) {
      stat.file = Descriptor();
    }
    stat.owner = about.st_uid;
    return stat;
  }

  Seen read_one(Pid pid, ProcessReading& reading) {
    auto open = take_kept(pid);
    ssize_t got = open.file.open() ? ::pread(open.file.get(), buffer_.data(), buffer_.size(), 0) : -1;
    if (got <= 0) {
      open = open_stat(pid);  // new here, or the pid is another's by now
      if (!open.file.open()) {
        const bool absent = errno == ENOENT || errno == ESRCH || errno == EACCES || errno == EPERM;
        return absent ? Seen::absent : Seen::unknown;
      }
      got = ::read(open.file.get(), buffer_.data(), buffer_.size());
    }
    if (got < 0) {
      return errno == ESRCH || errno == ENOENT ? Seen::absent : Seen::unknown;
    }
    const auto stat = parse_proc_stat({buffer_.data(), static_cast<std::size_t>(got)});
    if (!stat || stat->pid != pid) {
      return got == 0 ? Seen::absent : Seen::rubbish;
    }
    if (stat->state == 'X') {
      return Seen::absent;
    }
    reading.key = {pid, BootTime{ticks_to_micros(stat->start_ticks)}};
    reading.parent = stat->parent;
    reading.owner = open.owner;
    reading.own = CpuTotal{ticks_to_micros(stat->own_ticks)};
    reading.with_reaped = CpuTotal{ticks_to_micros(stat->own_ticks + stat->reaped_ticks)};
    reading.zombie = stat->state == 'Z';
    reading.resident = Bytes{reading.zombie ? 0 : stat->resident_pages * page_size_};
    reading.name = stat->name;
    if (next_.size() < most_kept_) {
      next_.push_back(std::move(open));
    }
    return Seen::yes;
  }

  Folder folder_;
  ProcfsOptions options_;
  std::int64_t page_size_;
  std::size_t last_size_ = 0;
  std::size_t most_kept_ = most_kept();
  std::vector<OpenStat> kept_;  ///< from the look before, in the order of pids
  std::vector<OpenStat> next_;  ///< of the look that is being made
  std::size_t place_ = 0;       ///< where in kept_ the pass is
  std::array<char, 2048> buffer_{};
};

}  // namespace

Result<std::unique_ptr<ProcessSource>> make_procfs_source(ProcfsOptions options) {
  Folder folder(::opendir(options.root.c_str()));
  if (!folder) {
    return fail("look at " + options.root + ": " + std::strerror(errno), Error::Kind::unavailable);
  }
  if (options.self == 0) {
    options.self = ::getpid();
  }
  return std::unique_ptr<ProcessSource>(std::make_unique<ProcfsSource>(std::move(folder), std::move(options)));
}

namespace {

/// Whether the mount at `root` was given hidepid in another value than 0, which has a name since Linux 5.8: proc(5).
bool mounted_with_hidepid(const std::string& root) {
  std::ifstream mounts(root + "/self/mountinfo");
  bool hides = false;
  for (std::string line; std::getline(mounts, line);) {  // those that come later lie on top
    std::istringstream fields(line);
    std::string skipped, folder, options;
    fields >> skipped >> skipped >> skipped >> skipped >> folder;
    if (folder == root) {
      const auto at = line.rfind(" hidepid=") != std::string::npos ? line.rfind(" hidepid=") : line.rfind(",hidepid=");
      const auto value = at == std::string::npos ? std::string("0") : line.substr(at + std::strlen(" hidepid="));
      hides = !value.starts_with('0') && !value.starts_with("off");
    }
  }
  return hides;
}

bool shows_other_users(const std::string& root) {
  const Folder folder(::opendir(root.c_str()));
  const auto us = ::geteuid();
  while (const auto* entry = folder ? ::readdir(folder.get()) : nullptr) {
    struct stat status {};
    if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' &&
        ::fstatat(::dirfd(folder.get()), entry->d_name, &status, 0) == 0 && status.st_uid != us) {
      return true;
    }
  }
  return false;
}

}  // namespace

std::string procfs_restriction(const std::string& root) {
  // There is always a process 1. Mostly it is root's, so the first that is hidden from others; in a container it may be
  // ours.
  const Descriptor first(::open((root + "/1/stat").c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  const bool first_hidden = !first.open() && (errno == ENOENT || errno == EACCES || errno == EPERM);
  const bool hidden = first_hidden || (mounted_with_hidepid(root) && !shows_other_users(root));
  if (!hidden || ::access(root.c_str(), F_OK) != 0) {
    return {};
  }
  return root + " hides the processes of other users from us (mount option hidepid): they are counted nowhere";
}

}  // namespace fleetledger
