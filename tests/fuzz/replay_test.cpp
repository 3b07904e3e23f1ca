// Every build replays what is in corpus/, also one that cannot fuzz.

#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "tests/fuzz/fuzz.h"

using namespace fleetledger::fuzz;
namespace files = std::filesystem;

namespace {

const files::path kFolder = std::string(FLEETLEDGER_SOURCE_DIR) + "/tests/fuzz";

std::vector<files::path> entries(const files::path& folder) {
  std::vector<files::path> found;
  for (const auto& entry : files::directory_iterator(folder)) {
    found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

std::string content(const files::path& file) {
  std::ifstream stream(file, std::ios::binary);
  REQUIRE(stream);
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

/// What was found; empty: nothing.
std::string finding_of(const Target& target, std::string_view bytes) {
  try {
    target.run(bytes);
  } catch (const Finding& finding) {
    return finding.what;
  }
  return "";
}

}  // namespace

TEST_CASE("every folder of inputs and every dictionary belongs to a target") {
  for (const auto& folder : entries(kFolder / "corpus")) {
    INFO(folder);
    CHECK(find_target(folder.filename().string()) != nullptr);
  }
  for (const auto& dictionary : entries(kFolder / "dictionaries")) {
    INFO(dictionary);
    CHECK(find_target(dictionary.stem().string()) != nullptr);
  }
}

TEST_CASE("what must hold of a target does, for each of its inputs and each beginning of one") {
  for (const auto& target : targets()) {
    const auto folder = kFolder / "corpus" / target.name;
    INFO(folder);
    REQUIRE(files::is_directory(folder));
    const auto inputs = entries(folder);
    CHECK_FALSE(inputs.empty());
    for (const auto& input : inputs) {
      const auto bytes = content(input);
      INFO(input);
      CHECK(finding_of(target, bytes) == "");
      const auto step = std::max<std::size_t>(bytes.size() / 100, 1);  // of a long input a hundred beginnings
      for (std::size_t size = 0; size < bytes.size(); size += step) {
        INFO("its first " << size << " bytes");
        CHECK(finding_of(target, std::string_view(bytes).substr(0, size)) == "");
      }
    }
  }
}

TEST_CASE("what does not hold is told") {
  CHECK_THROWS_AS(expect(false, "never"), Finding);
  CHECK_THROWS_AS(expect_message("two\nlines"), Finding);
  CHECK_NOTHROW(expect_message("caf\xc3\xa9"));
}
