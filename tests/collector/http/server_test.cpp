#include "collector/http/server.h"

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <filesystem>
#include <random>
#include <set>
#include <sys/resource.h>
#include <utility>

#include "tests/support/raw_client.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_loop.h"

using namespace fleetledger;
using namespace fleetledger::test;
using namespace std::chrono_literals;
using namespace std::string_literals;
using Catch::Matchers::Contains;

namespace {

std::set<int> descriptors() {
  std::set<int> all;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    all.insert(std::stoi(entry.path().filename()));
  }
  // The directory's own is closed by now.
  std::erase_if(all, [](int descriptor) { return ::fcntl(descriptor, F_GETFD) < 0; });
  return all;
}

std::size_t open_descriptors() { return descriptors().size(); }

std::string get(const std::string& target, const std::string& more = "") {
  return "GET " + target + " HTTP/1.1\r\nHost: localhost\r\n" + more + "\r\n";
}

/// A server whose handler answers with what the request looked like, or as the test says.
class Fixture {
 public:
  TestLoop loop;
  std::vector<Request> requests;
  Handler handler = [](const Request& request, const Responder& respond) { respond({200, {}, request.target}); };
  std::unique_ptr<HttpServer> server;

  void start(HttpOptions options = {}) {
    if (options.listen == HttpOptions{}.listen) options.listen = {"127.0.0.1:0"};
    auto started = HttpServer::start(loop.get(), std::move(options), [this](const Request& request, Responder respond) {
      requests.push_back(request);
      handler(request, std::move(respond));
    });
    REQUIRE(started);
    server = std::move(*started);
  }
  [[nodiscard]] std::unique_ptr<RawClient> connect(std::size_t listener = 0) {
    return std::make_unique<RawClient>(loop.get(), server->bound_addresses().at(listener));
  }
  /// Status 0 if the connection ended without an answer.
  Reply reply(RawClient& client, bool head = false) {
    std::optional<Reply> reply;
    loop.await([&] {
      reply = client.take_reply(head);
      return reply || client.ended();
    });
    return reply.value_or(Reply{});
  }
  /// The answer to these bytes on a connection of their own.
  Reply ask(const std::string& bytes, std::size_t listener = 0) {
    const auto client = connect(listener);
    client->send(bytes);
    return reply(*client, bytes.starts_with("HEAD"));
  }
};

}  // namespace

TEST_CASE_METHOD(Fixture, "A request reaches the handler with its path, parameters and headers") {
  start();
  const Reply reply = ask(
      "GET /agents/a%2Fb?limit=5&limit=6&source=session%3Ax HTTP/1.1\r\nhOST: 127.0.0.1:4100\r\nAUTHORIZATION: Bearer "
      "abc\r\nx-instar-agentid: echo\r\nAccept: text/html\r\naccept: */*\r\nIf-None-Match: \"1\"\r\n\r\n");
  CHECK(reply.status == 200);
  CHECK(reply.body == "/agents/a%2Fb?limit=5&limit=6&source=session%3Ax");
  REQUIRE(requests.size() == 1);
  const Request& request = requests[0];
  CHECK_FALSE(request.head);
  CHECK(request.peer == Request::Peer::loopback);
  CHECK(request.path == std::vector<std::string>{"agents", "a/b"});
  CHECK(request.query.all().size() == 3);
  CHECK(*request.query.only("source") == "session:x");
  CHECK(request.host == "127.0.0.1:4100");
  CHECK(request.authorization == "Bearer abc");
  CHECK(request.agent_id == "echo");
  CHECK(request.accept == "text/html, */*");
  CHECK(request.if_none_match == "\"1\"");
}

TEST_CASE_METHOD(Fixture, "Headers that were not sent are absent") {
  start();
  ask(get("/"));
  REQUIRE(requests.size() == 1);
  CHECK_FALSE(requests[0].authorization);
  CHECK_FALSE(requests[0].agent_id);
  CHECK_FALSE(requests[0].accept);
  CHECK_FALSE(requests[0].if_none_match);
}

