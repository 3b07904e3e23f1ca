#include "collector/service.h"

#include <list>
#include <map>
#include <set>
#include <utility>

#include "collector/api/answers.h"
#include "collector/http/server.h"
#include "collector/log.h"
#include "collector/token_file.h"
#include "config/listen_address.h"

namespace fleetledger {

struct StoreReads::State : std::enable_shared_from_this<State> {
  struct Job {
    StoreRead read;
    Responder answer;
    Response response{};
    int seen = 0;  ///< by how many looks for late ones
    bool late = false;
    bool takes_turn = true;
  };
  using Jobs = std::list<Job>;

  State(LedgerStore& ledgers, Runtime with) : store(ledgers), runtime(std::move(with)) {}

  LedgerStore& store;
  Runtime runtime;
  Jobs queue;
  Jobs running;
  std::size_t turns = 0;                         ///< taken by those
  std::map<std::string, std::size_t> of_ledger;  ///< running, by whose
  std::multiset<std::string> late;               ///< whose reads are
  bool watching = false;
  bool held = false;
  std::uint64_t holds = 0;
  bool closed = false;
  std::function<void()> stopped;

  [[nodiscard]] bool may_begin(const Job& job) const {
    const auto found = of_ledger.find(job.read.whose());
    return job.read.whose().empty() || found == of_ledger.end() || found->second < kOfOneLedger;
  }

  void begin() {
    for (auto next = queue.begin(); !held && turns < kAtOnce && next != queue.end();) {
      const auto job = next++;
      if (may_begin(*job)) {
        running.splice(running.end(), queue, job);
        start(job);
      }
    }
  }

  void start(Jobs::iterator job) {
    ++turns;
    ++of_ledger[job->read.whose()];
    watch_for_late();
    runtime.in_pool([job, self = shared_from_this()] { job->response = job->read(self->store); },
                    [self = shared_from_this(), job] { self->finish(job); });
  }

  void finish(Jobs::iterator job) {
    const auto& whose = job->read.whose();
    turns -= job->takes_turn ? 1 : 0;
    if (const auto found = of_ledger.find(whose); --found->second == 0) {
      of_ledger.erase(found);
    }
    if (job->late) {
      late.erase(late.find(whose));
    }
    Jobs done;
    done.splice(done.end(), running, job);
    if (!closed) {
      job->answer(std::move(job->response));
      begin();
    } else if (running.empty() && stopped) {
      std::exchange(stopped, nullptr)();
    }
  }

  void watch_for_late() {
    constexpr int kLooks = 2;
    if (std::exchange(watching, true)) {
      return;
    }
    runtime.after(kIsLate / kLooks, [self = shared_from_this()] {
      self->watching = false;
      if (self->closed) {
        return;
      }
      for (auto& job : self->running) {
        // The first look may come right after its beginning.
        if (!job.late && ++job.seen > kLooks) {
          job.late = true;
          self->late.insert(job.read.whose());
          log::warning("read_hangs", {{"of", job.read.whose()}});
        }
        const auto apart = self->running.size() - self->turns;
        if (job.late && job.takes_turn && apart < kLate) {
          job.takes_turn = false;
          --self->turns;
        }
      }
      if (!self->running.empty()) {
        self->watch_for_late();
      }
      self->send_away();
      self->begin();
    });
  }

  [[nodiscard]] bool hangs(const Job& job) const {
    return !job.read.whose().empty() && late.contains(job.read.whose());
  }

  /// Those that wait for a ledger that does not answer.
  void send_away() {
    Jobs sent;
    for (auto next = queue.begin(); next != queue.end();) {
      const auto job = next++;
      if (hangs(*job)) {
        sent.splice(sent.end(), queue, job);
      }
    }
    for (const auto& job : sent) {
      job.answer(come_again("resource ledger unavailable (it does not answer)"));
    }
  }

  static Response come_again(const char* why) {
    auto response = error_response(503, why);
    response.headers.emplace_back("Retry-After", "1");
    return response;
  }

