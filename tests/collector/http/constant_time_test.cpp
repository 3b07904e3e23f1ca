#include "collector/http/constant_time.h"

#include <catch2/catch.hpp>
#include <string>

using namespace fleetledger;
using namespace std::string_literals;

TEST_CASE("A secret equals itself and nothing else") {
  const std::string secret = "0123456789abcdef";
  CHECK(equal_in_constant_time(secret, secret));
  CHECK_FALSE(equal_in_constant_time("", secret));
  CHECK_FALSE(equal_in_constant_time(secret + secret, secret));
  CHECK_FALSE(equal_in_constant_time(secret + "0", secret));
  CHECK_FALSE(equal_in_constant_time(secret + "\0"s, secret));
  CHECK_FALSE(equal_in_constant_time(secret.substr(0, 15), secret));
  for (std::size_t at = 0; at < secret.size(); ++at) {
    for (const int bit : {0, 7}) {
      std::string other = secret;
      other[at] = static_cast<char>(other[at] ^ (1 << bit));
      CHECK_FALSE(equal_in_constant_time(other, secret));
    }
  }
}

TEST_CASE("Nothing equals a secret that is not there") {
  CHECK_FALSE(equal_in_constant_time("", ""));
  CHECK_FALSE(equal_in_constant_time("a", ""));
}
