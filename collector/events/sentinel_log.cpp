#include "collector/events/sentinel_log.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <utility>
#include <variant>

#include "collector/events/line_ids.h"
#include "collector/events/line_reader.h"

namespace fleetledger {
namespace {

constexpr std::size_t kMostNames = 1'000;  ///< of older generations that are looked at
constexpr int kAttempts = 5;               ///< to see the folder between two changes of it

const std::string kLog(kSentinelLogName);

bool may_be_generation(std::string_view name) {
  constexpr std::array<std::string_view, 4> kPacked{".gz", ".xz", ".zst", ".bz2"};
  const auto packed = [name](std::string_view ending) { return name.ends_with(ending); };
  return name.starts_with(kSentinelLogStem) && name != kSentinelLogName &&
         std::none_of(kPacked.begin(), kPacked.end(), packed);
}

/// The last number in a name, 0 if there is none: log.2 is older than log.1.
std::uint64_t number_in(std::string_view name) {
  const auto last = name.find_last_of("0123456789");
  if (last == std::string_view::npos) return 0;
  const auto before = name.find_last_not_of("0123456789", last);
  const auto first = before == std::string_view::npos ? 0 : before + 1;
  std::uint64_t number = 0;
  std::from_chars(name.data() + first, name.data() + last + 1, number);
  return number;
}

struct Generation {
  std::string name;
  FileIdentity identity;
};

/// The one written to before, first.
bool is_older(const Generation& left, const Generation& right) {
  if (left.identity.modified_ns != right.identity.modified_ns) {
    return left.identity.modified_ns < right.identity.modified_ns;
  }
  return number_in(left.name) > number_in(right.name);
}

bool same_file(const FileIdentity& left, const FileIdentity& right) {
  return left.inode == right.inode && left.device == right.device;
}

/// What a folder held at one moment.
struct View {
  std::optional<FileIdentity> log;
  std::vector<Generation> generations;  ///< oldest first
};

class Reader {
 public:
  explicit Reader(const LogQuestion& question) : question_(question) { reading_.mark = question.after; }

  LogReading read() {
    const auto agent = Folder::open(question_.agent_path);
    const auto logs = agent && *agent ? (*agent)->below(kLogsFolder) : agent ? std::nullopt : pass_on(agent);
    if (!logs) {
      complain(std::string(kLogsFolder), logs.error());
    } else if (*logs) {
      read_in(**logs);
    }
    return std::move(reading_);
  }

 private:
  static Result<std::optional<Folder>> pass_on(const Result<std::optional<Folder>>& failed) {
    return fail(failed.error());
  }

  void complain(const std::string& what, const Error& error) {
    if (reading_.problem.empty()) reading_.problem = what + ": " + error.text;
  }

  [[nodiscard]] bool is_marked(const FileIdentity& file) const {
    return question_.after && question_.after->inode == file.inode;
  }

  void read_in(const Folder& logs) {
    const auto log = logs.stat(kLog);
    if (!log) return complain(kLog, log.error());
    if (*log && question_.seen == **log) {
      reading_.unchanged = true;
      reading_.seen = question_.seen;
      return;
    }
    if (*log && is_marked(**log) && continue_in(logs, {kLog, **log}, false)) return;
    if (stopped_) return;
    const auto view = look(logs);
    if (!view) return complain(std::string(kLogsFolder), view.error());
    if (!*view) {
      reading_.more = true;  // it is being renamed all the time
      return;
    }
    read_all(logs, **view);
  }

  /// The log and all older generations as they were at one moment; nothing: they changed whenever we looked.
  static Result<std::optional<View>> look(const Folder& logs) {
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
      const auto before = logs.stat();
      if (!before) return fail(before.error());
      const auto log = logs.stat(kLog);
      if (!log) return fail(log.error());
      View view{*log, {}};
      const auto names = logs.list(may_be_generation, kMostNames);
      if (!names) return fail(names.error());
      for (const std::string& name : names->names) {
        const auto identity = logs.stat(name);
        if (identity && *identity) view.generations.push_back({name, **identity});
      }
      const auto after = logs.stat();
      if (!after) return fail(after.error());
      if (*before != *after) continue;
      std::sort(view.generations.begin(), view.generations.end(), is_older);
      return std::optional(std::move(view));
    }
    return std::nullopt;
  }

