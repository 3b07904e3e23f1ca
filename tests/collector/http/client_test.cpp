#include "collector/http/client.h"

#include <catch2/catch.hpp>
#include <functional>
#include <thread>

#include "tests/support/raw_server.h"
#include "tests/support/temp_dir.h"

using namespace fleetledger;
using namespace fleetledger::test;
using namespace std::chrono_literals;

namespace {

/// A server that takes one connection and does with it what the test says, on a thread of its own.
class OneAnswer {
 public:
  explicit OneAnswer(std::function<void(int)> serve, const std::string& address = "127.0.0.1:0") : server_(address) {
    thread_ = std::thread([this, serve = std::move(serve)] {
      const int connection = server_.accept();
      serve(connection);
      ::close(connection);
    });
  }
  ~OneAnswer() { thread_.join(); }
  OneAnswer(const OneAnswer&) = delete;
  OneAnswer& operator=(const OneAnswer&) = delete;

  [[nodiscard]] HttpGet request(Micros limit = 20s) const {
    return {.address = server_.address(), .target = "/health", .largest_body = 1000, .time_limit = limit};
  }

 private:
  RawServer server_;
  std::thread thread_;
};

Result<HttpAnswer> ask_one_that_says(const std::string& answer) {
  const OneAnswer server([&](int connection) {
    receive_request(connection);
    send_all(connection, answer);
  });
  return http_get(server.request());
}

void wait_until_gone(int connection) {
  char byte = 0;
  while (::recv(connection, &byte, 1, 0) > 0) {
  }
}

}  // namespace

TEST_CASE("a client asks in HTTP/1.0 and takes the answer that it gets") {
  const TempDir folder;
  for (const auto& address : {std::string("127.0.0.1:0"), std::string("[::1]:0"), "unix:" + folder / "socket"}) {
    CAPTURE(address);
    std::string received;
    Result<HttpAnswer> answer = fail("not asked");
    {
      const OneAnswer server(
          [&](int connection) {
            received = receive_request(connection);
            send_all(connection, "HTTP/1.1 200 OK\r\ncontent-LENGTH: 5\r\nX: y\r\n\r\nhello and more");
          },
          address);
      auto request = server.request();
      request.headers = {{"Authorization", "Bearer abc"}};
      answer = http_get(request);
    }
    CHECK(received ==
          "GET /health HTTP/1.0\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer abc\r\n\r\n");
    REQUIRE(answer);
    CHECK(answer->status == 200);
    CHECK(answer->body == "hello");
  }
}

TEST_CASE("an answer without a length goes to the end of the connection, whatever its status") {
  for (const std::string head : {"HTTP/1.0 404 Not Found\r\nA: b\r\n\r\n", "HTTP/1.1 404\r\n\r\n"}) {
    const auto answer = ask_one_that_says(head + "nothing");
    REQUIRE(answer);
    CHECK(answer->status == 404);
    CHECK(answer->body == "nothing");
  }
}

TEST_CASE("what is no whole answer within the limits is refused") {
  const std::string ok = "HTTP/1.1 200 OK\r\n";
  const std::pair<std::string, std::string> kCases[] = {
      {"", "cut short"},
      {"HTTP/1.1 200 OK\r\n", "cut short"},
      {ok + "Content-Length: 5\r\n\r\nhell", "cut short"},
      {"SSH-2.0-OpenSSH_9\r\n\r\n", "no HTTP"},
      {"HTTP/2 200 OK\r\n\r\n", "no HTTP"},
      {"HTTP/1.1 2x0 OK\r\n\r\n", "no HTTP"},
      {"HTTP/1.1 099 OK\r\n\r\n", "no HTTP"},
      {"HTTP/1.1 2000 OK\r\n\r\n", "no HTTP"},
      {"HTTP/1.1 -20 OK\r\n\r\n", "no HTTP"},
      {"\r\n\r\n", "no HTTP"},
      {ok + "no colon\r\n\r\n", "no HTTP"},
      {ok + "Content-Length: -1\r\n\r\n", "no HTTP"},
      {ok + "Content-Length: \r\n\r\n", "no HTTP"},
      {ok + "Content-Length: 1 2\r\n\r\n", "no HTTP"},
      {ok + "Content-Length: 99999999999999999999\r\n\r\n", "no HTTP"},
      {ok + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", "no HTTP"},
      {ok + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "no HTTP"},
      {ok + "Content-Length: 1001\r\n\r\n", "too long"},
      {ok + "\r\n" + std::string(1001, 'x'), "too long"},
      {ok + std::string(20'000, 'x'), "head is too long"},
      {ok + "X: " + std::string(20'000, 'x') + "\r\n\r\n", "head is too long"},
  };
  for (const auto& [said, why] : kCases) {
    CAPTURE(said.substr(0, 60));
    const auto answer = ask_one_that_says(said);
    REQUIRE_FALSE(answer);
    CHECK(answer.error().text.find(why) != std::string::npos);
    CHECK(answer.error().kind == Error::Kind::invalid);
  }
}

TEST_CASE("a server that is silent, slow or endless is left when the time is over, or the size is") {
  const auto silent = [](int connection) { wait_until_gone(connection); };
  const auto slow = [](int connection) {
    while (send_all(connection, "H")) {
      ::poll(nullptr, 0, 1);
    }
  };
  for (const std::function<void(int)>& serve : {std::function<void(int)>(silent), std::function<void(int)>(slow)}) {
    const OneAnswer server(serve);
    const auto answer = http_get(server.request(50ms));
    REQUIRE_FALSE(answer);
    CHECK(answer.error().kind == Error::Kind::busy);
  }
  const OneAnswer endless([](int connection) {
    send_all(connection, "HTTP/1.1 200 OK\r\n\r\n");
    while (send_all(connection, std::string(10'000, 'x'))) {
    }
  });
  const auto answer = http_get(endless.request());
  REQUIRE_FALSE(answer);
  CHECK(answer.error().text == "its answer is too long");
}

TEST_CASE("where nobody listens is unavailable, and what is not on this host is not asked") {
  RawServer server;
  const HttpGet request{.address = server.address(), .target = "/"};
  server.close();
  const auto refused = http_get(request);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().kind == Error::Kind::unavailable);

  for (const std::string address : {"192.0.2.1:80", "0.0.0.0:80", "127.0.0.1:0", "[::]:80", "localhost:80", ""}) {
    CAPTURE(address);
    const auto answer = http_get({.address = address, .target = "/"});
    REQUIRE_FALSE(answer);
    CHECK(answer.error().kind == Error::Kind::invalid);
  }
}

TEST_CASE("nothing is sent to a server that the caller refuses, nor a header that would be two") {
  for (const bool refuse : {true, false}) {
    std::string received = "nothing yet";
    {
      const OneAnswer server([&](int connection) { received = receive_request(connection); });
      auto request = server.request();
      request.headers = {{"Authorization", refuse ? "Bearer abc" : "Bearer abc\r\nX: y"}};
      if (refuse) {
        request.before_sending = [](int, MonotonicTime) -> Result<void> { return fail("a stranger"); };
      }
      const auto answer = http_get(request);
      REQUIRE_FALSE(answer);
      CHECK(answer.error().text == (refuse ? "a stranger" : "what is to be asked does not fit into a request"));
      if (!refuse) {
        request.headers.clear();
        request.time_limit = 20s;
        CHECK_FALSE(http_get(request));  // lets the server go
      }
    }
    CHECK(received.find("Authorization") == std::string::npos);
    CHECK(received.empty() == refuse);
  }
}
