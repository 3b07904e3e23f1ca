#include "collector/heap_question.h"

#include <catch2/catch.hpp>
#include <functional>
#include <thread>

#include "tests/support/child.h"
#include "tests/support/raw_server.h"

using namespace fleetledger;
using namespace fleetledger::test;
using namespace std::chrono_literals;

namespace {

using Serve = std::function<void(int)>;

/// An agent's server in a process of its own. What it receives comes through a pipe.
class Server {
 public:
  explicit Server(const Serve& serve, const std::string& where = "127.0.0.1:0") : listening_(where) {
    REQUIRE(::pipe(pipe_) == 0);
    child_.emplace([&] {
      for (int connection = 0; (connection = listening_.accept()) >= 0; ::close(connection)) {
        const auto request = receive_request(connection);
        if (::write(pipe_[1], request.data(), request.size()) < 0) return;
        serve(connection);
      }
    });
    port_ = listening_.port();
    listening_.close();
    ::close(pipe_[1]);
  }
  ~Server() { ::close(pipe_[0]); }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  [[nodiscard]] HeapQuestion question() const {
    return {.agent = "a",
            .server = {child_->pid(), child_->start()},
            .port = port_,
            .token = Secret("the-token"),
            .time_limit = 30s};  // a busy host may take its time
  }
  /// Ends it.
  std::string received() {
    child_.reset();
    std::string text(100'000, '\0');
    const auto size = ::read(pipe_[0], text.data(), text.size());
    text.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
    return text;
  }

 private:
  RawServer listening_;
  std::uint16_t port_ = 0;
  int pipe_[2] = {-1, -1};
  std::optional<Child> child_;
};

Serve says(const std::string& body, const std::string& status = "200 OK") {
  return [=](int connection) {
    send_all(connection, "HTTP/1.1 " + status + "\r\nContent-Type: application/json\r\n\r\n" + body);
  };
}

std::string refusal(const Result<Bytes>& heap) { return heap ? "" : heap.error().text; }

constexpr std::int64_t kMiB = 1 << 20;

}  // namespace

TEST_CASE("an agent's server that holds the port is asked with its token and says its heap") {
  for (const auto* where : {"127.0.0.1:0", "[::1]:0", "[::]:0"}) {
    CAPTURE(where);
    Server server(says(R"({"status":"ok","memory":{"rss":120,"heapUsed":42,"heapTotal":60}})"), where);
    const auto heap = ask_heap(server.question());
    INFO(refusal(heap));
    REQUIRE(heap);
    CHECK(*heap == Bytes{42 * kMiB});
    CHECK(server.received() ==
          "GET /health HTTP/1.0\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer the-token\r\n\r\n");
  }
}

TEST_CASE("an answer without a heap that can be is none") {
  const std::string deep(60'000, '[');
  for (const auto& body :
       {std::string(), std::string("{}"), std::string("null"), std::string(R"({"memory":{"heapUsed":-1}})"),
        std::string(R"({"memory":{"heapUsed":"42"}})"), std::string(R"({"memory":{"heapUsed":null}})"),
        std::string(R"({"memory":{"heapUsed":1e300}})"), std::string(R"({"memory":[42]})"), std::string("{\"memory\""),
        std::string(R"({"memory":{"heapUsed":42}} and more)"), deep, std::string(70'000, ' ')}) {
    CAPTURE(body.substr(0, 60));
    const Server server(says(body));
    const auto heap = ask_heap(server.question());
    CHECK_FALSE(heap);
    CHECK(refusal(heap).find("the-token") == std::string::npos);
  }
  for (const auto* status : {"401 Unauthorized", "500 Oops", "302 Found"}) {
    const Server server(says(R"({"memory":{"heapUsed":42}})", status));
    CHECK_FALSE(ask_heap(server.question()));
  }
  const Server whole(says(R"({"memory":{"heapUsed":0}})"));
  CHECK(ask_heap(whole.question()).value_or(Bytes{1}) == Bytes{0});
}

TEST_CASE("a server that is silent or endless is left in time") {
  const Server silent([](int) { sleep_for_ever(); });
  auto question = silent.question();
  question.time_limit = HeapQuestion{}.time_limit;
  CHECK(refusal(ask_heap(question)) == "no answer in time");
  const Server endless([](int connection) {
    send_all(connection, "HTTP/1.1 200 OK\r\n\r\n");
    while (send_all(connection, std::string(1000, ' '))) {
    }
  });
  CHECK(refusal(ask_heap(endless.question())) == "its answer is too long");
}

TEST_CASE("nobody but the agent's server ever receives a byte") {
  const Child agents(sleep_for_ever);
  SECTION("another process has the port") {
    Server stranger(says(R"({"memory":{"heapUsed":42}})"));
    auto question = stranger.question();
    question.server = {agents.pid(), agents.start()};
    CHECK(refusal(ask_heap(question)) == "who listens there is another process");
    CHECK(stranger.received().empty());
  }
  SECTION("the server's pid is another process by now") {
    Server stranger(says(R"({"memory":{"heapUsed":42}})"));
    auto question = stranger.question();
    question.server.start -= 3s;
    question.start_slack = 2s;
    CHECK(refusal(ask_heap(question)) == "its server has gone");
    CHECK(stranger.received().empty());
  }
  SECTION("nobody has the port") {
    HeapQuestion question;
    {
      const Server gone(says(""));
      question = gone.question();
    }
    CHECK(refusal(ask_heap(question)) == "nothing listens there");
  }
  SECTION("a token that would be two lines") {
    Server server(says("{}"));
    auto question = server.question();
    question.token = Secret("a\r\nX: y");
    CHECK_FALSE(ask_heap(question));
    CHECK(server.received().empty());
  }
}

TEST_CASE("what the server has started may hold the port for it") {
  // This process is the server, the one that listens is its child.
  Server server(says(R"({"memory":{"heapUsed":42}})"));
  auto question = server.question();
  std::ifstream file("/proc/self/stat");
  std::ostringstream text;
  text << file.rdbuf();
  const auto self = parse_proc_stat(text.str());
  REQUIRE(self);
  question.server = {::getpid(), BootTime{ticks_to_micros(self->start_ticks)}};
  CHECK(ask_heap(question).value_or(Bytes{}) == Bytes{42 * kMiB});
}
