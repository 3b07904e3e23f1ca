#pragma once

#include <span>
#include <string>
#include <string_view>

namespace fleetledger {

/// The known word that `word` was probably meant to be: few letters wrong, missing, too many or swapped.
/// Empty if none is near. Of equally near ones the first.
[[nodiscard]] std::string_view nearest_word(std::string_view word, std::span<const std::string_view> known);

/// `; did you mean "known"?`, or nothing if none is near.
[[nodiscard]] std::string did_you_mean(std::string_view word, std::span<const std::string_view> known);

}  // namespace fleetledger
