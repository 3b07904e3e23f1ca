#pragma once

#include <string_view>

// What comes and goes over HTTP, and what is shown. Each: see Target::run.
namespace fleetledger::fuzz {

void http_target(std::string_view bytes);
void http_parameters(std::string_view bytes);
void host_name(std::string_view bytes);
void http_answer(std::string_view bytes);
void cursor(std::string_view bytes);
void api(std::string_view bytes);
void json_writer(std::string_view bytes);
void metrics(std::string_view bytes);
void printable_text(std::string_view bytes);
void top(std::string_view bytes);

}  // namespace fleetledger::fuzz
