#include "collector/http/answer_reader.h"

#include <catch2/catch.hpp>
#include <string>

using namespace fleetledger;

namespace {

constexpr std::size_t kLargestBody = 10;

/// The answer in pieces of so many bytes, and its end.
Result<std::optional<HttpAnswer>> read_in_pieces(std::string_view text, std::size_t piece) {
  HttpAnswerReader reader(kLargestBody);
  for (std::size_t at = 0; at < text.size(); at += piece) {
    auto answer = reader.add(text.substr(at, piece));
    if (!answer || *answer) {
      return answer;
    }
  }
  return reader.end();
}

std::string head_of(std::size_t size) {
  const std::string begin = "HTTP/1.0 200 OK\r\nX: ";
  return begin + std::string(size - begin.size(), 'x') + "\r\n\r\n";
}

}  // namespace

TEST_CASE("what follows an answer does not make it too long, however it is cut") {
  const auto text = "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok" + std::string(100, 'x');
  for (const std::size_t piece : {1U, 7U, 1000U}) {
    const auto answer = read_in_pieces(text, piece);
    REQUIRE(answer);
    REQUIRE(*answer);
    CHECK((*answer)->status == 200);
    CHECK((*answer)->body == "ok");
  }
}

TEST_CASE("how long a head may be does not depend on how it is cut") {
  const std::size_t most = std::size_t{16} << 10U;
  for (const std::size_t piece : {1U, 1000U, 100'000U}) {
    CHECK(read_in_pieces(head_of(most), piece));
    CHECK_FALSE(read_in_pieces(head_of(most + 1), piece));
    CHECK_FALSE(read_in_pieces(std::string(most + 4, 'x'), piece));
  }
}

TEST_CASE("without a length a body ends with the connection, and a longer one than may be is refused") {
  const std::string head = "HTTP/1.0 200 OK\r\n\r\n";
  CHECK((*read_in_pieces(head + "0123456789", 3))->body == "0123456789");
  CHECK_FALSE(read_in_pieces(head + "0123456789x", 3));
  CHECK_FALSE(read_in_pieces("HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nok", 3));
  CHECK_FALSE(read_in_pieces("HTTP/1.0 200 OK\r\nContent-Length: 11\r\n\r\n", 3));
}
