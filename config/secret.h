#pragma once

#include <string>
#include <utility>

namespace fleetledger {

/// Text that must not be shown. It does not print and does not turn into a string by itself: who needs the text says
/// reveal(), so that all places which see a secret are found by one search.
class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string text) : text_(std::move(text)) {}

  [[nodiscard]] bool empty() const { return text_.empty(); }
  [[nodiscard]] const std::string& reveal() const { return text_; }

  /// For noticing a change. Takes a time that depends on the texts: not for checking what a caller sent.
  friend bool operator==(const Secret&, const Secret&) = default;

 private:
  std::string text_;
};

/// An agent's `authToken`.
struct AgentToken {
  enum class Kind {
    absent,     ///< none, or one of a wrong type
    readable,   ///< `secret` is it
    encrypted,  ///< kept in a store of the agent's that we cannot read
  };

  Kind kind = Kind::absent;
  Secret secret;  ///< empty unless readable

  friend bool operator==(const AgentToken&, const AgentToken&) = default;
};

}  // namespace fleetledger
