#include "collector/discovery/tmux_name.h"

#include <cctype>

namespace fleetledger {
namespace {

void append_control(std::string& result, char c) {
  constexpr std::string_view kCodes = "\a\b\t\n\v\f\r";
  constexpr std::string_view kLetters = "abtnvfr";
  result += '\\';
  if (const auto at = kCodes.find(c); at != std::string_view::npos) {
    result += kLetters[at];
    return;
  }
  const auto code = static_cast<unsigned char>(c);
  for (const unsigned shift : {6U, 3U, 0U}) result += static_cast<char>('0' + ((code >> shift) & 7U));
}

bool starts_name(char c) { return c == '_' || c == '{' || std::isalpha(static_cast<unsigned char>(c)) != 0; }

}  // namespace

std::string name_in_tmux(std::string_view name) {
  std::string result;
  for (std::size_t at = 0; at < name.size(); ++at) {
    const char c = name[at];
    if (c == '.' || c == ':') {
      result += '_';
    } else if (c == '\\' || (c == '$' && at + 1 < name.size() && starts_name(name[at + 1]))) {
      (result += '\\') += c;
    } else if (static_cast<unsigned char>(c) < 0x20U || c == 0x7F) {
      append_control(result, c);
    } else {
      result += c;
    }
  }
  return result;
}

}  // namespace fleetledger
