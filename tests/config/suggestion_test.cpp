#include "config/suggestion.h"

#include <array>
#include <catch2/catch.hpp>

namespace fleetledger {
namespace {

constexpr std::array<std::string_view, 5> kKnown{"scope", "sample_interval", "ps", "tmux", "timeout"};

TEST_CASE("a word with a slip of the hand is recognised") {
  CHECK(nearest_word("scop", kKnown) == "scope");
  CHECK(nearest_word("scoope", kKnown) == "scope");
  CHECK(nearest_word("scpoe", kKnown) == "scope");
  CHECK(nearest_word("sample_intervall", kKnown) == "sample_interval");
  CHECK(nearest_word("sample-interval", kKnown) == "sample_interval");
  CHECK(nearest_word("sampleInterval", kKnown) == "sample_interval");
  CHECK(nearest_word("tumx", kKnown) == "tmux");
  CHECK(nearest_word("SCOPE", kKnown) == "scope");
}

TEST_CASE("a swap of neighbours is one slip, not two") { CHECK(nearest_word("sp", kKnown) == "ps"); }

TEST_CASE("a word that resembles none gets no suggestion") {
  CHECK(nearest_word("colour", kKnown).empty());
  CHECK(nearest_word("", kKnown).empty());
  CHECK(nearest_word("x", kKnown).empty());
  CHECK(nearest_word("x", std::array<std::string_view, 1>{"y"}).empty());
  CHECK(nearest_word(std::string(1 << 20, 's'), kKnown).empty());
  CHECK(nearest_word("scope", {}).empty());
}

TEST_CASE("a suggestion reads like a question, and none like nothing") {
  CHECK(did_you_mean("scop", kKnown) == R"(; did you mean "scope"?)");
  CHECK(did_you_mean("colour", kKnown).empty());
}

}  // namespace
}  // namespace fleetledger
