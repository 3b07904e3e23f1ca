#include "collector/discovery/watcher.h"

#include <algorithm>
#include <array>
#include <deque>
#include <map>
#include <set>
#include <string_view>
#include <utility>
#include <uv.h>

#include "collector/discovery/places.h"
#include "collector/loop/handle.h"
#include "config/sentinel_line.h"

namespace fleetledger {
namespace {

/// To begin to watch a folder takes some microseconds where its disk answers at once.
constexpr std::size_t kAtOnce = 64;
constexpr std::array<std::string_view, 3> kFiles{"registry.json", "port-registry.json", "config.json"};

bool matters(const WatchedFolder& folder, std::string_view file) {
  switch (folder.holds) {
    case WatchedFolder::Holds::sessions:
      return file.ends_with(".json");
    case WatchedFolder::Holds::logs:
      return file.starts_with(kSentinelLogStem);
    case WatchedFolder::Holds::settings:
      break;
  }
  return std::find(kFiles.begin(), kFiles.end(), file) != kFiles.end();
}

}  // namespace

class Watcher::Impl {
 public:
  Impl(uv_loop_s* loop, Changed changed, std::size_t most) : loop_(loop), changed_(std::move(changed)), most_(most) {
    // It cannot fail.
    next_turn_ = make_handle<uv_idle_t>([this](uv_idle_t* handle) { return uv_idle_init(loop_, handle); });
    next_turn_->data = this;
  }

  void watch(const std::vector<WatchedFolder>& folders, const std::vector<WatchedFolder>& silent, bool retry) {
    std::map<WatchedFolder, std::unique_ptr<Watch>> kept;
    for (const WatchedFolder& folder : silent) {
      if (is_watching(folder)) kept.insert(watches_.extract(folder));
    }
    to_begin_.clear();
    if (retry) {
      trouble_.reset();
      failed_.clear();
    }
    std::set<WatchedFolder> failed;
    for (const WatchedFolder& folder : folders) {
      if (const auto known = watches_.find(folder); known != watches_.end() && (!known->second->lost || !retry)) {
        kept.insert(watches_.extract(known));
      } else if (failed_.contains(folder)) {
        failed.insert(folder);
      } else if (folder.which.exists()) {
        to_begin_.push_back(folder);
      }
    }
    watches_ = std::move(kept);
    failed_ = std::move(failed);
    begin_some();
  }

  [[nodiscard]] bool is_watching(const WatchedFolder& folder) const {
    const auto known = watches_.find(folder);
    return known != watches_.end() && !known->second->lost;
  }
  [[nodiscard]] bool tells_all(const WatchedFolder& folder) const { return folder.which.local && is_watching(folder); }
  [[nodiscard]] bool tells_all(const std::string& path, WatchedFolder::Holds holds) const {
    const auto known = watches_.lower_bound({path, holds});
    return known != watches_.end() && known->first.path == path && known->first.holds == holds &&
           tells_all(known->first);
  }
  [[nodiscard]] bool settled() const {
    return to_begin_.empty() && failed_.empty() && !trouble_ &&
           std::none_of(watches_.begin(), watches_.end(), [](const auto& watch) { return watch.second->lost; });
  }
  [[nodiscard]] std::size_t watching() const {
    return static_cast<std::size_t>(
        std::count_if(watches_.begin(), watches_.end(), [](const auto& watch) { return !watch.second->lost; }));
  }
  [[nodiscard]] const std::optional<std::string>& remark() const { return remark_; }

 private:
  struct Watch {
    Impl* owner = nullptr;
    WatchedFolder folder;
    bool lost = false;  ///< what is watched may not be the folder of this name any more
    UvHandle<uv_fs_event_t> handle;
  };

