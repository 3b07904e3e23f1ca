#pragma once

#include <string_view>

// The agents' files and our own configuration. Each: see Target::run.
namespace fleetledger::fuzz {

void registry(std::string_view bytes);
void port_registry(std::string_view bytes);
void agent_config(std::string_view bytes);
void session_file(std::string_view bytes);
void sentinel_line(std::string_view bytes);
void health(std::string_view bytes);
void timestamp(std::string_view bytes);
void yaml_tree(std::string_view bytes);
void configuration(std::string_view bytes);
void values(std::string_view bytes);
void listen_address(std::string_view bytes);
void suggestion(std::string_view bytes);

}  // namespace fleetledger::fuzz
