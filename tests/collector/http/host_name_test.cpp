#include "collector/http/host_name.h"

#include <catch2/catch.hpp>

using namespace fleetledger;

TEST_CASE("Loopback names are ours, with and without a port") {
  const auto host =
      GENERATE(values<std::string>({"localhost", "LocalHost:4100", "127.0.0.1", "127.0.0.1:4100", "127.255.0.9:1",
                                    "[::1]", "[::1]:4100", "[0:0:0:0:0:0:0:1]:80", "localhost:"}));
  INFO(host);
  CHECK(is_our_host(host, {}));
}

TEST_CASE("Other names are not ours, however much they look like it") {
  const auto host = GENERATE(values<std::string>({"",
                                                  ":4100",
                                                  "example.org",
                                                  "localhost.example.org",
                                                  "127.0.0.1.example.org",
                                                  "example.org:4100",
                                                  "128.0.0.1",
                                                  "0.0.0.0",
                                                  "[::]",
                                                  "[::2]:4100",
                                                  "::1",
                                                  "[::1",
                                                  "[::1]4100",
                                                  "[::1].example.org",
                                                  "127.0.0.1:4100:1",
                                                  "localhost:http",
                                                  "localhost:-1",
                                                  "localhost:4100000",
                                                  "localhost@example.org",
                                                  "127.1",
                                                  "2130706433",
                                                  "0x7f.0.0.1",
                                                  "localhost/",
                                                  " localhost",
                                                  "[localhost]",
                                                  "[127.0.0.1]",
                                                  "[::ffff:127.0.0.1]",
                                                  "[]",
                                                  std::string("127.0.0.1\0.example.org", 22)}));
  INFO(host);
  CHECK_FALSE(is_our_host(host, {"meter.example.net"}));
}

TEST_CASE("A configured name is ours, in any case and with any port") {
  const std::vector<std::string> allowed{"Meter.example.net", "[2001:db8::1]"};
  CHECK(is_our_host("meter.example.NET", allowed));
  CHECK(is_our_host("meter.example.net:8443", allowed));
  CHECK(is_our_host("[2001:db8::1]:4100", allowed));
  CHECK(is_our_host("localhost", allowed));
  CHECK_FALSE(is_our_host("other.example.net", allowed));
  CHECK_FALSE(is_our_host("meter.example.net.", allowed));
}
