#include "collector/sources/net_table.h"

#include <catch2/catch.hpp>
#include <string>

using namespace fleetledger;

namespace {

std::string line_with(const std::string& ends, const std::string& owner, const std::string& inode) {
  return "   1: " + ends + " 01 00000000:00000000 00:00000000 00000000  " + owner + "        0 " + inode +
         " 1 0000000000000000 20 4 30 10 -1";
}

const std::string kEnds = "0100007F:1004 0100007F:C350";

}  // namespace

TEST_CASE("a line of the kernel's table of connections is read") {
  const auto line = line_with(kEnds, "1000", "244609");
  const auto socket = parse_net_socket(line);
  REQUIRE(socket);
  CHECK(socket->local == "0100007F:1004");
  CHECK(socket->remote == "0100007F:C350");
  CHECK(socket->state == "01");
  CHECK(socket->owner == 1000);
  CHECK(socket->inode == 244'609);
  CHECK(parse_net_socket(
      line_with("00000000000000000000000001000000:1004 00000000000000000000000001000000:C350", "0", "0")));
}

TEST_CASE("what is no such line is not read") {
  CHECK_FALSE(parse_net_socket(""));
  CHECK_FALSE(parse_net_socket(
      "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode"));
  CHECK_FALSE(parse_net_socket(line_with(kEnds, "-1", "1")));
  CHECK_FALSE(parse_net_socket(line_with(kEnds, "1000", "-1")));
  CHECK_FALSE(parse_net_socket(line_with(kEnds, "1000", "99999999999999999999")));
  CHECK_FALSE(parse_net_socket(line_with(kEnds, "4294967296", "1")));
  CHECK_FALSE(parse_net_socket(line_with("0100007F:1004 0100007F", "1000", "1")));
  CHECK_FALSE(parse_net_socket(line_with("0100007:1004 0100007F:C350", "1000", "1")));
}