TEST_CASE_METHOD(Fixture, "Every answer forbids caches and guessing, and does not say which server it is") {
  start();
  const auto request =
      GENERATE(values<std::string>({get("/"), get("/%"), "POST / HTTP/1.1\r\nHost: localhost\r\n\r\n",
                                    "GET / HTTP/1.1\r\nHost: example.org\r\n\r\n", get("/" + std::string(5000, 'x'))}));
  const Reply reply = ask(request);
  CHECK(reply.headers.at("cache-control") == "no-store");
  CHECK(reply.headers.at("x-content-type-options") == "nosniff");
  CHECK(reply.headers.count("server") == 0);
}

TEST_CASE_METHOD(Fixture, "A handler's own headers are sent, and its own Cache-Control instead of ours") {
  handler = [](const Request&, const Responder& respond) {
    respond({404, {{"Content-Type", "text/plain"}, {"ETag", "\"7\""}, {"Cache-Control", "no-cache"}}, "none"});
  };
  start();
  const Reply reply = ask(get("/"));
  CHECK(reply.status == 404);
  CHECK(reply.headers.at("content-type") == "text/plain");
  CHECK(reply.headers.at("etag") == "\"7\"");
  CHECK(reply.headers.at("cache-control") == "no-cache");
  CHECK(reply.body == "none");
}

TEST_CASE_METHOD(Fixture, "An answer cannot be split by what stands in its headers") {
  handler = [](const Request&, const Responder& respond) { respond({200, {{"X-Name", "a\r\nX-Evil: 1"}}, "x"}); };
  start();
  const Reply reply = ask(get("/"));
  CHECK(reply.status == 500);
  CHECK(reply.headers.count("x-evil") == 0);
}

TEST_CASE_METHOD(Fixture, "HEAD says how long the answer is and does not send it") {
  start();
  const auto client = connect();
  client->send("HEAD /abc HTTP/1.1\r\nHost: localhost\r\n\r\n" + get("/next"));
  const Reply head = reply(*client, true);
  CHECK(head.status == 200);
  CHECK(head.headers.at("content-length") == "4");
  CHECK(reply(*client).body == "/next");
  REQUIRE(requests.size() == 2);
  CHECK(requests[0].head);
  CHECK_FALSE(requests[1].head);
}

