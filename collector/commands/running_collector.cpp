#include "collector/commands/running_collector.h"

#include "collector/commands/state_folder.h"
#include "collector/http/client.h"
#include "collector/sources/peer_owner.h"
#include "collector/token_file.h"
#include "config/json.h"
#include "core/agent.h"

namespace fleetledger {
namespace {

constexpr std::size_t kLargestAnswer = std::size_t{16} << 20U;
constexpr Micros kTimeLimit = std::chrono::seconds{1};

/// Where one connects to an address that is listened on: all addresses of the host can be reached by loopback.
std::string reachable(const std::string& address) {
  for (const auto& [all, loopback] : {std::pair{"0.0.0.0:", "127.0.0.1:"}, std::pair{"[::]:", "[::1]:"}}) {
    if (address.starts_with(all)) {
      return loopback + address.substr(std::string_view(all).size());
    }
  }
  return address;
}

}  // namespace

Result<std::string> ask_running_collector(const Setup& setup, const std::string& target) {
  const auto& http = setup.config.http;
  if (!http.enabled || http.listen.empty()) {
    return fail("http is switched off");
  }
  const auto holder = last_lock_holder(setup.places.state);
  if (!holder) {
    return fail("no collector runs");
  }
  // Nobody may look at the collector's descriptors, so it says itself which sockets are its own, in a file of its
  // user's; that it is alive is proven by its start.
  const auto prove = [&](const std::string& address) -> Result<void> {
    if (!is_still(holder->process, Micros{0})) {
      return fail("who listens there is another process");
    }
    return prove_listener(address, holder->listeners);
  };
  const auto token = read_token_file(http.operator_token_file, "the operator's token");
  if (!token) {
    return fail(token.error());
  }
  if (!*token) {
    return fail("there is no operator's token in " + http.operator_token_file);
  }
  Error why;
  for (const auto& address : http.listen) {
    const bool tcp = !address.starts_with("unix:");
    if (const auto proven = tcp ? prove(address) : Result<void>{}; !proven) {
      why = {address + ": " + proven.error().text, proven.error().kind};
      if (why.kind != Error::Kind::unavailable) {
        break;
      }
      continue;
    }
    const auto answer =
        http_get({.address = reachable(address),
                  .target = target,
                  .headers = {{"Authorization", "Bearer " + (*token)->reveal()}},
                  .largest_body = kLargestAnswer,
                  .time_limit = kTimeLimit,
                  .before_sending = [&](int socket, MonotonicTime deadline) {
                    return tcp ? prove(address) : prove_peer_owner(socket, holder->process.pid, deadline);
                  }});
    if (answer && answer->status == 200) {
      return answer->body;
    }
    why = answer ? Error{"it does not take the operator's token"} : answer.error();
    if (answer && answer->status != 401 && answer->status != 403) {
      why.text = "it answers with status " + std::to_string(answer->status);
    }
    why.text = address + ": " + why.text;
    if (answer || why.kind != Error::Kind::unavailable) {
      break;
    }
  }
  return fail(why);
}

std::map<std::string, std::string> unavailable_agents(const Setup& setup) {
  std::map<std::string, std::string> unavailable;
  const auto answer = ask_running_collector(setup, "/agents");
  const auto json = answer ? JsonDocument::parse(*answer) : Result<JsonDocument>(fail(answer.error()));
  if (!json) {
    return unavailable;
  }
  const auto agents = json->root().member("agents");
  for (std::size_t i = 0; i < agents.size(); ++i) {
    const auto agent = agents.element(i);
    if (agent.member("state").text() == to_string(AgentState::unavailable)) {
      unavailable.emplace(agent.member("id").text().value_or(""), agent.member("reason").text().value_or(""));
    }
  }
  return unavailable;
}

}  // namespace fleetledger
