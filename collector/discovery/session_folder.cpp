#include "collector/discovery/session_folder.h"

#include <algorithm>
#include <functional>
#include <string_view>
#include <utility>

#include "config/session_file.h"
#include "config/values.h"

namespace fleetledger {
namespace {

constexpr std::string_view kEnding = ".json";
constexpr std::size_t kLongestFile = std::size_t{256} << 10U;
constexpr std::size_t kLongestId = 200;
constexpr std::size_t kMostRemarks = 5;

/// Stands for one content of one file.
std::uint64_t fingerprint(std::string_view name, const FileIdentity& file) {
  std::string bytes(name);
  const auto add = [&bytes](auto number) { bytes.append(reinterpret_cast<const char*>(&number), sizeof number); };
  add(file.device);
  add(file.inode);
  add(file.size);
  add(file.modified_ns);
  add(file.changed_ns);
  return std::hash<std::string>{}(bytes);
}

bool usable_id(std::string_view id) {
  const bool control =
      std::any_of(id.begin(), id.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20U || c == 0x7F; });
  return !id.empty() && id.size() <= kLongestId && !control && find_invalid_utf8(id) == std::string_view::npos;
}

Result<std::optional<Folder>> pass_on(const Result<std::optional<Folder>>& without_folder) {
  if (!without_folder) return fail(without_folder.error());
  return std::nullopt;
}

}  // namespace

bool SessionFolder::refresh(const Result<std::optional<Folder>>& instar, bool list, Uid user, WallTime now) {
  const auto sessions = instar && *instar ? (*instar)->below("state/sessions") : pass_on(instar);
  changed_ = identify(sessions, which_);
  if (!sessions) {
    set_problem(sessions.error().text);
    return changed_;
  }
  if (!*sessions) {
    changed_ |= !tracked_.empty() || !problem_.empty();
    tracked_.clear();
    ended_.clear();
    mark_ = {};
    problem_.clear();
    return changed_;
  }

  const FileLimits limits{.size = kLongestFile, .user = user};
  for (auto file = tracked_.begin(); file != tracked_.end();) {
    const Fate fate = look(**sessions, file->first, limits, now, file->second);
    if (fate == Fate::ended) {
      const std::uint64_t print = fingerprint(file->first, *file->second.mark.seen);
      ended_.insert(std::lower_bound(ended_.begin(), ended_.end(), print), print);
    }
    file = fate == Fate::keep ? std::next(file) : tracked_.erase(file);
  }

  const auto identity = (*sessions)->stat();
  if (!identity) {
    set_problem(identity.error().text);
  } else if (list || mark_.again || mark_.seen != *identity) {
    list_files(**sessions, *identity, limits, now);
  }
  return changed_;
}

bool SessionFolder::unsettled() const {
  return mark_.again ||
         std::any_of(tracked_.begin(), tracked_.end(), [](const auto& file) { return file.second.mark.again; });
}

void SessionFolder::list_files(const Folder& sessions, const FileIdentity& identity, const FileLimits& limits,
                               WallTime now) {
  auto listing = sessions.list(kEnding, kMostFiles);
  if (!listing) {
    mark_.again = true;
    set_problem(listing.error().text);
    return;
  }
  mark_ = {identity, is_young(identity, now)};
  set_problem(listing->cut ? "more than " + std::to_string(kMostFiles) + " files: the rest is not looked at" : "");

  std::vector<std::uint64_t> ended;
  for (const std::string& name : listing->names) {
    if (tracked_.contains(name)) continue;
    const auto file = sessions.stat(name);
    if (!file || !*file) continue;
    const std::uint64_t print = fingerprint(name, **file);
    if (std::binary_search(ended_.begin(), ended_.end(), print)) {
      ended.push_back(print);
      continue;
    }
    Tracked tracked;
    const Fate fate = look(sessions, name, limits, now, tracked);
    if (fate == Fate::ended) ended.push_back(fingerprint(name, *tracked.mark.seen));
    if (fate == Fate::keep && tracked_.size() < kMostFiles) tracked_.emplace(name, std::move(tracked));
  }
  std::sort(ended.begin(), ended.end());
  ended_ = std::move(ended);
}

SessionFolder::Fate SessionFolder::look(const Folder& sessions, const std::string& name, const FileLimits& limits,
                                        WallTime now, Tracked& file) {
  FileLook found = look_at_file(sessions, name, limits, now, file.mark);
  switch (found.outcome) {
    case FileLook::Outcome::unchanged:
      break;
    case FileLook::Outcome::missing:
      changed_ = changed_ || file.session || !file.problem.empty();
      return Fate::gone;
    case FileLook::Outcome::failed:
      changed_ = changed_ || found.reason != file.problem;
      file.problem = std::move(found.reason);
      break;
    case FileLook::Outcome::read:
      return read(name, found.text, file);
  }
  return Fate::keep;
}

SessionFolder::Fate SessionFolder::read(const std::string& name, const std::string& text, Tracked& file) {
  const std::string_view id = std::string_view(name).substr(0, name.size() - kEnding.size());
  auto parsed = usable_id(id) ? parse_session_file(id, text) : fail("its name is no usable id");
  std::string problem = parsed ? "" : parsed.error().text;
  changed_ = changed_ || problem != file.problem;
  file.problem = std::move(problem);
  if (!parsed) return Fate::keep;

  std::optional<Session> session;
  if (parsed->live) session = std::move(parsed->session);
  changed_ = changed_ || session != file.session;
  file.session = std::move(session);
  return file.session || file.mark.again ? Fate::keep : Fate::ended;
}

void SessionFolder::set_problem(std::string problem) {
  changed_ = changed_ || problem != problem_;
  problem_ = std::move(problem);
}

std::vector<Session> SessionFolder::live() const {
  std::vector<Session> sessions;
  for (const auto& [name, file] : tracked_) {
    if (file.session) sessions.push_back(*file.session);
  }
  std::sort(sessions.begin(), sessions.end(), [](const Session& a, const Session& b) { return a.id < b.id; });
  return sessions;
}

std::vector<std::string> SessionFolder::remarks() const {
  std::vector<std::string> remarks;
  if (!problem_.empty()) remarks.push_back("state/sessions: " + problem_);
  std::size_t unreadable = 0;
  for (const auto& [name, file] : tracked_) {
    if (file.problem.empty() || ++unreadable > kMostRemarks) continue;
    remarks.push_back("session file " + quoted(name) + ": " + file.problem +
                      (file.session ? "; the session stays as it was known" : ""));
  }
  if (unreadable > kMostRemarks) {
    remarks.push_back("and " + std::to_string(unreadable - kMostRemarks) + " more session files that cannot be read");
  }
  return remarks;
}

}  // namespace fleetledger
