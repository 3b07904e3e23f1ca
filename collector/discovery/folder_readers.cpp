#include "collector/discovery/folder_readers.h"

#include <algorithm>
#include <condition_variable>
#include <list>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

namespace fleetledger {
namespace {

/// One call of run().
struct Round {
  std::vector<std::string> places;
  std::function<void(std::size_t)> look;
  std::vector<std::size_t> order;  ///< of those that do not hang
  std::size_t next = 0;            ///< in `order`
  std::size_t open = 0;            ///< neither looked at nor given up
  std::vector<FolderReaders::Outcome> outcomes;
};

/// A thread that looks at a place.
struct Busy {
  std::string place;
  int waited = 0;      ///< how often run() woke up meanwhile: the host may have been suspended, so no clock is asked
  bool hangs = false;  ///< run() waits for it no more
};

}  // namespace

struct FolderReaders::State {
  std::mutex mutex;
  std::condition_variable work;
  std::condition_variable progress;
  std::shared_ptr<Round> round;
  std::list<Busy> busy;
  std::size_t threads = 0;
  std::size_t idle = 0;
  bool closed = false;

  [[nodiscard]] bool has_work() const { return round && round->next < round->order.size(); }
  [[nodiscard]] std::size_t count_hanging() const {
    return static_cast<std::size_t>(std::count_if(busy.begin(), busy.end(), [](const Busy& one) { return one.hangs; }));
  }
  /// Whether every thread waits for a place already.
  [[nodiscard]] bool is_held_up() const {
    return idle == 0 &&
           std::all_of(busy.begin(), busy.end(), [](const Busy& one) { return one.hangs || one.waited > 0; });
  }

  static bool add_thread(const std::shared_ptr<State>& self);
  static void read(const std::shared_ptr<State>& self);
  void look_at_next(std::unique_lock<std::mutex>& lock);
  void lose_patience();
};

/// Whether there is one more; called with the mutex held.
bool FolderReaders::State::add_thread(const std::shared_ptr<State>& self) {
  if (self->threads > kMostHanging) return false;
  try {
    std::thread([self] { read(self); }).detach();
  } catch (const std::system_error&) {
    return false;  // the user has no further process
  }
  ++self->threads;
  return true;
}

void FolderReaders::State::read(const std::shared_ptr<State>& self) {
  std::unique_lock lock(self->mutex);
  while (!self->closed && self->idle == 0) {
    ++self->idle;
    self->work.wait(lock, [&self] { return self->closed || self->has_work(); });
    --self->idle;
    while (!self->closed && self->has_work()) self->look_at_next(lock);
  }
  --self->threads;
  self->progress.notify_all();
}

void FolderReaders::State::look_at_next(std::unique_lock<std::mutex>& lock) {
  auto mine = round;
  const std::size_t at = mine->order[mine->next++];
  const auto self = busy.insert(busy.end(), {mine->places[at]});
  lock.unlock();
  mine->look(at);
  lock.lock();
  if (!self->hangs) {
    mine->outcomes[at] = Outcome::done;
    --mine->open;
    if (mine->open == 0) progress.notify_all();
  }
  busy.erase(self);
}

void FolderReaders::State::lose_patience() {
  for (Busy& one : busy) {
    if (!one.hangs && ++one.waited >= kPatience) {
      one.hangs = true;
      --round->open;
    }
  }
}

FolderReaders::FolderReaders() : state_(std::make_shared<State>()) {}

FolderReaders::~FolderReaders() {
  std::unique_lock lock(state_->mutex);
  state_->closed = true;
  state_->work.notify_all();
  state_->progress.wait(lock, [this] { return state_->threads == state_->count_hanging(); });
}

std::vector<FolderReaders::Outcome> FolderReaders::run(std::vector<std::string> places,
                                                       std::function<void(std::size_t)> look) {
  auto& state = *state_;
  const auto round = std::make_shared<Round>();
  round->places = std::move(places);
  round->look = std::move(look);
  round->outcomes.resize(round->places.size(), Outcome::hangs);
  std::unique_lock lock(state.mutex);
  for (std::size_t at = 0; at < round->places.size(); ++at) {
    const bool hangs = std::any_of(state.busy.begin(), state.busy.end(),
                                   [&](const Busy& one) { return one.place == round->places[at]; });
    if (!hangs) round->order.push_back(at);
  }
  round->open = round->order.size();
  if (round->open == 0) return round->outcomes;
  if (state.is_held_up() && !State::add_thread(state_) && state.busy.empty()) {
    lock.unlock();  // better here than not at all
    for (const std::size_t at : round->order) {
      round->look(at);
      round->outcomes[at] = Outcome::done;
    }
    return round->outcomes;
  }
  state.round = round;
  state.work.notify_one();
  while (!state.progress.wait_for(lock, kPassOn, [&round] { return round->open == 0; })) {
    state.lose_patience();
    if (!state.has_work() || !state.is_held_up() || State::add_thread(state_)) continue;
    if (state.count_hanging() == state.busy.size()) {  // there is nobody to look at the rest
      for (; round->next < round->order.size(); ++round->next, --round->open) {
        round->outcomes[round->order[round->next]] = Outcome::left_out;
      }
    }
  }
  state.round.reset();
  return round->outcomes;
}

std::set<std::string> FolderReaders::hanging() const {
  const std::lock_guard lock(state_->mutex);
  std::set<std::string> places;
  for (const Busy& one : state_->busy) {
    if (one.hangs) places.insert(one.place);
  }
  return places;
}

}  // namespace fleetledger
