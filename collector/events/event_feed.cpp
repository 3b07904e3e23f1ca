#include "collector/events/event_feed.h"

#include <algorithm>
#include <array>
#include <deque>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include "collector/event_retention.h"
#include "collector/log.h"

namespace fleetledger {
namespace {

const std::string kLogMark(kSentinelLog);
const std::string kLedgerMark(kAgentLedger);
constexpr const char* kSilent = "the disk does not answer";
/// What log::warning_once() is told of an agent.
constexpr std::array kWarnings{"events_late", "events_failed", "events_unread", "events_not_copied"};

template <typename Map>
std::optional<ReadMark> find_mark(const Map& marks, const std::string& source) {
  const auto found = marks.find(source);
  return found == marks.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace

struct EventFeed::State : std::enable_shared_from_this<State> {
  struct Entry {
    std::uint64_t number = 0;  ///< another one for an agent that left and came back
    LedgerKey ledger;
    AgentSettings settings;
    bool metered = false;  ///< ticks are written, and prune
    /// How far the sources are read; nothing: the ledger is to be asked.
    std::optional<ReadMarks> marks{};
    std::optional<FileIdentity> seen{};
    std::string place{};  ///< where its samples are, as far as known
    bool log_wanted = true;
    bool copy_wanted = true;
    bool apart = false;       ///< its own server's ledger is another one
    bool waiting = false;     ///< for its moment, or its turn
    bool busy = false;        ///< being read or written
    bool late = false;        ///< being read, and has been for long
    bool failed = false;      ///< to be tried again at the next check
    std::uint64_t unsaved{};  ///< bytes read since the mark was kept
    MonotonicTime not_before{};
    MonotonicTime copied{};
    MonotonicTime pruned{};
    std::string log_problem{};
    std::string copy_problem{};
  };

  /// One piece of one agent.
  struct Job {
    std::string id;
    std::uint64_t number = 0;
    LedgerKey ledger;
    std::optional<ReadMarks> marks;
    LogQuestion question;
    bool read_log = false;
    bool copy = false;
    std::optional<Error> failure;
    bool late = false;  ///< takes no turn of others
    LogReading reading{};
    Result<EventsElsewhere> elsewhere{};
  };

  State(EventSources the_sources, Ways the_ways, Runtime the_runtime, const Clock& the_clock, Uid the_user)
      : sources(std::move(the_sources)),
        ways(std::move(the_ways)),
        runtime(std::move(the_runtime)),
        clock(the_clock),
        user(the_user) {}

  EventSources sources;
  Ways ways;
  Runtime runtime;
  const Clock& clock;
  Uid user;
  std::map<std::string, Entry> entries;          ///< by agent id
  std::map<std::string, std::string> by_folder;  ///< of logs: the ids
  std::deque<std::string> ready;                 ///< ids of those whose turn comes
  std::size_t running = 0;                       ///< jobs that are not late
  std::size_t late = 0;
  std::uint64_t numbers = 0;
  bool closed = false;

  void want(const std::string& id, Entry& entry);
  void begin();
  void start(const std::string& id, Entry& entry);
  void look_for_late(const std::shared_ptr<Job>& job);
  void make_way(const std::shared_ptr<Job>& job);
  static void work(LedgerStore& store, const std::function<LogReading(const LogQuestion&)>& read_log, Job& job);
  void take(Job& job);
  bool take_log(Entry& entry, LogReading& reading, AgentTick& tick);
  bool take_copy(Entry& entry, Job& job, AgentTick& tick);
  void write(const std::string& id, Entry& entry, AgentTick tick, std::vector<RateLimitEvent> recorded, bool more);
  void count(const AgentIdentity& agent, std::vector<RateLimitEvent> read,
             const std::vector<std::string>& new_ids) const;
  void written(const std::string& id, Entry& entry, const LedgerStanding* standing, const ReadMarks& marks, bool more);
  static void ask_again(Entry& entry);
  static void moved_to(Entry& entry, const std::string& place);
  void end_turn(const std::string& id, Entry& entry, bool more);
  Entry* find(const std::string& id, std::uint64_t number);
  [[nodiscard]] bool prune_is_due(const Entry& entry) const;
};

EventFeed::State::Entry* EventFeed::State::find(const std::string& id, std::uint64_t number) {
  const auto found = entries.find(id);
  return closed || found == entries.end() || found->second.number != number ? nullptr : &found->second;
}

bool EventFeed::State::prune_is_due(const Entry& entry) const {
  return !entry.metered && entry.marks && !entry.marks->empty() && clock.monotonic() - entry.pruned >= kPruneAgain;
}

/// Lets it have a turn soon. If it has one now, end_turn() sees that it is to have another.
void EventFeed::State::want(const std::string& id, Entry& entry) {
  if (entry.waiting || entry.busy) {
    return;
  }
  entry.waiting = true;
  runtime.after(std::max(kSettle, entry.not_before - clock.monotonic()),
                [self = shared_from_this(), id, number = entry.number] {
                  if (self->find(id, number) != nullptr) {
                    self->ready.push_back(id);
                    self->begin();
                  }
                });
}

void EventFeed::State::begin() {
  while (!closed && running < kAtOnce && !ready.empty()) {
    const std::string id = std::move(ready.front());
    ready.pop_front();
    const auto found = entries.find(id);
    if (found != entries.end() && found->second.waiting) {
      start(id, found->second);
    }
  }
}

void EventFeed::State::start(const std::string& id, Entry& entry) {
  entry.waiting = false;
  entry.busy = true;
  const auto wall = clock.wall();
  const auto job = std::make_shared<Job>(Job{
      .id = id,
      .number = entry.number,
      .ledger = entry.ledger,
      .marks = entry.marks,
      .question = {.agent_path = entry.ledger.agent.path,
                   .user = user,
                   .after = std::nullopt,
                   .seen = entry.seen,
                   .oldest = oldest_event(entry.settings, ways.retention_now()),
                   .newest = wall + kAhead},
      .read_log = std::exchange(entry.log_wanted, false),
      .copy = std::exchange(entry.copy_wanted, false),
      .failure = std::nullopt,
  });
  ++running;
  runtime.in_pool([job, self = shared_from_this()] { work(self->sources.store, self->sources.read_log, *job); },
                  [job, self = shared_from_this()] {
                    --(job->late ? self->late : self->running);
                    self->take(*job);
                    self->begin();
                  });
  look_for_late(job);
}

void EventFeed::State::look_for_late(const std::shared_ptr<Job>& job) {
  runtime.after(kIsLate, [late = std::weak_ptr(job), self = shared_from_this()] {
    if (const auto still = late.lock()) {
      self->make_way(still);
    }
  });
}

/// For the next ones, if the job is still under way.
void EventFeed::State::make_way(const std::shared_ptr<Job>& job) {
  if (closed) {
    return;
  }
  if (Entry* entry = find(job->id, job->number)) {
    entry->late = true;
    log::warning_once("events_late", job->id, kSilent);
  }
  if (late < kLate) {
    job->late = true;
    --running;
    ++late;
    return begin();
  }
  look_for_late(job);  // others that are late may end before it
}

void EventFeed::State::work(LedgerStore& store, const std::function<LogReading(const LogQuestion&)>& read_log,
                            Job& job) {
  if (!job.marks) {
    auto marks = store.read_marks(job.ledger);
    if (!marks) {
      job.failure = marks.error();
      return;
    }
    job.marks = std::move(*marks);
  }
  if (job.read_log) {
    job.question.after = find_mark(*job.marks, kLogMark);
    job.reading = read_log(job.question);
  }
  if (job.copy) {
    job.elsewhere = store.events_elsewhere(job.ledger, find_mark(*job.marks, kLedgerMark));
  }
}

void EventFeed::State::take(Job& job) {
  Entry* entry = find(job.id, job.number);
  if (entry == nullptr) {
    return;
  }
  if (std::exchange(entry->late, false)) {
    log::warning_once("events_late", job.id, "");
  }
  if (job.failure) {
    log::warning_once("events_failed", job.id, job.failure->text);
    entry->failed = entry->log_wanted = entry->copy_wanted = true;
    return end_turn(job.id, *entry, false);
  }
  log::warning_once("events_failed", job.id, "");
  entry->marks = std::move(job.marks);
  AgentTick tick;
  bool save = prune_is_due(*entry);
  bool more = false;
  std::vector<RateLimitEvent> recorded;
  if (job.read_log) {
    save |= take_log(*entry, job.reading, tick);
    for (const auto& event : tick.events) {
      recorded.push_back({.id = event.id, .kind = event.kind, .source = {}});
    }
    more |= job.reading.more;
    entry->log_wanted |= job.reading.more;
    if (std::any_of(job.reading.skipped.begin(), job.reading.skipped.end(), [](auto count) { return count > 0; })) {
      ways.skipped(entry->ledger.agent, job.reading.skipped);
    }
    log::warning_once("events_unread", job.id, entry->log_problem);
  }
  if (job.copy) {
    save |= take_copy(*entry, job, tick);
    log::warning_once("events_not_copied", job.id, entry->copy_problem);
    more |= entry->copy_wanted;
  }
  if (!save) {
    for (auto& [source, mark] : tick.marks) {
      (*entry->marks)[source] = std::move(mark);
    }
    return end_turn(job.id, *entry, more);
  }
  write(job.id, *entry, std::move(tick), std::move(recorded), more);
}

/// Whether there is something to be kept.
bool EventFeed::State::take_log(Entry& entry, LogReading& reading, AgentTick& tick) {
  entry.seen = reading.seen;
  if (reading.unchanged) {
    return false;
  }
  entry.log_problem = std::move(reading.problem);
  entry.unsaved += reading.bytes;
  if (!reading.mark) {
    return false;
  }
  const auto before = find_mark(*entry.marks, kLogMark);
  const bool other_file = before && before->inode != reading.mark->inode;
  const bool save = !reading.events.empty() || !reading.recoveries.empty() || entry.unsaved >= kUnsaved || other_file;
  tick.events = std::move(reading.events);
  tick.recoveries = std::move(reading.recoveries);
  tick.marks[kLogMark] = std::move(*reading.mark);
  return save;
}

bool EventFeed::State::take_copy(Entry& entry, Job& job, AgentTick& tick) {
  entry.copied = clock.monotonic();
  if (!job.elsewhere) {
    entry.copy_problem = job.elsewhere.error().text;
    return false;
  }
  auto& found = *job.elsewhere;
  entry.copy_problem.clear();
  entry.apart = found.apart;
  if (!found.apart || (found.events.empty() && !found.more)) {
    return false;
  }
  const auto now = ways.retention_now();
  const auto oldest_upstream = entry.settings.upstream_event_retention.value_or(std::chrono::seconds::max());
  std::erase_if(found.events, [&](const RateLimitEvent& event) {
    const auto age = std::chrono::duration_cast<std::chrono::seconds>(now - event.ts);
    return age > (event.source == kSentinelEvents ? entry.settings.event_retention : oldest_upstream);
  });
  tick.events.insert(tick.events.end(), std::make_move_iterator(found.events.begin()),
                     std::make_move_iterator(found.events.end()));
  tick.marks[kLedgerMark] = std::move(found.mark);
  entry.copy_wanted |= found.more;
  return true;
}

void EventFeed::State::write(const std::string& id, Entry& entry, AgentTick tick, std::vector<RateLimitEvent> recorded,
                             bool more) {
  prune_events(tick, entry.settings, ways.retention_now());
  const auto marks = tick.marks;
  ways.hand_over(entry.ledger, std::move(tick),
                 [self = shared_from_this(), id, number = entry.number, agent = entry.ledger.agent, marks,
                  recorded = std::move(recorded), more](const LedgerStanding* standing) mutable {
                   if (standing != nullptr && !self->closed) {
                     self->count(agent, std::move(recorded), standing->new_events);
                   }
                   if (Entry* written = self->find(id, number)) {
                     self->written(id, *written, standing, marks, more);
                   }
                 });
}

/// A log that was written anew is read again from its beginning: only what the ledger did not have counts.
void EventFeed::State::count(const AgentIdentity& agent, std::vector<RateLimitEvent> read,
                             const std::vector<std::string>& new_ids) const {
  std::set<std::string_view> left(new_ids.begin(), new_ids.end());
  std::erase_if(read, [&left](const RateLimitEvent& event) { return left.erase(event.id) == 0; });
  if (!read.empty()) {
    ways.recorded(agent, read);
  }
}

void EventFeed::State::written(const std::string& id, Entry& entry, const LedgerStanding* standing,
                               const ReadMarks& marks, bool more) {
  if (standing == nullptr) {
    ask_again(entry);
    entry.failed = true;
    return end_turn(id, entry, false);
  }
  for (const auto& [source, mark] : marks) {
    (*entry.marks)[source] = mark;
  }
  if (marks.contains(kLogMark)) {
    entry.unsaved = 0;
  }
  entry.pruned = clock.monotonic();
  moved_to(entry, standing->place);
  end_turn(id, entry, more);
}

/// Another ledger has marks of its own.
void EventFeed::State::moved_to(Entry& entry, const std::string& place) {
  if (place.empty() || place == entry.place) {
    return;
  }
  if (!std::exchange(entry.place, place).empty()) {
    ask_again(entry);
  }
  entry.copy_wanted = true;
}

/// What was handed over may be in the ledger or not.
void EventFeed::State::ask_again(Entry& entry) {
  entry.marks.reset();
  entry.seen.reset();
  entry.log_wanted = entry.copy_wanted = true;
}

void EventFeed::State::end_turn(const std::string& id, Entry& entry, bool more) {
  entry.busy = false;
  if (more) {
    entry.waiting = true;
    ready.push_back(id);
    return begin();
  }
  entry.not_before = clock.monotonic() + kBetween;
  if (!entry.failed && (entry.log_wanted || entry.copy_wanted)) {
    want(id, entry);
  }
}

EventFeed::EventFeed(EventSources sources, Ways ways, Runtime runtime, const Clock& clock, Uid user)
    : state_(std::make_shared<State>(std::move(sources), std::move(ways), std::move(runtime), clock, user)) {}

EventFeed::~EventFeed() { close(); }

void EventFeed::close() { state_->closed = true; }

void EventFeed::adopt(const Fleet& fleet) {
  std::map<std::string, State::Entry> entries;
  state_->by_folder.clear();
  for (const Agent& agent : fleet.agents) {
    if (!agent.gate.ledger) {
      continue;
    }
    const auto& id = agent.identity.id;
    const auto known = state_->entries.find(id);
    const bool is_new = known == state_->entries.end() || known->second.ledger.agent != agent.identity;
    auto& entry = entries[id];
    if (!is_new) {
      entry = std::move(known->second);
    } else {
      entry.number = ++state_->numbers;
    }
    if (entry.ledger.location != agent.settings.location) {
      State::ask_again(entry);
    }
    entry.ledger = ledger_of(agent);
    entry.settings = agent.settings;
    entry.metered = agent.metered();
    state_->by_folder[logs_folder(agent.identity)] = id;
  }
  for (const auto& [id, left] : state_->entries) {
    if (const auto stays = entries.find(id); stays == entries.end() || stays->second.number != left.number) {
      for (const auto* event : kWarnings) {
        log::warning_once(event, id, "");  // nobody is left who would take it back
      }
    }
  }
  state_->entries = std::move(entries);
  for (auto& [id, entry] : state_->entries) {
    if (!entry.marks) {
      state_->want(id, entry);
    }
  }
}

void EventFeed::log_changed(const std::string& folder) {
  if (const auto id = state_->by_folder.find(folder); id != state_->by_folder.end()) {
    auto& entry = state_->entries.at(id->second);
    entry.log_wanted = true;
    state_->want(id->second, entry);
  }
}

void EventFeed::check(bool all, const std::function<std::string(const std::string&)>& place_of) {
  const auto now = state_->clock.monotonic();
  const auto& is_watched = state_->sources.is_watched;
  for (auto& [id, entry] : state_->entries) {
    if (!entry.busy) {
      State::moved_to(entry, place_of(id));
    }
    entry.copy_wanted |= entry.apart && now - entry.copied >= kCopyAgain;
    entry.log_wanted |=
        all || state_->prune_is_due(entry) || !is_watched || !is_watched(logs_folder(entry.ledger.agent));
    entry.failed = false;
    if (entry.log_wanted || entry.copy_wanted) {
      state_->want(id, entry);
    }
  }
}

bool EventFeed::reading() const { return state_->running + state_->late > 0; }

std::string EventFeed::problem(const std::string& agent_id) const {
  const auto found = state_->entries.find(agent_id);
  if (found == state_->entries.end()) {
    return {};
  }
  const auto& entry = found->second;
  if (entry.late) {
    return kSilent;
  }
  return entry.log_problem.empty() ? entry.copy_problem : entry.log_problem;
}

}  // namespace fleetledger
