#pragma once

#include <string_view>

// What the host and its programs print. Each: see Target::run.
namespace fleetledger::fuzz {

void linux_ps(std::string_view bytes);
void macos_ps(std::string_view bytes);
void ps_history(std::string_view bytes);
void proc_stat(std::string_view bytes);
void tmux_panes(std::string_view bytes);
void tmux_name(std::string_view bytes);
void environment(std::string_view bytes);
void net_socket(std::string_view bytes);

}  // namespace fleetledger::fuzz
