#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace fleetledger::fuzz {

/// One reader of foreign text, or one writer that is handed some, with what must hold of it whatever the bytes are.
struct Target {
  std::string_view name;  ///< also that of its folder in corpus/ and of its dictionary, if it has one
  /// Throws Finding where something does not hold. Keeps nothing from call to call.
  void (*run)(std::string_view bytes);
};

/// All of them. The table is in targets.cpp; a new target is a function there, a row and a folder of inputs.
[[nodiscard]] std::span<const Target> targets();
/// nullptr if there is none of this name.
[[nodiscard]] const Target* find_target(std::string_view name);

/// Something does not hold: why.
struct Finding {
  std::string what;
};

/// Throws a Finding unless it holds.
void expect(bool holds, std::string_view what);
/// Of what is shown to people or logged as one line: not empty, no control characters.
void expect_message(std::string_view text);

/// Foreign bytes cut into parts.
class Input {
 public:
  explicit Input(std::string_view bytes) : rest_(bytes) {}

  /// Up to the next NUL, which is taken too; all that is left if there is none.
  std::string_view part();
  /// 0 at the end.
  std::uint8_t byte();
  std::uint64_t number();  ///< eight bytes
  [[nodiscard]] bool empty() const { return rest_.empty(); }

 private:
  std::string_view rest_;
};

}  // namespace fleetledger::fuzz