  /// The log is another one than the marked one, or nothing is marked.
  void read_all(const Folder& logs, const View& view) {
    auto next = view.generations.begin();
    const auto marked =
        std::find_if(next, view.generations.end(), [this](const Generation& old) { return is_marked(old.identity); });
    if (marked != view.generations.end() && continue_in(logs, *marked, true)) {
      next = marked + 1;
    } else if (!stopped_) {
      // Truncated, written anew or gone: what is there came after the mark, or is known by its ids.
      if (reading_.mark) reading_.mark->memory.clear();
      next = std::find_if(next, view.generations.end(), [this](const Generation& old) {
        return std::chrono::nanoseconds{old.identity.modified_ns} >= question_.oldest.time_since_epoch();
      });
    }
    for (; !stopped_ && next != view.generations.end(); ++next) {
      const auto file = open(logs, next->name, next->identity);
      if (file) read_lines(LineReader(*file), true);
    }
    if (!stopped_ && view.log) read_log(logs, *view.log);
  }

  /// Opens what was seen under a name. Nothing: it is refused, or another file by now.
  std::optional<OpenFile> open(const Folder& logs, const std::string& name, const FileIdentity& seen) {
    auto file = logs.open_file(name, {.size = std::numeric_limits<std::size_t>::max(), .user = question_.user});
    if (!file) {
      complain(name, file.error());
      stopped_ = file.error().kind == Error::Kind::busy;
      return std::nullopt;
    }
    if (!*file || !same_file((*file)->identity(), seen)) {
      stopped_ = reading_.more = true;  // to be looked at anew
      return std::nullopt;
    }
    return std::move(*file);
  }

  /// Reads what is left of the file that has the marked one's inode. Whether it is the marked one; if it cannot be
  /// read, that is stopped_.
  bool continue_in(const Folder& logs, const Generation& marked, bool renamed) {
    const auto file = open(logs, marked.name, marked.identity);
    if (!file) {  // if it is refused, what is left of it is lost, and nothing that came after it
      if (!renamed && !stopped_) reading_.seen = marked.identity;
      stopped_ = stopped_ || !renamed;
      return true;
    }
    auto lines = LineReader::at(*file, *question_.after);
    if (!lines) {
      complain(marked.name, lines.error());
      return stopped_ = true;
    }
    if (!*lines) return false;
    read_lines(std::move(**lines), renamed);
    if (!renamed && !stopped_) reading_.seen = file->identity();
    return true;
  }

  void read_log(const Folder& logs, const FileIdentity& seen) {
    const auto file = open(logs, kLog, seen);
    if (file) read_lines(LineReader(*file), false);
    if (!stopped_) reading_.seen = file ? file->identity() : seen;
  }

  void read_lines(LineReader lines, bool last_counts) {
    LineIds ids(reading_.mark ? LineReader::memory_in(*reading_.mark) : std::string_view());
    const auto is_full = [&] {
      return reading_.events.size() + reading_.recoveries.size() >= question_.most_events ||
             reading_.bytes + lines.bytes() >= question_.most_bytes;
    };
    for (;;) {
      if (is_full()) {
        stopped_ = reading_.more = true;
        break;
      }
      const auto next = lines.next(last_counts);
      if (!next) {
        complain(kLog, next.error());
        stopped_ = true;
        break;
      }
      if (*next == LineReader::Line::end) break;
      if (*next == LineReader::Line::too_long) {
        skip(SkippedLine::too_long);
      } else if (!lines.line().empty()) {
        take(lines.line(), ids);
      }
    }
    reading_.bytes += lines.bytes();
    reading_.mark = lines.mark(ids.memory());
  }

  void skip(SkippedLine why) { ++reading_.skipped[static_cast<std::size_t>(why)]; }

  void take(std::string_view line, LineIds& ids) {
    auto parsed = parse_sentinel_line(line, question_.oldest, question_.newest);
    if (const auto* why = std::get_if<SkippedLine>(&parsed)) return skip(*why);
    auto& said = std::get<SentinelEvent>(parsed);
    RateLimitEvent event{.id = ids.next(said.ts, line),
                         .ts = said.ts,
                         .kind = said.recovery ? said.kind : std::string(kThrottle),
                         .source = std::string(kSentinelEvents),
                         .session_name = std::move(said.session_name),
                         .reason = said.recovery ? std::nullopt : std::optional(std::move(said.kind)),
                         .detail = std::move(said.detail)};
    (said.recovery ? reading_.recoveries : reading_.events).push_back(std::move(event));
  }

  const LogQuestion& question_;
  LogReading reading_;
  bool stopped_ = false;  ///< not further this time
};

}  // namespace

LogReading read_sentinel_log(const LogQuestion& question) { return Reader(question).read(); }

}  // namespace fleetledger
