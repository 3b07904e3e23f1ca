#include "collector/api/parameters.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>

namespace fleetledger {
namespace {

constexpr double kNotANumber = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// What JavaScript calls white space, in UTF-8.
constexpr std::array<std::string_view, 25> kSpaces{" ",      "\t",     "\n",     "\r",     "\v",     "\f",     "\u00A0",
                                                   "\u1680", "\u2000", "\u2001", "\u2002", "\u2003", "\u2004", "\u2005",
                                                   "\u2006", "\u2007", "\u2008", "\u2009", "\u200A", "\u2028", "\u2029",
                                                   "\u202F", "\u205F", "\u3000", "\uFEFF"};

std::string_view without_spaces_around(std::string_view text) {
  for (bool more = true; more;) {
    more = false;
    for (const auto space : kSpaces) {
      if (text.starts_with(space)) {
        text.remove_prefix(space.size());
        more = true;
      }
      if (text.ends_with(space)) {
        text.remove_suffix(space.size());
        more = true;
      }
    }
  }
  return text;
}

/// Digits of a base; more than a double can tell apart lose their last places, as there.
double digits_value(std::string_view digits, int base) {
  double value = 0;
  for (const char* at = digits.data(); at != digits.data() + digits.size(); ++at) {
    int digit = base;
    std::from_chars(at, at + 1, digit, base);
    if (digit >= base) {
      return kNotANumber;
    }
    value = value * base + digit;
  }
  return digits.empty() ? kNotANumber : value;
}

double decimal_value(std::string_view text) {
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) {
    text.remove_prefix(1);
  }
  double value = kNotANumber;
  const bool plain = !text.empty() && text.find_first_not_of("0123456789.eE+-") == std::string_view::npos;
  if (text == "Infinity") {
    value = kInfinity;
  } else if (plain && text.front() != '-') {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (end != text.data() + text.size() || error == std::errc::invalid_argument) {
      return kNotANumber;
    }
    if (error == std::errc::result_out_of_range) {
      // Too large or too near to zero: the sign of the exponent tells.
      const auto exponent = text.find_first_of("eE");
      value = exponent != std::string_view::npos && text.substr(exponent + 1).starts_with('-') ? 0 : kInfinity;
    }
  }
  return negative ? -value : value;
}

}  // namespace

double javascript_number(std::string_view text) {
  text = without_spaces_around(text);
  if (text.empty()) {
    return 0;
  }
  if (text.size() > 1 && text[0] == '0') {
    const auto digits = text.substr(2);
    switch (text[1]) {
      case 'x':
      case 'X':
        return digits_value(digits, 16);
      case 'o':
      case 'O':
        return digits_value(digits, 8);
      case 'b':
      case 'B':
        return digits_value(digits, 2);
      default:
        break;
    }
  }
  return decimal_value(text);
}

double positive_number(const Query& query, std::string_view name, double otherwise) {
  const auto* text = query.only(name);
  const double number = text == nullptr ? kNotANumber : javascript_number(*text);
  return std::isfinite(number) && number > 0 ? number : otherwise;
}

std::int64_t limited_count(const Query& query, std::string_view name, std::int64_t otherwise, std::int64_t most) {
  const double number = positive_number(query, name, 0);
  if (number < 1) {
    return otherwise;
  }
  return number >= static_cast<double>(most) ? most : static_cast<std::int64_t>(number);
}

std::optional<std::string> text_value(const Query& query, std::string_view name) {
  const auto* text = query.only(name);
  return text == nullptr || text->empty() ? std::nullopt : std::optional{*text};
}

}  // namespace fleetledger
