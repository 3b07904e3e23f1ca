#include "collector/service.h"

#include <deque>
#include <utility>

#include "collector/api/answers.h"
#include "collector/http/server.h"
#include "collector/log.h"
#include "collector/token_file.h"
#include "config/listen_address.h"

namespace fleetledger {

struct StoreReads::State : std::enable_shared_from_this<State> {
  struct Waiting {
    StoreRead read;
    Responder answer;
  };

  State(LedgerStore& ledgers, Runtime with) : store(ledgers), runtime(std::move(with)) {}

  LedgerStore& store;
  Runtime runtime;
  std::deque<Waiting> queue;
  std::size_t running = 0;
  bool held = false;
  std::uint64_t holds = 0;
  bool closed = false;
  std::function<void()> stopped;

  void begin() {
    while (!held && running < kAtOnce && !queue.empty()) {
      const auto job = std::make_shared<Waiting>(std::move(queue.front()));
      const auto response = std::make_shared<Response>();
      queue.pop_front();
      ++running;
      runtime.in_pool([job, response, &ledgers = store] { *response = job->read(ledgers); },
                      [self = shared_from_this(), job, response] {
                        --self->running;
                        if (!self->closed) {
                          job->answer(std::move(*response));
                          self->begin();
                        } else if (self->running == 0 && self->stopped) {
                          std::exchange(self->stopped, nullptr)();
                        }
                      });
    }
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
  if (state_->running == 0 && state_->stopped) {
    std::exchange(state_->stopped, nullptr)();
  }
}

void StoreReads::add(StoreRead read, Responder answer) {
  if (state_->queue.size() >= kWaiting) {
    auto busy = error_response(503, "too many requests at once");
    busy.headers.emplace_back("Retry-After", "1");
    return answer(std::move(busy));
  }
  state_->queue.push_back({std::move(read), std::move(answer)});
  state_->begin();
}

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
