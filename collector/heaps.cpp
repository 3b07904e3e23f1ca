#include "collector/heaps.h"

#include <algorithm>
#include <deque>
#include <unordered_map>
#include <utility>

#include "collector/log.h"

namespace fleetledger {

namespace {

constexpr unsigned kDoublings = 6;
static_assert(Heaps::kMostSkipped == (1U << kDoublings) - 1);

}  // namespace

struct Heaps::State : std::enable_shared_from_this<State> {
  struct Answer {
    Bytes heap;
    MonotonicTime at;
  };
  struct Entry {
    HeapQuestion question;
    std::optional<Answer> answer;
    unsigned failures = 0;  ///< one after the other
    unsigned skip = 0;      ///< so many times
    bool asking = false;    ///< or waiting for its turn
    bool wanted = false;    ///< by the last ask()
  };

  State(Ask the_ask, Runtime the_runtime, const Clock& the_clock)
      : ask(std::move(the_ask)), runtime(std::move(the_runtime)), clock(the_clock) {}

  Ask ask;
  Runtime runtime;
  const Clock& clock;
  std::unordered_map<std::string, Entry> entries;  ///< by agent id
  std::deque<HeapQuestion> waiting;
  std::size_t running = 0;
  bool closed = false;

  void begin() {
    while (!closed && running < kAtOnce && !waiting.empty()) {
      const auto question = std::make_shared<const HeapQuestion>(std::move(waiting.front()));
      const auto answer = std::make_shared<Result<Bytes>>(fail("not asked"));
      waiting.pop_front();
      ++running;
      runtime.in_pool([question, answer, asked = ask] { *answer = asked(*question); },
                      [self = shared_from_this(), question, answer] {
                        --self->running;
                        self->take(*question, *answer);
                        self->begin();
                      });
    }
  }

  void take(const HeapQuestion& question, const Result<Bytes>& answer) {
    const auto found = entries.find(question.agent);
    if (closed || found == entries.end() || found->second.question != question) {
      return;
    }
    auto& entry = found->second;
    entry.asking = false;
    if (answer) {
      entry.answer = Answer{*answer, clock.monotonic()};
      entry.failures = 0;
      return;
    }
    log::debug("heap_unknown", {{"agent", question.agent}, {"reason", answer.error().text}});
    ++entry.failures;
    entry.skip = entry.failures < kDoublings ? (1U << entry.failures) - 1 : kMostSkipped;
  }
};

Heaps::Heaps(Ask ask, Runtime runtime, const Clock& clock)
    : state_(std::make_shared<State>(std::move(ask), std::move(runtime), clock)) {}

Heaps::~Heaps() { state_->closed = true; }

void Heaps::ask(const std::vector<Candidate>& candidates) {
  for (auto& [agent, entry] : state_->entries) {
    entry.wanted = false;
  }
  for (const auto& [question, due] : candidates) {
    auto& entry = state_->entries[question.agent];
    if (entry.question != question) {
      entry = {};
      entry.question = question;
    }
    entry.wanted = true;
    if (!due || entry.asking) {
      continue;
    }
    if (entry.skip > 0) {
      --entry.skip;
      continue;
    }
    entry.asking = true;
    state_->waiting.push_back(entry.question);
  }
  std::erase_if(state_->entries, [](const auto& known) { return !known.second.wanted; });
  std::erase_if(state_->waiting, [&](const HeapQuestion& question) {
    const auto found = state_->entries.find(question.agent);
    return found == state_->entries.end() || found->second.question != question;
  });
  state_->begin();
}

std::optional<Bytes> Heaps::newest(const std::string& agent, const ProcessKey& server, MonotonicTime since) const {
  const auto found = state_->entries.find(agent);
  if (found == state_->entries.end() || found->second.question.server != server || !found->second.answer ||
      found->second.answer->at <= since) {
    return std::nullopt;
  }
  return found->second.answer->heap;
}

}  // namespace fleetledger