TEST_CASE_METHOD(Fixture, "Other methods are not allowed, and the handler does not see them") {
  start();
  const auto method =
      GENERATE(values<std::string>({"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "get", "BREW"}));
  const Reply reply = ask(method + " / HTTP/1.1\r\nHost: localhost\r\n\r\n");
  CHECK(reply.status == 405);
  CHECK(reply.headers.at("allow") == "GET, HEAD");
  CHECK(requests.empty());
}

TEST_CASE_METHOD(Fixture, "A request with a body is refused before the body is sent") {
  start();
  const auto header =
      GENERATE(values<std::string>({"Content-Length: 5", "Content-Length: 99999999999", "Transfer-Encoding: chunked",
                                    "Content-Length: 5\r\nExpect: 100-continue"}));
  INFO(header);
  const auto client = connect();
  client->send("GET / HTTP/1.1\r\nHost: localhost\r\n" + header + "\r\n\r\n");
  CHECK(reply(*client).status == 413);
  loop.await([&] { return client->ended(); });
  CHECK(client->received().empty());
  CHECK(requests.empty());
}

TEST_CASE_METHOD(Fixture, "A body that is not asked for is not taken for the next request") {
  start();
  const auto client = connect();
  client->send("GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 45\r\n\r\n" + get("/hidden"));
  CHECK(reply(*client).status == 413);
  loop.await([&] { return client->ended(); });
  CHECK(client->received().empty());
  CHECK(requests.empty());
}

TEST_CASE_METHOD(Fixture, "A length of zero is no body") {
  start();
  CHECK(ask(get("/", "Content-Length: 0\r\n")).status == 200);
}

TEST_CASE_METHOD(Fixture, "Malformed requests are refused, with a word or without") {
  start();
  const auto [bytes, status] = GENERATE(table<std::string, int>({
      {"GARBAGE\r\n\r\n", 0},
      {"\x16\x03\x01\x02\r\n\r\n", 0},
      {"GET /\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\n\r\n", 400},
      {"GET / HTTP/1.0\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost:\r\n\r\n", 421},
      {"GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: localhost\r\nHost: example.org\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: a\r\nauthorization: b\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: localhost\r\nX-Instar-AgentId: a\r\nX-Instar-AgentId: b\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: localhost\r\nno colon here\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999999\r\n\r\n", 413},
      {"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: a\x01\r\n\r\n", 400},
      {"GET /a b HTTP/1.1\r\nHost: localhost\r\n\r\n", 0},
      {"GET http://localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n", 400},
      {"GET * HTTP/1.1\r\nHost: localhost\r\n\r\n", 400},
      {"GET example HTTP/1.1\r\nHost: localhost\r\n\r\n", 400},
      {"GET / HTTP/2.0\r\nHost: localhost\r\n\r\n", 505},
      {"GET / HTTX/1.1\r\nHost: localhost\r\n\r\n", 400},
      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
      {get("/%00"), 400},
      {get("/%zz"), 400},
      {get("/?a=%"), 400},
      {get("/\xff"), 400},
      {get("/a#b"), 400},
  }));
  INFO(bytes);
  CHECK(ask(bytes).status == status);
  CHECK(requests.empty());
}

TEST_CASE_METHOD(Fixture, "A raw NUL ends a target or a header, and hides nothing from the handler") {
  start();
  CHECK(ask("GET /a\0b?c HTTP/1.1\r\nHost: localhost\r\nAuthorization: d\0e\r\n\r\n"s).body == "/a");
  REQUIRE(requests.size() == 1);
  CHECK(requests[0].path == std::vector<std::string>{"a"});
  CHECK(requests[0].query.all().empty());
  CHECK(requests[0].authorization == "d");
  CHECK(ask("GET / HTTP/1.1\r\nHost: localhost\0.example.org\r\n\r\n"s).status == 200);
}

TEST_CASE_METHOD(Fixture, "Odd but well-formed targets reach the handler as they are") {
  start();
  const auto target =
      GENERATE(values<std::string>({"//", "/..", "/a/../b", "/a%2f..%2fb", "/?&&=", "/%C3%A9", "/~a;b=c"}));
  CHECK(ask(get(target)).body == target);
}

TEST_CASE_METHOD(Fixture, "Targets and headers up to the limits are served, longer ones refused") {
  start({.header_bytes = 8192, .url_bytes = 2048});
  const std::string head = get("/");
  const std::size_t rest = head.size() - 1 + std::string("X-Fill: \r\n").size();

  CHECK(ask(get("/" + std::string(2047, 'x'))).status == 200);
  CHECK(ask(get("/" + std::string(2048, 'x'))).status == 414);
  CHECK(ask(get("/", "X-Fill: " + std::string(8192 - rest, 'x') + "\r\n")).status == 200);
  CHECK(ask(get("/", "X-Fill: " + std::string(8193 - rest, 'x') + "\r\n")).status == 431);
  CHECK(ask(get("/" + std::string(2047, 'x'), "X-Fill: " + std::string(8192 - rest, 'x') + "\r\n")).status == 200);
  CHECK(ask(get("/" + std::string(1U << 20U, 'x'))).status == 414);
  CHECK(ask(get("/", "X-Fill: " + std::string(1U << 20U, 'x') + "\r\n")).status == 431);
  std::string many;
  for (int count = 0; count < 100'000; ++count) many += "a:b\r\n";
  CHECK(ask(get("/", many)).status == 431);
  CHECK(requests.size() == 3);
}

TEST_CASE_METHOD(Fixture, "A hundred headers of a browser are fine") {
  start();
  std::string many;
  for (int count = 0; count < 100; ++count)
    many += "X-Header-" + std::to_string(count) + ": " + std::string(40, 'v') + "\r\n";
  CHECK(ask(get("/", many)).status == 200);
}

TEST_CASE_METHOD(Fixture, "A query with more parameters than there is memory for ends its own connection only") {
  start({.idle = 50ms});
  CHECK(ask(get("/?" + std::string(200, '&'))).status == 200);
  CHECK(ask(get("/?" + std::string(4000, '&'))).status == 0);
  CHECK(ask(get("/")).status == 200);
}

TEST_CASE_METHOD(Fixture, "A name that is not ours is not served, but on a Unix socket") {
  const TempDir dir;
  start({.listen = {"127.0.0.1:0", "unix:" + (dir / "sock")}, .allowed_hosts = {"meter.example.net"}});
  const auto with_host = [](const std::string& host) { return "GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n"; };
  CHECK(ask(with_host("example.org")).status == 421);
  CHECK(ask(with_host("localhost.example.org")).status == 421);
  CHECK(requests.empty());
  CHECK(ask(with_host("[::1]:4100")).status == 200);
  CHECK(ask(with_host("METER.example.net:8080")).status == 200);
  CHECK(ask(with_host("example.org"), 1).status == 200);
  CHECK(requests.back().peer == Request::Peer::unix_socket);
}

TEST_CASE_METHOD(Fixture, "All addresses are served") {
  const TempDir dir;
  start({.listen = {"127.0.0.1:0", "[::1]:0", "unix:" + (dir / "sock")}});
  REQUIRE(server->bound_addresses().size() == 3);
  for (std::size_t listener = 0; listener < 3; ++listener) CHECK(ask(get("/"), listener).status == 200);
  CHECK(requests[1].peer == Request::Peer::loopback);
  CHECK(requests[2].peer == Request::Peer::unix_socket);
}

TEST_CASE_METHOD(Fixture, "A server that cannot have one of its addresses takes none") {
  start();
  const std::size_t before = open_descriptors();
  const std::string taken = server->bound_addresses()[0];
  const TempDir dir;
  const auto second = HttpServer::start(loop.get(), {.listen = {"unix:" + (dir / "sock"), taken}}, handler);
  REQUIRE_FALSE(second);
  CHECK_THAT(second.error().text, Contains(taken) && Contains("taken"));
  CHECK_FALSE(std::filesystem::exists(dir / "sock"));
  CHECK(open_descriptors() == before);
}

TEST_CASE_METHOD(Fixture, "One connection serves many requests, and closes when it is asked to") {
  start();
  const auto client = connect();
  for (int count = 0; count < 50; ++count) {
    client->send(get("/" + std::to_string(count)));
    CHECK(reply(*client).body == "/" + std::to_string(count));
  }
  CHECK(server->connections() == 1);
  client->send(get("/last", "Connection: close\r\n"));
  CHECK(reply(*client).body == "/last");
  loop.await([&] { return client->ended(); });
  CHECK(server->connections() == 0);
}

TEST_CASE_METHOD(Fixture, "Requests sent in one go are answered one by one, in order") {
  std::vector<Responder> waiting;
  handler = [&](const Request& request, Responder respond) {
    CHECK(waiting.empty());
    if (request.target == "/1") {
      waiting.push_back(std::move(respond));
    } else {
      respond({200, {}, request.target});
    }
  };
  start();
  const auto client = connect();
  client->send(get("/0") + get("/1") + get("/2"));
  loop.await([&] { return !waiting.empty(); });
  waiting[0]({200, {}, "late"});
  waiting.clear();
  CHECK(reply(*client).body == "/0");
  CHECK(reply(*client).body == "late");
  CHECK(reply(*client).body == "/2");
}

TEST_CASE_METHOD(Fixture, "A client that has said all it has to say still gets its answers") {
  std::vector<Responder> waiting;
  handler = [&](const Request&, Responder respond) { waiting.push_back(std::move(respond)); };
  start();
  const auto client = connect();
  client->send(get("/"));
  client->finish();
  loop.await([&] { return !waiting.empty(); });
  waiting[0]({200, {}, "late"});
  CHECK(reply(*client).body == "late");
  loop.await([&] { return client->ended(); });
  CHECK(server->connections() == 0);
}

TEST_CASE_METHOD(Fixture, "Answers may come later, in any order, while others are served") {
  std::vector<Responder> waiting;
  handler = [&](const Request& request, Responder respond) {
    if (request.target == "/now") return respond({200, {}, "now"});
    waiting.push_back(std::move(respond));
  };
  start();
  const auto first = connect();
  const auto second = connect();
  first->send(get("/later"));
  loop.await([&] { return waiting.size() == 1; });
  second->send(get("/later"));
  loop.await([&] { return waiting.size() == 2; });
  CHECK(ask(get("/now")).body == "now");
  waiting[1]({200, {}, "second"});
  CHECK(reply(*second).body == "second");
  waiting[0]({200, {}, "first"});
  CHECK(reply(*first).body == "first");
  first->send(get("/now"));
  CHECK(reply(*first).body == "now");
}

TEST_CASE_METHOD(Fixture, "The first answer counts") {
  std::optional<Responder> kept;
  handler = [&](const Request&, Responder respond) {
    respond({200, {}, "one"});
    respond({500, {}, "two"});
    kept = std::move(respond);
  };
  start();
  const auto client = connect();
  client->send(get("/") + get("/"));
  CHECK(reply(*client).body == "one");
  CHECK(reply(*client).body == "one");
  (*kept)({500, {}, "three"});
  client->send(get("/"));
  CHECK(reply(*client).body == "one");
}

TEST_CASE_METHOD(Fixture, "A request that is forgotten is answered with an error") {
  handler = [](const Request&, const Responder&) {};
  start();
  CHECK(ask(get("/")).status == 500);
}

TEST_CASE_METHOD(Fixture, "A client may go away before its answer") {
  std::vector<Responder> waiting;
  handler = [&](const Request&, Responder respond) { waiting.push_back(std::move(respond)); };
  start();
  const auto client = connect();
  client->send(get("/"));
  loop.await([&] { return !waiting.empty(); });
  client->close();
  waiting[0]({200, {}, std::string(1U << 20U, 'x')});
  loop.await([&] { return server->connections() == 0; });
  waiting[0]({200, {}, "again"});
}

TEST_CASE_METHOD(Fixture, "A long answer arrives whole, copied or shared") {
  const auto text = std::make_shared<const std::string>(5U << 20U, 'y');
  handler = [&](const Request& request, const Responder& respond) {
    respond({200, {}, request.target == "/shared" ? Body(text) : Body(std::string(*text))});
  };
  start();
  CHECK(ask(get("/shared")).body == *text);
  CHECK(ask(get("/copied")).body == *text);
  loop.await([&] { return server->connections() == 0; });
  CHECK(text.use_count() == 1);
}

TEST_CASE_METHOD(Fixture, "Answers without content have none") {
  handler = [](const Request&, const Responder& respond) { respond({304, {{"ETag", "\"1\""}}, {}}); };
  start();
  const auto client = connect();
  client->send(get("/") + get("/"));
  CHECK(reply(*client).status == 304);
  CHECK(reply(*client).status == 304);
  CHECK(client->received().empty());
}

TEST_CASE_METHOD(Fixture, "A connection that sends nothing is closed after the idle time") {
  start({.idle = 50ms});
  const auto silent = connect();
  loop.await([&] { return silent->ended(); });
  CHECK(server->connections() == 0);
  const auto kept = connect();
  kept->send(get("/"));
  CHECK(reply(*kept).status == 200);
  loop.await([&] { return kept->ended(); });
}

TEST_CASE_METHOD(Fixture, "A request that comes byte by byte does not keep its connection") {
  start({.idle = 100ms});
  const auto slow = connect();
  slow->send("GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ");
  const auto timer = make_handle<uv_timer_t>([&](uv_timer_t* handle) { return uv_timer_init(loop.get(), handle); });
  timer->data = slow.get();
  uv_timer_start(
      timer.get(), [](uv_timer_t* handle) { static_cast<RawClient*>(handle->data)->send("x"); }, 5, 5);
  loop.await([&] { return slow->ended(); });
  CHECK(slow->received().empty());
  CHECK(requests.empty());
}

TEST_CASE_METHOD(Fixture, "A request that waits for its answer is not idle") {
  std::vector<Responder> waiting;
  handler = [&](const Request& request, Responder respond) {
    if (request.target == "/later") waiting.push_back(std::move(respond));
  };
  start({.idle = 20ms});
  const auto client = connect();
  client->send(get("/later"));
  loop.await([&] { return !waiting.empty(); });
  const auto silent = connect();
  loop.await([&] { return silent->ended(); });
  waiting[0]({200, {}, "here"});
  CHECK(reply(*client).body == "here");
}

TEST_CASE_METHOD(Fixture, "Idle connections beyond the limit keep nobody out") {
  start({.connections = 8});
  std::vector<std::unique_ptr<RawClient>> idle;
  for (int count = 0; count < 200; ++count) {
    idle.push_back(connect());
    if (count % 2 == 0) idle.back()->send("GET / HTTP/1.1\r\nHost: loc");
    if (count % 10 == 0) CHECK(ask(get("/")).status == 200);
    CHECK(server->connections() <= 8);
  }
  loop.await([&] {
    return std::count_if(idle.begin(), idle.end(), [](const auto& client) { return !client->ended(); }) <= 8;
  });
  CHECK(server->connections() <= 8);
  CHECK(ask(get("/")).status == 200);
}

TEST_CASE_METHOD(Fixture, "A thousand idle connections at once are bounded, and others are served") {
  rlimit before{};
  ::getrlimit(RLIMIT_NOFILE, &before);
  rlimit more = before;
  more.rlim_cur = std::min<rlim_t>(before.rlim_max, 4096);
  ::setrlimit(RLIMIT_NOFILE, &more);
  {
    start({.connections = 64});
    const std::size_t descriptors = open_descriptors();
    std::vector<std::unique_ptr<RawClient>> idle;
    for (int count = 0; count < 1000; ++count) idle.push_back(connect());
    CHECK(ask(get("/")).status == 200);
    CHECK(server->connections() <= 64);
    CHECK(open_descriptors() <= descriptors + 1000 + 64);
    idle.clear();
    loop.await([&] { return server->connections() == 0; });
    CHECK(open_descriptors() == descriptors);
  }
  ::setrlimit(RLIMIT_NOFILE, &before);
}

TEST_CASE_METHOD(Fixture, "At the limit the connection that was idle longest has to go") {
  start({.connections = 3});
  const auto first = connect();
  const auto second = connect();
  const auto third = connect();
  for (const auto* client : {&first, &second, &third}) {
    (*client)->send(get("/"));
    CHECK(reply(**client).status == 200);
  }
  first->send(get("/again"));
  CHECK(reply(*first).status == 200);
  CHECK(ask(get("/new")).status == 200);
  loop.await([&] { return second->ended(); });
  CHECK_FALSE(first->ended());
  CHECK_FALSE(third->ended());
}

TEST_CASE_METHOD(Fixture, "A flood of new connections ended those of clients that ask now and then") {
  start({.connections = 8});
  std::vector<std::unique_ptr<RawClient>> honest;
  for (int count = 0; count < 4; ++count) {
    honest.push_back(connect());
    honest.back()->send(get("/"));
    CHECK(reply(*honest.back()).status == 200);
  }
  std::vector<std::unique_ptr<RawClient>> flood;
  for (int count = 0; count < 100; ++count) {
    flood.push_back(connect());
    flood.back()->send(count % 2 == 0 ? get("/", "X: half").substr(0, 40) : "POST / HTTP/1.1\r\n\r\n");
  }
  loop.await([&] { return std::count_if(flood.begin(), flood.end(), [](const auto& c) { return !c->ended(); }) <= 4; });
  for (const auto& client : honest) {
    CHECK_FALSE(client->ended());
    client->send(get("/again"));
    CHECK(reply(*client).status == 200);
  }
}

TEST_CASE_METHOD(Fixture, "Connections that asked once and idle leave half of the room to new ones") {
  start({.connections = 8});
  std::vector<std::unique_ptr<RawClient>> idle;
  for (int count = 0; count < 8; ++count) {
    idle.push_back(connect());
    idle.back()->send(get("/"));
    CHECK(reply(*idle.back()).status == 200);
  }
  // They are not sent away by each other before they have asked.
  std::vector<std::unique_ptr<RawClient>> fresh;
  for (int count = 0; count < 4; ++count) fresh.push_back(connect());
  loop.await([&] { return std::count_if(idle.begin(), idle.end(), [](const auto& c) { return c->ended(); }) == 4; });
  for (const auto& client : fresh) {
    client->send(get("/new"));
    CHECK(reply(*client).status == 200);
  }
}

TEST_CASE_METHOD(Fixture, "Clients that do not read their answers keep nobody out") {
  const auto text = std::make_shared<const std::string>(16U << 20U, 'y');
  handler = [&](const Request& request, const Responder& respond) {
    respond({200, {}, request.target == "/long" ? Body(text) : Body("short")});
  };
  start({.connections = 4});
  std::vector<std::unique_ptr<RawClient>> deaf;
  for (int count = 0; count < 8; ++count) {
    deaf.push_back(connect());
    deaf.back()->stop_reading();
    deaf.back()->send(get("/long") + get("/long"));
    loop.await([&] { return requests.size() == static_cast<std::size_t>(count) + 1; });
  }
  CHECK(server->connections() <= 4);
  CHECK(ask(get("/")).body == "short");
  CHECK(text.use_count() <= 1 + 4);
}

TEST_CASE_METHOD(Fixture, "A client that does not read its answer is let go after the idle time") {
  handler = [&](const Request&, const Responder& respond) { respond({200, {}, std::string(16U << 20U, 'y')}); };
  start({.idle = 500ms});
  const auto deaf = connect();
  deaf->stop_reading();
  deaf->send(get("/"));
  loop.await([&] { return requests.size() == 1; });
  loop.await([&] { return server->connections() == 0; });
}

TEST_CASE_METHOD(Fixture, "Requests that wait for their answers are left alone at the limit, and new ones wait") {
  std::vector<Responder> waiting;
  handler = [&](const Request& request, Responder respond) {
    if (request.target == "/new") return respond({200, {}, "new"});
    waiting.push_back(std::move(respond));
  };
  start({.connections = 2});
  const auto first = connect();
  const auto second = connect();
  first->send(get("/1"));
  second->send(get("/2"));
  loop.await([&] { return waiting.size() == 2; });
  const auto third = connect();
  third->send(get("/new"));
  loop.await([&] { return third->sent(); });
  CHECK(server->connections() == 2);
  waiting[1]({200, {}, "two"});
  CHECK(reply(*second).body == "two");
  CHECK(reply(*third).body == "new");
  waiting[0]({200, {}, "one"});
  CHECK(reply(*first).body == "one");
}

TEST_CASE_METHOD(Fixture, "Without descriptors new connections wait, and are served when there are some again") {
  start();
  const auto client = connect();
  rlimit before{};
  ::getrlimit(RLIMIT_NOFILE, &before);
  rlimit few = before;
  few.rlim_cur = 128;
  ::setrlimit(RLIMIT_NOFILE, &few);
  std::vector<int> taken;
  for (int descriptor = ::dup(0); descriptor >= 0; descriptor = ::dup(0)) taken.push_back(descriptor);
  client->send(get("/"));
  // Turns of the loop: one in which it is refused, and then those in which it is tried again.
  for (int turn = 0; turn < 5; ++turn) uv_run(loop.get(), UV_RUN_ONCE);
  CHECK(server->connections() == 0);
  CHECK(client->sent());
  for (const int descriptor : taken) ::close(descriptor);
  ::setrlimit(RLIMIT_NOFILE, &before);
  CHECK(reply(*client).status == 200);
}

TEST_CASE_METHOD(Fixture, "Stopping ends all connections, whatever they wait for") {
  const std::size_t before = open_descriptors();
  std::vector<Responder> waiting;
  handler = [&](const Request& request, Responder respond) {
    if (request.target == "/long") return respond({200, {}, std::string(16U << 20U, 'y')});
    if (request.target == "/kept") return respond({200, {}, "kept"});
    waiting.push_back(std::move(respond));
  };
  start();
  const std::size_t listening = open_descriptors();
  const std::string address = server->bound_addresses()[0];
  const auto idle = connect();
  const auto partial = connect();
  const auto kept = connect();
  const auto unanswered = connect();
  const auto answered = connect();
  const auto deaf = connect();
  partial->send("GET / HTT");
  kept->send(get("/kept"));
  reply(*kept);
  unanswered->send(get("/1"));
  loop.await([&] { return waiting.size() == 1; });
  answered->send(get("/2"));
  loop.await([&] { return waiting.size() == 2; });
  deaf->stop_reading();
  deaf->send(get("/long"));
  loop.await([&] { return requests.size() == 4 && server->connections() == 6; });

  waiting[1]({200, {}, "just before"});
  server->stop();
  CHECK(server->connections() == 0);
  CHECK(server->bound_addresses().empty());
  waiting[0]({200, {}, "too late"});
  for (const auto* client : {&idle, &partial, &kept, &unanswered, &answered}) {
    loop.await([&] { return (*client)->ended(); });
  }
  CHECK(unanswered->received().empty());
  server->stop();
  server.reset();
  waiting.clear();
  for (const auto* client : {&idle, &partial, &kept, &unanswered, &answered, &deaf}) (*client)->close();
  uv_run(loop.get(), UV_RUN_NOWAIT);
  CHECK(listening > before);
  CHECK(open_descriptors() <= before + 8);
  RawClient late(loop.get(), address);
  late.send(get("/"));
  loop.await([&] { return late.ended(); });
  CHECK(late.received().empty());
}

TEST_CASE_METHOD(Fixture, "A server leaves no descriptor and no file behind") {
  const TempDir dir;
  // The loop has its own descriptors from its first use on.
  uv_run(loop.get(), UV_RUN_NOWAIT);
  const std::size_t before = open_descriptors();
  for (int round = 0; round < 3; ++round) {
    start({.listen = {"127.0.0.1:0", "unix:" + (dir / "sock")}});
    CHECK(ask(get("/"), 0).status == 200);
    CHECK(ask(get("/"), 1).status == 200);
    server.reset();
    uv_run(loop.get(), UV_RUN_NOWAIT);
    CHECK(open_descriptors() == before);
    CHECK_FALSE(std::filesystem::exists(dir / "sock"));
  }
}

TEST_CASE_METHOD(Fixture, "Programs that we start inherit neither connections nor the server's other descriptors") {
  const std::set<int> before = descriptors();
  start();
  const auto client = connect();
  client->send(get("/"));
  CHECK(reply(*client).status == 200);
  std::size_t seen = 0;
  for (const int descriptor : descriptors()) {
    if (const int flags = before.count(descriptor) == 0 ? ::fcntl(descriptor, F_GETFD) : -1; flags >= 0) {
      ++seen;
      CHECK((flags & FD_CLOEXEC) != 0);
    }
  }
  CHECK(seen >= 4);  // Listener, both ends of a connection, libmicrohttpd's own.
}

TEST_CASE_METHOD(Fixture, "Requests that were spoilt at random are answered or closed, and others still served") {
  start({.idle = 50ms});
  std::mt19937 random(4100);
  const auto below = [&](std::size_t end) { return std::uniform_int_distribution<std::size_t>(0, end - 1)(random); };
  const std::string whole =
      "GET /agents/a%2Fb/resources?limit=5&source=session%3Ax HTTP/1.1\r\nHost: localhost:4100\r\nAuthorization: "
      "Bearer abc\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n";
  const std::string odd = "\0\r\n\t :%/?#&=;,\"\x7f\x80\xff-0"s;
  const auto spoil = [&] {
    std::string spoilt = whole;
    for (std::size_t change = 1 + below(4); change > 0 && !spoilt.empty(); --change) {
      const std::size_t at = below(spoilt.size());
      switch (below(4)) {
        case 0:
          spoilt[at] = odd[below(odd.size())];
          break;
        case 1:
          spoilt.insert(at, below(3) * 700 + 1, odd[below(odd.size())]);
          break;
        case 2:
          spoilt.erase(at, 1 + below(20));
          break;
        default:
          spoilt.insert(at, spoilt.substr(below(spoilt.size()), below(60)));
      }
    }
    return spoilt;
  };
  for (int round = 0; round < 30; ++round) {
    std::vector<std::pair<std::string, std::unique_ptr<RawClient>>> spoilt;
    for (int count = 0; count < 30; ++count) {
      spoilt.emplace_back(spoil(), connect());
      spoilt.back().second->send(spoilt.back().first);
    }
    CHECK(ask(get("/")).status == 200);
    for (const auto& [sent, client] : spoilt) {
      INFO(sent);
      const int status = reply(*client).status;
      CHECK(std::set<int>{0, 200, 400, 405, 413, 414, 421, 431, 505}.count(status) == 1);
    }
  }
}
