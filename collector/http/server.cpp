#include "collector/http/server.h"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <list>
#include <microhttpd.h>
#include <optional>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>
#include <uv.h>

#include "collector/http/listener.h"
#include "collector/http/mhd_message.h"
#include "collector/loop/handle.h"

namespace fleetledger {
namespace {

/// What libmicrohttpd keeps in a connection's memory besides the request: a struct per header, the answer's head.
constexpr std::size_t kWorkingBytes = 16 * 1024;
/// New connections taken in one turn of the loop, so that a flood does not keep it from its other work: what is read
/// from ledgers comes back once a turn.
constexpr int kMostAcceptedAtOnce = 8;
/// Until new connections are tried again when the system had no descriptor left.
constexpr std::uint64_t kRetryMs = 100;

bool is_loopback(const sockaddr_storage& address) {
  if (address.ss_family == AF_INET) {
    return (ntohl(reinterpret_cast<const sockaddr_in&>(address).sin_addr.s_addr) >> 24U) == 127;
  }
  return address.ss_family == AF_INET6 &&
         IN6_IS_ADDR_LOOPBACK(&reinterpret_cast<const sockaddr_in6&>(address).sin6_addr);
}

Request::Peer peer_of(const sockaddr_storage& address) {
  if (address.ss_family == AF_UNIX) return Request::Peer::unix_socket;
  return is_loopback(address) ? Request::Peer::loopback : Request::Peer::remote;
}

}  // namespace

/// libmicrohttpd speaks HTTP on sockets that we accept: so it is us who choose which connection has to go.
class HttpServer::Impl {
 public:
  Impl(uv_loop_s* loop, HttpOptions options, Handler handler)
      : loop_(loop), options_(std::move(options)), handler_(std::move(handler)) {}
  ~Impl() { stop(); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  Result<void> start();
  void stop();

  [[nodiscard]] std::vector<std::string> bound_addresses() const {
    std::vector<std::string> addresses;
    for (const Door& door : doors_) addresses.push_back(door.listener.address());
    return addresses;
  }
  [[nodiscard]] std::vector<std::uint64_t> bound_sockets() const {
    std::vector<std::uint64_t> inodes;
    for (const Door& door : doors_) {
      struct stat about {};
      if (!door.listener.address().starts_with("unix:") && ::fstat(door.listener.descriptor(), &about) == 0) {
        inodes.push_back(about.st_ino);
      }
    }
    return inodes;
  }
  [[nodiscard]] std::size_t connections() const {
    std::size_t count = 0;
    for (const auto& list : connections_) count += list.size();
    return count;
  }

 private:
  enum class State {
    fresh,    ///< waiting for a whole request; none that was answered well came yet
    waiting,  ///< for a further whole request
    working,  ///< the handler has it
    sending,  ///< the answer
    ending,   ///< shut down by us; libmicrohttpd has yet to notice
  };

  struct Connection;

  /// What a Responder holds weakly.
  struct Exchange {
    Impl* server = nullptr;
    Connection* connection = nullptr;
  };

  struct Connection {
    std::list<Connection>::iterator self;
    MHD_Connection* mhd = nullptr;
    int descriptor = -1;
    Request::Peer peer = Request::Peer::remote;
    State state = State::fresh;
    bool answered_well = false;
    std::uint64_t since = 0;  ///< when it came into this state, by the loop's clock in ms
    // Of the request that is under way:
    std::string target;
    bool head_seen = false;
    bool suspended = false;
    std::shared_ptr<Exchange> exchange;
    std::optional<Response> answer;  ///< from the handler, not yet queued
  };

  struct Door {
    Impl* server = nullptr;
    Listener listener;
    UvHandle<uv_poll_t> poll;  ///< dies before the descriptor
  };

  Result<void> open_doors();
  Result<void> start_daemon();
  void watch_doors();
  void rest_doors();
  void accept_from(Door& door);
  void add(int descriptor, const sockaddr_storage& address, socklen_t size);
  [[nodiscard]] Connection* dispensable();
  void end(Connection& connection);

  void drive();
  void end_idle();
  void arm_timer();
  void drive_soon();

  void set_state(Connection& connection, State state);
  void opened(MHD_Connection* mhd, void** context);
  void closed(void** context);
  void completed(Connection& connection);
  MHD_Result on_request(Connection& connection, const char* method);
  MHD_Result queue(Connection& connection, Response response, After after);
  void answered(Connection& connection, Response response);
  static Connection& connection_of(MHD_Connection* mhd);

  [[nodiscard]] std::list<Connection>& in(State state) { return connections_[static_cast<std::size_t>(state)]; }
  [[nodiscard]] std::uint64_t idle_ms() const { return static_cast<std::uint64_t>(options_.idle.count()); }

  uv_loop_s* loop_;
  HttpOptions options_;
  Handler handler_;
  std::list<Door> doors_;
  bool doors_watched_ = false;
  std::uint64_t retry_at_ = 0;  ///< no new connections before this
  MHD_Daemon* daemon_ = nullptr;
  Request::Peer peer_of_new_ = Request::Peer::remote;  ///< of the connection that is being added
  std::array<std::list<Connection>, 5> connections_;   ///< by state, each with the longest there first
  UvHandle<uv_poll_t> poll_;
  UvHandle<uv_timer_t> timer_;
  UvHandle<uv_idle_t> soon_;  ///< active while drive() is due in the next turn
};

Result<void> HttpServer::Impl::start() {
  if (auto opened = open_doors(); !opened) return opened;
  if (auto started = start_daemon(); !started) return started;
  watch_doors();
  return {};
}

Result<void> HttpServer::Impl::open_doors() {
  for (const std::string& address : options_.listen) {
    auto listener = Listener::open(address, options_.allow_remote);
    if (!listener) return fail(listener.error());
    auto poll =
        make_handle<uv_poll_t>([&](uv_poll_t* handle) { return uv_poll_init(loop_, handle, listener->descriptor()); });
    if (!poll) return fail("listen on " + address + ": the loop does not take its socket");
    doors_.push_back({this, std::move(*listener), std::move(poll)});
    doors_.back().poll->data = &doors_.back();
  }
  return {};
}

Result<void> HttpServer::Impl::start_daemon() {
  const auto idle_s = static_cast<unsigned>((options_.idle.count() + 999) / 1000);
  const std::size_t memory = options_.header_bytes + options_.url_bytes + kWorkingBytes;
  const MHD_NotifyConnectionCallback notify_connection = [](void* self, MHD_Connection* mhd, void** context,
                                                            MHD_ConnectionNotificationCode code) {
    auto* server = static_cast<Impl*>(self);
    code == MHD_CONNECTION_NOTIFY_STARTED ? server->opened(mhd, context) : server->closed(context);
  };
  const MHD_RequestCompletedCallback notify_completed = [](void* self, MHD_Connection* mhd, void**,
                                                           MHD_RequestTerminationCode) {
    static_cast<Impl*>(self)->completed(connection_of(mhd));
  };
  // The target as it was sent; what libmicrohttpd makes of it is not used.
  const auto keep_target = [](void*, const char* target, MHD_Connection* mhd) -> void* {
    connection_of(mhd).target = target;
    return nullptr;
  };
  const auto decode_nothing = [](void*, MHD_Connection*, char* text) { return std::char_traits<char>::length(text); };
  const MHD_AccessHandlerCallback request = [](void* self, MHD_Connection* mhd, const char*, const char* method,
                                               const char*, const char*, std::size_t* upload_size, void**) {
    *upload_size = 0;
    return static_cast<Impl*>(self)->on_request(connection_of(mhd), method);
  };
  daemon_ = MHD_start_daemon(
      MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME, 0, nullptr, nullptr, request, this,
      MHD_OPTION_NOTIFY_CONNECTION, notify_connection, this, MHD_OPTION_NOTIFY_COMPLETED, notify_completed, this,
      MHD_OPTION_URI_LOG_CALLBACK, static_cast<void* (*)(void*, const char*, MHD_Connection*)>(keep_target), nullptr,
      MHD_OPTION_UNESCAPE_CALLBACK, static_cast<std::size_t (*)(void*, MHD_Connection*, char*)>(decode_nothing),
      nullptr, MHD_OPTION_CONNECTION_LIMIT, static_cast<unsigned>(options_.connections),
      MHD_OPTION_CONNECTION_MEMORY_LIMIT, memory, MHD_OPTION_CONNECTION_TIMEOUT, idle_s, MHD_OPTION_STRICT_FOR_CLIENT,
      1, MHD_OPTION_END);
  const MHD_DaemonInfo* info = daemon_ == nullptr ? nullptr : MHD_get_daemon_info(daemon_, MHD_DAEMON_INFO_EPOLL_FD);
  if (info == nullptr) return fail("start the HTTP server: libmicrohttpd does not start");

  poll_ = make_handle<uv_poll_t>([&](uv_poll_t* handle) { return uv_poll_init(loop_, handle, info->epoll_fd); });
  timer_ = make_handle<uv_timer_t>([&](uv_timer_t* handle) { return uv_timer_init(loop_, handle); });
  soon_ = make_handle<uv_idle_t>([&](uv_idle_t* handle) { return uv_idle_init(loop_, handle); });
  if (!poll_ || !timer_ || !soon_) return fail("start the HTTP server: the loop does not take it");
  poll_->data = this;
  timer_->data = this;
  soon_->data = this;
  const int status = uv_poll_start(poll_.get(), UV_READABLE,
                                   [](uv_poll_t* handle, int, int) { static_cast<Impl*>(handle->data)->drive(); });
  if (status != 0) return fail("start the HTTP server: " + std::string(uv_strerror(status)));
  return {};
}

void HttpServer::Impl::stop() {
  if (daemon_ == nullptr) {
    doors_.clear();
    return;
  }
  rest_doors();
  doors_.clear();
  poll_.reset();
  timer_.reset();
  soon_.reset();
  for (Connection& connection : in(State::working)) {
    connection.exchange.reset();
    // libmicrohttpd cannot stop with suspended connections.
    if (std::exchange(connection.suspended, false)) MHD_resume_connection(connection.mhd);
  }
  MHD_stop_daemon(std::exchange(daemon_, nullptr));
}

void HttpServer::Impl::watch_doors() {
  doors_watched_ = true;
  for (Door& door : doors_) {
    uv_poll_start(door.poll.get(), UV_READABLE, [](uv_poll_t* handle, int, int) {
      auto* readable = static_cast<Door*>(handle->data);
      readable->server->accept_from(*readable);
    });
  }
}

void HttpServer::Impl::rest_doors() {
  doors_watched_ = false;
  for (Door& door : doors_) uv_poll_stop(door.poll.get());
}

void HttpServer::Impl::accept_from(Door& door) {
  for (int taken = 0; taken < kMostAcceptedAtOnce; ++taken) {
    if (connections() >= options_.connections) {
      MHD_run(daemon_);  // So that nobody is sent away whose request has arrived.
      if (connections() >= options_.connections && dispensable() == nullptr) {
        rest_doors();
        break;
      }
    }
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    const int descriptor = ::accept4(door.listener.descriptor(), reinterpret_cast<sockaddr*>(&address), &size,
                                     SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (descriptor >= 0) {
      add(descriptor, address, size);
    } else if (errno != EINTR && errno != ECONNABORTED) {
      if (errno != EAGAIN && errno != EWOULDBLOCK) {
        retry_at_ = uv_now(loop_) + kRetryMs;
        rest_doors();
      }
      break;
    }
  }
  drive();
}

void HttpServer::Impl::add(int descriptor, const sockaddr_storage& address, socklen_t size) {
  if (connections() >= options_.connections) {
    end(*dispensable());
    MHD_run(daemon_);
  }
  peer_of_new_ = peer_of(address);
  // Closes the descriptor if it does not take it.
  MHD_add_connection(daemon_, descriptor, reinterpret_cast<const sockaddr*>(&address), size);
}

HttpServer::Impl::Connection* HttpServer::Impl::dispensable() {
  // Neither kind may take more than half of the room from the other: a flood of new connections ends none that asks now
  // and then, and idle ones that have asked once leave room for new ones to ask.
  auto& fresh = in(State::fresh);
  auto& waiting = in(State::waiting);
  if (!fresh.empty() && (waiting.empty() || fresh.size() >= options_.connections / 2)) return &fresh.front();
  if (!waiting.empty()) return &waiting.front();
  if (!in(State::sending).empty()) return &in(State::sending).front();
  return nullptr;
}

void HttpServer::Impl::end(Connection& connection) {
  ::shutdown(connection.descriptor, SHUT_RDWR);
  set_state(connection, State::ending);
}

void HttpServer::Impl::drive() {
  MHD_run(daemon_);
  end_idle();
  if (!doors_watched_ && uv_now(loop_) >= retry_at_ &&
      (connections() < options_.connections || dispensable() != nullptr)) {
    watch_doors();
  }
  arm_timer();
}

void HttpServer::Impl::end_idle() {
  for (const State state : {State::fresh, State::waiting}) {
    auto& waiting = in(state);
    while (!waiting.empty() && waiting.front().since + idle_ms() <= uv_now(loop_)) end(waiting.front());
  }
}

void HttpServer::Impl::arm_timer() {
  std::optional<std::uint64_t> in_ms;
  const auto within = [&](std::uint64_t ms) { in_ms = in_ms ? std::min(*in_ms, ms) : ms; };
  const auto until = [&](std::uint64_t time) { within(time - std::min(time, uv_now(loop_))); };
  if (MHD_UNSIGNED_LONG_LONG ms = 0; MHD_get_timeout(daemon_, &ms) == MHD_YES) within(ms);
  for (const State state : {State::fresh, State::waiting}) {
    if (!in(state).empty()) until(in(state).front().since + idle_ms());
  }
  if (retry_at_ > uv_now(loop_)) until(retry_at_);
  uv_timer_stop(timer_.get());
  if (in_ms == 0) {
    drive_soon();
  } else if (in_ms) {
    uv_timer_start(
        timer_.get(), [](uv_timer_t* handle) { static_cast<Impl*>(handle->data)->drive(); }, *in_ms, 0);
  }
}

void HttpServer::Impl::drive_soon() {
  // Not by the timer: one that is due at once again and again keeps the loop from everything else.
  uv_idle_start(soon_.get(), [](uv_idle_t* handle) {
    uv_idle_stop(handle);
    static_cast<Impl*>(handle->data)->drive();
  });
}

void HttpServer::Impl::set_state(Connection& connection, State state) {
  auto& to = in(state);
  to.splice(to.end(), in(connection.state), connection.self);
  connection.state = state;
  connection.since = uv_now(loop_);
}

HttpServer::Impl::Connection& HttpServer::Impl::connection_of(MHD_Connection* mhd) {
  return *static_cast<Connection*>(MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context);
}

void HttpServer::Impl::opened(MHD_Connection* mhd, void** context) {
  auto& fresh = in(State::fresh);
  Connection& connection = fresh.emplace_back();
  connection.self = std::prev(fresh.end());
  connection.mhd = mhd;
  connection.descriptor = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
  connection.peer = peer_of_new_;
  connection.since = uv_now(loop_);
  *context = &connection;
}

void HttpServer::Impl::closed(void** context) {
  auto* connection = static_cast<Connection*>(std::exchange(*context, nullptr));
  in(connection->state).erase(connection->self);
}

void HttpServer::Impl::completed(Connection& connection) {
  connection.head_seen = false;
  connection.exchange.reset();
  connection.answer.reset();
  if (connection.state != State::ending) {
    set_state(connection, connection.answered_well ? State::waiting : State::fresh);
  }
}

MHD_Result HttpServer::Impl::on_request(Connection& connection, const char* method) {
  if (daemon_ == nullptr) return MHD_NO;
  if (connection.answer) return queue(connection, std::move(*connection.answer), After::keep);
  if (connection.exchange) return MHD_NO;

  RequestHead head{.method = method, .target = connection.target, .peer = connection.peer};
  if (!std::exchange(connection.head_seen, true)) {
    if (auto refused = refuse_early(connection.mhd, head, options_)) {
      return queue(connection, std::move(*refused), After::close);
    }
    return MHD_YES;  // Called again when the request is whole.
  }
  auto request = read_request(connection.mhd, std::move(head), options_);
  if (!request) return queue(connection, std::move(request.error()), After::keep);

  connection.exchange = std::make_shared<Exchange>(Exchange{this, &connection});
  set_state(connection, State::working);
  handler_(*request, Responder([weak = std::weak_ptr(connection.exchange)](Response response) {
    if (const auto exchange = weak.lock()) {
      exchange->server->answered(*exchange->connection, std::move(response));
    }
  }));
  if (connection.answer) return queue(connection, std::move(*connection.answer), After::keep);
  MHD_suspend_connection(connection.mhd);
  connection.suspended = true;
  return MHD_YES;
}

MHD_Result HttpServer::Impl::queue(Connection& connection, Response response, After after) {
  connection.answer.reset();
  connection.answered_well = connection.answered_well || response.status < 400;
  if (connection.state != State::ending) set_state(connection, State::sending);
  return queue_answer(connection.mhd, std::move(response), after) ? MHD_YES : MHD_NO;
}

void HttpServer::Impl::answered(Connection& connection, Response response) {
  connection.answer = std::move(response);
  if (!std::exchange(connection.suspended, false)) return;
  MHD_resume_connection(connection.mhd);
  // It takes effect in the next MHD_run(): not here, in whatever called the responder.
  drive_soon();
}

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpServer::~HttpServer() = default;

Result<std::unique_ptr<HttpServer>> HttpServer::start(uv_loop_s* loop, HttpOptions options, Handler handler) {
  auto impl = std::make_unique<Impl>(loop, std::move(options), std::move(handler));
  if (auto started = impl->start(); !started) return fail(started.error());
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

void HttpServer::stop() { impl_->stop(); }
std::vector<std::string> HttpServer::bound_addresses() const { return impl_->bound_addresses(); }
std::vector<std::uint64_t> HttpServer::bound_sockets() const { return impl_->bound_sockets(); }
std::size_t HttpServer::connections() const { return impl_->connections(); }

}  // namespace fleetledger
