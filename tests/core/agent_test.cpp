#include "core/agent.h"

#include <catch2/catch.hpp>

using namespace fleetledger;

TEST_CASE("an agent's id is its name and eight digits of its path's hash") {
  // FNV-1a 64 of "" is cbf29ce484222325, of "a" af63dc4c8601ec8c (published test vectors).
  CHECK(agent_id("echo", "") == "echo-cbf29ce4");
  CHECK(agent_id("echo", "a") == "echo-af63dc4c");
}

TEST_CASE("two agents of one name have different ids") {
  CHECK(agent_id("echo", "/home/a/echo") != agent_id("echo", "/home/b/echo"));
}

TEST_CASE("whatever an agent is called, its id can stand in a URL") {
  CHECK(agent_id("a b/<c>\xC3\xA9", "") == "a-b--c----cbf29ce4");
  CHECK(agent_id(std::string(1000, 'x'), "").size() == 64 + 9);
}

TEST_CASE("the state of an agent follows its gate and its sessions") {
  Agent agent;
  CHECK(agent.state() == AgentState::off);
  agent.gate.sampling = true;
  CHECK(agent.state() == AgentState::idle);
  agent.live_sessions.emplace_back();
  CHECK(agent.state() == AgentState::sampling);
  agent.gate.ledger = false;
  CHECK(agent.state() == AgentState::disabled);
  agent.config_readable = false;
  CHECK(agent.state() == AgentState::unreadable);
}
