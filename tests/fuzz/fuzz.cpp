#include "tests/fuzz/fuzz.h"

#include <algorithm>

namespace fleetledger::fuzz {

const Target* find_target(std::string_view name) {
  const auto all = targets();
  const auto found = std::find_if(all.begin(), all.end(), [&](const Target& target) { return target.name == name; });
  return found == all.end() ? nullptr : &*found;
}

void expect(bool holds, std::string_view what) {
  if (!holds) {
    throw Finding{std::string(what)};
  }
}

void expect_message(std::string_view text) {
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  expect(!text.empty() && std::none_of(text.begin(), text.end(), is_control), "a message is one printable line");
}

std::string_view Input::part() {
  const auto end = std::min(rest_.find('\0'), rest_.size());
  const auto taken = rest_.substr(0, end);
  rest_.remove_prefix(std::min(end + 1, rest_.size()));
  return taken;
}

std::uint8_t Input::byte() {
  if (rest_.empty()) {
    return 0;
  }
  const auto taken = static_cast<std::uint8_t>(rest_.front());
  rest_.remove_prefix(1);
  return taken;
}

std::uint64_t Input::number() {
  std::uint64_t value = 0;
  for (int i = 0; i < 8; ++i) {
    value = value << 8U | byte();
  }
  return value;
}

}  // namespace fleetledger::fuzz
