#pragma once

#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace fleetledger {

/// Why something did not work: what was being done, to what, and the reason, as one sentence for an operator.
struct Error {
  enum class Kind {
    failed,       ///< it went wrong; nothing says that trying again will help
    busy,         ///< somebody else holds it at the moment: try again soon
    unavailable,  ///< it cannot be used as it is (missing, refused, damaged) until somebody mends it
    invalid,      ///< what was given cannot be understood
  };

  std::string text;
  Kind kind = Kind::failed;
};

/// A T or the Error that prevented it. Must be looked at: dropping one does not compile.
template <typename T>
class [[nodiscard]] Result : public tl::expected<T, Error> {
 public:
  using tl::expected<T, Error>::expected;
};

/// `return fail("open x: no such file");`
[[nodiscard]] inline tl::unexpected<Error> fail(std::string text, Error::Kind kind = Error::Kind::failed) {
  return tl::unexpected<Error>(Error{std::move(text), kind});
}

/// Hands an error on from one Result to another: `if (!x) return fail(x.error());`
[[nodiscard]] inline tl::unexpected<Error> fail(Error error) { return tl::unexpected<Error>(std::move(error)); }

}  // namespace fleetledger
