// Stands for an agent's own server: listens on loopback, prints its port and then what it is sent, and answers each
// request as an agent's /health does to one who has a token.
#include <cstdio>

#include "tests/support/raw_server.h"

int main() {
  using namespace fleetledger::test;
  const RawServer server;
  std::printf("%d\n", server.port());
  std::fflush(stdout);
  for (int connection = 0; (connection = server.accept()) >= 0; ::close(connection)) {
    const auto request = receive_request(connection);
    std::fwrite(request.data(), 1, request.size(), stdout);
    std::fflush(stdout);
    send_all(connection,
             "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"
             R"({"status":"ok","memory":{"rss":120,"heapUsed":42,"heapTotal":60}})");
  }
}
