#pragma once

#include <catch2/catch.hpp>
#include <optional>
#include <string>

#include "tests/e2e/host.h"
#include "tests/support/raw_client.h"
#include "tests/support/test_loop.h"

namespace fleetledger::e2e {

/// What the log says behind `key=` in the first line with it.
inline std::string logged(const test::Program& daemon, const std::string& key) {
  const auto text = daemon.errors();
  const auto at = text.find(" " + key + "=");
  return at == std::string::npos
             ? ""
             : text.substr(at + key.size() + 2, text.find_first_of(" \n", at + 1) - at - key.size() - 2);
}

/// A collector that serves.
struct Served {
  Host& host;
  test::Program daemon;
  std::string address;

  explicit Served(Host& on) : host(on), daemon((on.serve(), on.start({"run"}))) {
    REQUIRE(daemon.complains("event=listening"));
    address = logged(daemon, "address");
  }

  [[nodiscard]] std::string operators_token() const { return test::text_of_file(token_file()).substr(0, 64); }
  [[nodiscard]] std::string token_file() const { return logged(daemon, "file"); }

  [[nodiscard]] test::Reply get(const std::string& target, const std::string& token) const {
    test::TestLoop loop;
    test::RawClient client(loop.get(), address);
    client.send("GET " + target + " HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + token + "\r\n\r\n");
    std::optional<test::Reply> reply;
    loop.await([&] { return (reply = client.take_reply()).has_value(); });
    return *reply;
  }

  /// The value of the series that is written like this; -1 if there is none.
  [[nodiscard]] double metric(const std::string& series) const {
    for (const auto& line : test::lines_of(get("/metrics", operators_token()).body)) {
      if (line.starts_with(series + ' ')) {
        return std::stod(line.substr(series.size()));
      }
    }
    return -1;
  }
  /// Ticks that the collector says it has left out, over all agents.
  [[nodiscard]] double skipped() const {
    return metric("fleetledger_ticks_skipped_total{reason=\"late\"}") +
           metric("fleetledger_ticks_skipped_total{reason=\"running\"}");
  }
};

}  // namespace fleetledger::e2e
