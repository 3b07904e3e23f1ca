#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "collector/api/api.h"
#include "collector/runtime.h"
#include "config/config.h"
#include "core/ledger_store.h"
#include "core/result.h"

struct uv_loop_s;

namespace fleetledger {

/// Answers that need ledgers, read in the pool: so many at a time, the next ones in turn, and beyond that 503 with
/// Retry-After. A ledger whose disk hangs keeps no other reader waiting: few of its reads are begun, they take no turn
/// of others for long, and while one hangs the ledger's other callers are sent away. Loop thread only.
class StoreReads {
 public:
  static constexpr std::size_t kAtOnce = 8;
  static constexpr std::size_t kOfOneLedger = 2;  ///< of those, and of the late ones, together
  static constexpr std::size_t kLate = 6;         ///< reads at a time that are late and take no turn of others
  static constexpr std::size_t kMostJobs = kAtOnce + kLate;
  static constexpr std::size_t kWaiting = 256;
  static constexpr Micros kIsLate = std::chrono::seconds{2};
  static constexpr Micros kLongestHold = std::chrono::milliseconds{100};

  /// The store must outlive every read, this object need not: what is not answered by then is dropped.
  StoreReads(LedgerStore& store, Runtime runtime);
  ~StoreReads();
  StoreReads(const StoreReads&) = delete;
  StoreReads& operator=(const StoreReads&) = delete;

  void add(StoreRead read, Responder answer);

  /// Begins no read until go_on(), or for kLongestHold: a tick has the processors to itself, whoever asks meanwhile.
  void hold();
  void go_on();

  /// Drops what waits, and calls `done` when the last read under way has ended. No add() after this.
  void stop(std::function<void()> done);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

struct ServiceParts {
  uv_loop_s* loop = nullptr;
  Runtime runtime;
  LedgerStore& store;
  std::function<ApiState()> state;  ///< asked for each request
};

/// Everything that is served over HTTP: the server, who may ask, and the answers. Loop thread only.
class Service {
 public:
  /// Listens, then reads or makes the tokens' files; says all of it in the log. Paths are expanded.
  [[nodiscard]] static Result<std::unique_ptr<Service>> start(const HttpConfig& config, ServiceParts parts);

  ~Service();
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  /// See HttpServer::bound_sockets.
  [[nodiscard]] std::vector<std::uint64_t> bound_sockets() const;

  /// A tick begins, or is over: see StoreReads::hold.
  void tick_begins();
  void tick_is_over();

  /// Stops listening and answering, now; calls `done` when no ledger is being read for us any more. May be called
  /// again: the last `done` counts.
  void stop(std::function<void()> done);

 private:
  class Impl;

  explicit Service(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

}  // namespace fleetledger