  void add(Job job) {
    if (hangs(job)) {
      return job.answer(come_again("resource ledger unavailable (it does not answer)"));
    }
    if (queue.size() >= kWaiting) {
      return job.answer(come_again("too many requests at once"));
    }
    queue.push_back(std::move(job));
    begin();
  }
};

StoreReads::StoreReads(LedgerStore& store, Runtime runtime)
    : state_(std::make_shared<State>(store, std::move(runtime))) {}

StoreReads::~StoreReads() { stop({}); }

void StoreReads::hold() {
  state_->held = true;
  state_->runtime.after(kLongestHold, [state = state_, hold = ++state_->holds] {
    if (hold == state->holds) {
      state->held = false;
      state->begin();
    }
  });
}

void StoreReads::go_on() {
  ++state_->holds;
  state_->held = false;
  state_->begin();
}

void StoreReads::stop(std::function<void()> done) {
  state_->closed = true;
  state_->queue.clear();
  state_->stopped = std::move(done);
  if (state_->running.empty() && state_->stopped) {
    std::exchange(state_->stopped, nullptr)();
  }
}

void StoreReads::add(StoreRead read, Responder answer) { state_->add({std::move(read), std::move(answer)}); }

namespace {

Result<Secret> open_token(const std::string& path, const char* event, const std::string& what) {
  auto token = open_token_file(path, what);
  if (!token) {
    return fail(token.error());
  }
  log::info(event, {{"file", path}, {"made", token->made ? "now" : "before"}});
  return std::move(token->secret);
}

Result<ApiKeys> open_keys(const HttpConfig& config) {
  ApiKeys keys{.metrics_for_anyone = config.metrics_auth == MetricsAuth::none};
  auto operators = open_token(config.operator_token_file, "operator_token", "the operator's token");
  if (!operators) {
    return fail(operators.error());
  }
  keys.operators = std::move(*operators);
  if (config.metrics_auth == MetricsAuth::token) {
    auto metrics = open_token(config.metrics_token_file, "metrics_token", "the metrics token");
    if (!metrics) {
      return fail(metrics.error());
    }
    if (*metrics == keys.operators) {
      return fail("use the metrics token " + config.metrics_token_file +
                  ": it is the operator's, and would let its reader see everything");
    }
    keys.metrics = std::move(*metrics);
  }
  return keys;
}

}  // namespace

class Service::Impl {
 public:
  explicit Impl(ServiceParts parts) : parts_(std::move(parts)), reads_(parts_.store, parts_.runtime) {}

  Result<void> start(const HttpConfig& config) {
    auto server =
        HttpServer::start(parts_.loop,
                          {.listen = config.listen,
                           .allowed_hosts = config.allowed_hosts,
                           .allow_remote = config.allow_remote,
                           .connections = static_cast<std::size_t>(config.limits.connections),
                           .header_bytes = static_cast<std::size_t>(config.limits.header.value),
                           .url_bytes = static_cast<std::size_t>(config.limits.url.value),
                           .idle = config.limits.idle},
                          [this](const Request& request, const Responder& answer) { handle(request, answer); });
    if (!server) {
      return fail(server.error());
    }
    auto keys = open_keys(config);
    if (!keys) {
      return fail(keys.error());
    }
    api_.emplace(std::move(*keys));
    server_ = std::move(*server);
    for (const auto& address : server_->bound_addresses()) {
      log::info("listening", {{"address", address}});
      if (const auto parsed = parse_listen_address(address); parsed && !parsed->loopback) {
        log::warning("listening_to_other_hosts",
                     {{"address", address},
                      {"meaning",
                       "whoever reaches it may try tokens, and sees on the way what is asked and answered, "
                       "tokens included: it is not encrypted"}});
      }
    }
    return {};
  }

  StoreReads& reads() { return reads_; }
  [[nodiscard]] std::vector<std::uint64_t> bound_sockets() const { return server_->bound_sockets(); }

  void stop(std::function<void()> done) {
    server_.reset();
    reads_.stop(std::move(done));
  }

 private:
  void handle(const Request& request, const Responder& answer) {
    auto found = api_->answer(request, parts_.state());
    if (auto* response = std::get_if<Response>(&found)) {
      answer(std::move(*response));
    } else {
      reads_.add(std::get<StoreRead>(std::move(found)), answer);
    }
  }

  ServiceParts parts_;
  StoreReads reads_;
  std::optional<Api> api_;
  std::unique_ptr<HttpServer> server_;  ///< dies first
};

Service::Service(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Service::~Service() = default;
std::vector<std::uint64_t> Service::bound_sockets() const { return impl_->bound_sockets(); }
void Service::tick_begins() { impl_->reads().hold(); }
void Service::tick_is_over() { impl_->reads().go_on(); }
void Service::stop(std::function<void()> done) { impl_->stop(std::move(done)); }

Result<std::unique_ptr<Service>> Service::start(const HttpConfig& config, ServiceParts parts) {
  auto impl = std::make_unique<Impl>(std::move(parts));
  if (auto started = impl->start(config); !started) {
    return fail(started.error());
  }
  return std::unique_ptr<Service>(new Service(std::move(impl)));
}

}  // namespace fleetledger
