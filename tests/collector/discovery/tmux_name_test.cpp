#include "collector/discovery/tmux_name.h"

#include <catch2/catch.hpp>
#include <string>
#include <utility>

using fleetledger::name_in_tmux;

TEST_CASE("a session is called in tmux as tmux 3.3a shows it") {
  // Seen with `tmux new-session -d -s NAME` and `tmux -u list-panes -a -F '#{session_name}'`.
  for (const auto& [name, shown] : {std::pair<std::string, std::string>{"a b)", "a b)"},
                                    {"a.b:c", "a_b_c"},
                                    {"a\nb", "a\\nb"},
                                    {"t\tx", "t\\tx"},
                                    {"a\\b", "a\\\\b"},
                                    {"a$b", "a\\$b"},
                                    {"\x01q", "\\001q"},
                                    {"\x7Fz", "\\177z"},
                                    {"\xC3\xA9 x", "\xC3\xA9 x"},
                                    {"$", "$"},
                                    {"", ""}}) {
    CHECK(name_in_tmux(name) == shown);
  }
}
