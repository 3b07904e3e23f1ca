#include "collector/sources/net_table.h"

#include <algorithm>
#include <charconv>

namespace fleetledger {
namespace {

std::string_view take_word(std::string_view& rest) {
  rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
  const auto word = rest.substr(0, rest.find(' '));
  rest.remove_prefix(word.size());
  return word;
}

template <typename Number>
bool read(std::string_view digits, Number& number) {
  const auto* end = digits.data() + digits.size();
  const auto [at, error] = std::from_chars(digits.data(), end, number);
  return error == std::errc() && at == end;
}

/// 8 or 32 hexadecimal digits, a colon, four more.
bool is_end(std::string_view text) {
  const auto colon = text.find(':');
  return (colon == 8 || colon == 32) && text.size() == colon + 5 &&
         text.find_first_not_of("0123456789ABCDEF:") == std::string_view::npos && text.rfind(':') == colon;
}

}  // namespace

std::optional<NetSocket> parse_net_socket(std::string_view line) {
  // sl, local, remote, state, tx:rx, timer:when, retransmits, uid, timeout, inode
  NetSocket socket;
  take_word(line);
  socket.local = take_word(line);
  socket.remote = take_word(line);
  socket.state = take_word(line);
  for (int skipped = 0; skipped < 3; ++skipped) {
    take_word(line);
  }
  const auto owner = take_word(line);
  take_word(line);
  if (!is_end(socket.local) || !is_end(socket.remote) || !read(owner, socket.owner) ||
      !read(take_word(line), socket.inode)) {
    return std::nullopt;
  }
  return socket;
}

}  // namespace fleetledger
