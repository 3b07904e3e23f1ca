#include "tests/e2e/generated_fleet.h"

#include <csignal>
#include <stdexcept>

namespace fleetledger::e2e {
namespace {

std::vector<std::string> command(const std::string& root, const std::vector<std::string>& arguments) {
  std::vector<std::string> all{FLEET_PROGRAM, "start", "--with-parent", "--root", root};
  all.insert(all.end(), arguments.begin(), arguments.end());
  return all;
}

}  // namespace

GeneratedFleet::GeneratedFleet(Host& host, const std::vector<std::string>& arguments)
    : root_(host / "fleet"), generator_(host.start_program(command(root_, arguments))) {
  const bool ready = test::await([&] { return !generator_.lines().empty() || generator_.ended(); });
  if (!ready || generator_.lines().empty()) {
    throw std::runtime_error("the fleet does not start: " + generator_.errors());
  }
  description_ = parse_json(test::text_of_file(root_ + "/fleet.json"));
  host.use(description_["home"].text, description_["tmuxTmpdir"].text);
}

GeneratedFleet::~GeneratedFleet() { end(); }

void GeneratedFleet::end() {
  if (!generator_.ended()) {
    generator_.signal(SIGTERM);
    test::await([&] { return generator_.ended(); });
  }
}

}  // namespace fleetledger::e2e
