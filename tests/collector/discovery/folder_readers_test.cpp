#include "collector/discovery/folder_readers.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

using namespace fleetledger;
using Outcome = FolderReaders::Outcome;

namespace {

/// Disks that hang as long as the test wants, and who looks at them.
struct Disks {
  std::mutex mutex;
  std::condition_variable changed;
  std::set<std::string> hung;
  std::map<std::string, int> looks;
  int at_once = 0;
  int most_at_once = 0;

  void look(const std::string& place) {
    std::unique_lock lock(mutex);
    ++looks[place];
    most_at_once = std::max(most_at_once, ++at_once);
    changed.wait(lock, [&] { return !hung.contains(place); });
    --at_once;
  }
  std::map<std::string, int> looks_so_far() {
    const std::lock_guard lock(mutex);
    return looks;
  }
  int most_so_far() {
    const std::lock_guard lock(mutex);
    return most_at_once;
  }
  void let_go() {
    const std::lock_guard lock(mutex);
    hung.clear();
    changed.notify_all();
  }
};

struct Reading {
  std::shared_ptr<Disks> disks = std::make_shared<Disks>();
  FolderReaders readers;

  ~Reading() { disks->let_go(); }

  std::vector<Outcome> run(const std::vector<std::string>& places) {
    return readers.run(places, [disks = disks, places](std::size_t at) { disks->look(places[at]); });
  }
  void let_go() {
    disks->let_go();
    while (!readers.hanging().empty()) std::this_thread::yield();
  }
};

using Outcomes = std::vector<Outcome>;

}  // namespace

TEST_CASE("places are looked at one after the other") {
  Reading reading;
  CHECK(reading.run({}).empty());
  CHECK(reading.run({"a", "b", "c"}) == Outcomes(3, Outcome::done));
  CHECK(reading.run({"c"}) == Outcomes(1, Outcome::done));
  CHECK(reading.disks->looks_so_far() == std::map<std::string, int>{{"a", 1}, {"b", 1}, {"c", 2}});
  CHECK(reading.disks->most_so_far() == 1);
  CHECK(reading.readers.hanging().empty());
}

TEST_CASE("a place that hangs is left to its thread, and nothing more is begun there until it comes back") {
  Reading reading;
  reading.disks->hung = {"b", "d"};
  const std::vector<std::string> places{"a", "b", "c", "d", "e"};
  const Outcomes two_hang{Outcome::done, Outcome::hangs, Outcome::done, Outcome::hangs, Outcome::done};
  CHECK(reading.run(places) == two_hang);
  CHECK(reading.readers.hanging() == std::set<std::string>{"b", "d"});
  CHECK(reading.run(places) == two_hang);
  CHECK(reading.disks->looks_so_far() == std::map<std::string, int>{{"a", 2}, {"b", 1}, {"c", 2}, {"d", 1}, {"e", 2}});
  reading.let_go();
  CHECK(reading.run(places) == Outcomes(5, Outcome::done));
  CHECK(reading.disks->looks_so_far()["b"] == 2);
}

TEST_CASE("with too many places that hang there is one thread for each and no more, and the rest is left out") {
  Reading reading;
  std::vector<std::string> places;
  for (std::size_t i = 0; i < FolderReaders::kMostHanging + 4; ++i) places.push_back("hangs" + std::to_string(i));
  reading.disks->hung = {places.begin(), places.end()};
  places.emplace_back("well");
  const auto outcomes = reading.run(places);
  for (std::size_t at = 0; at < places.size(); ++at) {
    CHECK(outcomes[at] == (at <= FolderReaders::kMostHanging ? Outcome::hangs : Outcome::left_out));
  }
  CHECK(reading.run({"well"}) == Outcomes{Outcome::left_out});
  CHECK(reading.disks->most_so_far() == static_cast<int>(FolderReaders::kMostHanging) + 1);
  reading.let_go();
  CHECK(reading.run(places) == Outcomes(places.size(), Outcome::done));
}

TEST_CASE("readers go without waiting for a place that hangs, which may answer after that") {
  auto disks = std::make_shared<Disks>();
  disks->hung = {"a"};
  std::weak_ptr<Disks> still = disks;
  {
    FolderReaders readers;
    const auto outcomes = readers.run({"a"}, [disks](std::size_t) { disks->look("a"); });
    CHECK(outcomes == Outcomes{Outcome::hangs});
  }
  disks->let_go();
  disks.reset();
  while (!still.expired()) std::this_thread::yield();
}