  /// As many as one turn of the loop should hold; the rest in the next ones.
  void begin_some() {
    std::vector<WatchedFolder> begun;
    for (std::size_t tried = 0; tried < kAtOnce && !to_begin_.empty() && !trouble_; ++tried) {
      WatchedFolder folder = std::move(to_begin_.front());
      to_begin_.pop_front();
      if (watches_.size() >= most_) {
        trouble_ = "more than " + std::to_string(most_) + " folders: the rest is looked at from time to time only";
      } else if (auto watch = start(folder)) {
        watches_[folder] = std::move(watch);
        begun.push_back(std::move(folder));
      } else {
        failed_.insert(std::move(folder));
      }
    }
    if (to_begin_.empty() || trouble_) {
      remark_ = trouble_;
      uv_idle_stop(next_turn_.get());
    } else {
      uv_idle_start(next_turn_.get(), [](uv_idle_t* turn) { static_cast<Impl*>(turn->data)->begin_some(); });
    }
    for (const auto& folder : begun) changed_(folder);
  }

  std::unique_ptr<Watch> start(const WatchedFolder& folder) {
    auto watch = std::make_unique<Watch>();
    watch->owner = this;
    watch->folder = folder;
    watch->handle =
        make_handle<uv_fs_event_t>([this](uv_fs_event_t* handle) { return uv_fs_event_init(loop_, handle); });
    if (!watch->handle) return nullptr;
    watch->handle->data = watch.get();
    const int status = uv_fs_event_start(
        watch->handle.get(),
        [](uv_fs_event_t* handle, const char* file, int /*events*/, int status_now) {
          auto* watched = static_cast<Watch*>(handle->data);
          watched->owner->on_event(*watched, file == nullptr ? "" : file, status_now);
        },
        folder.path.c_str(), 0);
    if (status == 0) return watch;
    // A folder that is missing or closed to us says so where it is read. Anything else concerns watching as such.
    if (status != UV_ENOENT && status != UV_ENOTDIR && status != UV_EACCES && status != UV_ELOOP) {
      trouble_ = std::string("watching folders: ") +
                 (status == UV_ENOSPC ? "the system allows no more watches" : uv_strerror(status)) +
                 ": they are looked at from time to time only";
    }
    return nullptr;
  }

  void on_event(Watch& watch, std::string_view file, int status) {
    // An event of the folder itself (removed, renamed) comes under its own name.
    if (status < 0 || file.empty() || file == last_part(watch.folder.path)) {
      watch.lost = true;
    } else if (!matters(watch.folder, file)) {
      return;
    }
    // A copy: the callee may call watch().
    const WatchedFolder folder = watch.folder;
    changed_(folder);
  }

  uv_loop_s* loop_;
  Changed changed_;
  std::size_t most_;
  std::map<WatchedFolder, std::unique_ptr<Watch>> watches_;
  std::deque<WatchedFolder> to_begin_;
  std::set<WatchedFolder> failed_;      ///< not to be tried again for now
  UvHandle<uv_idle_t> next_turn_;       ///< active while that has to go on
  std::optional<std::string> trouble_;  ///< of those gone through now, as far as they are
  std::optional<std::string> remark_;   ///< of those gone through last
};

Watcher::Watcher(uv_loop_s* loop, Changed changed, std::size_t most_folders)
    : impl_(std::make_unique<Impl>(loop, std::move(changed), most_folders)) {}
Watcher::~Watcher() = default;

void Watcher::watch(const std::vector<WatchedFolder>& folders, const std::vector<WatchedFolder>& silent, bool retry) {
  impl_->watch(folders, silent, retry);
}
bool Watcher::is_watching(const WatchedFolder& folder) const { return impl_->is_watching(folder); }
bool Watcher::tells_all(const WatchedFolder& folder) const { return impl_->tells_all(folder); }
bool Watcher::tells_all(const std::string& path, WatchedFolder::Holds holds) const {
  return impl_->tells_all(path, holds);
}
bool Watcher::settled() const { return impl_->settled(); }
std::size_t Watcher::watching() const { return impl_->watching(); }
const std::optional<std::string>& Watcher::remark() const { return impl_->remark(); }

}  // namespace fleetledger
