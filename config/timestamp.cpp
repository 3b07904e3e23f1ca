#include "config/timestamp.h"

#include <chrono>

#include "config/json.h"

namespace fleetledger {
namespace {

constexpr WallTime kEnd = std::chrono::sys_days{std::chrono::year{10'000} / 1 / 1};

/// Takes exactly `digits` digits off the front of `text`.
std::optional<unsigned> take_number(std::string_view& text, std::size_t digits) {
  if (text.size() < digits) return std::nullopt;
  unsigned number = 0;
  for (const char c : text.substr(0, digits)) {
    if (c < '0' || c > '9') return std::nullopt;
    number = number * 10 + static_cast<unsigned>(c - '0');
  }
  text.remove_prefix(digits);
  return number;
}

bool take(std::string_view& text, char expected) {
  if (text.empty() || text.front() != expected) return false;
  text.remove_prefix(1);
  return true;
}

/// `.` and one to nine digits, or nothing at all: as milliseconds.
std::optional<std::chrono::milliseconds> take_fraction(std::string_view& text) {
  if (!take(text, '.')) return std::chrono::milliseconds{0};
  int ms = 0;
  int digits = 0;
  while (!text.empty() && text.front() >= '0' && text.front() <= '9' && digits < 9) {
    if (digits < 3) ms = ms * 10 + (text.front() - '0');
    text.remove_prefix(1);
    ++digits;
  }
  if (digits == 0) return std::nullopt;
  for (int missing = digits; missing < 3; ++missing) ms *= 10;
  return std::chrono::milliseconds{ms};
}

}  // namespace

std::optional<WallTime> parse_iso_timestamp(std::string_view text) {
  const auto year = take_number(text, 4);
  if (!year || *year < 1970 || !take(text, '-')) return std::nullopt;
  const auto month = take_number(text, 2);
  if (!month || !take(text, '-')) return std::nullopt;
  const auto day = take_number(text, 2);
  if (!day || !take(text, 'T')) return std::nullopt;
  const auto hour = take_number(text, 2);
  if (!hour || *hour > 23 || !take(text, ':')) return std::nullopt;
  const auto minute = take_number(text, 2);
  if (!minute || *minute > 59 || !take(text, ':')) return std::nullopt;
  const auto second = take_number(text, 2);
  if (!second || *second > 59) return std::nullopt;
  const auto fraction = take_fraction(text);
  if (!fraction || (text != "Z" && text != "+00:00")) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year{static_cast<int>(*year)}, std::chrono::month{*month},
                                         std::chrono::day{*day}};
  if (!date.ok()) return std::nullopt;
  return WallTime{std::chrono::sys_days{date}} + std::chrono::hours{*hour} + std::chrono::minutes{*minute} +
         std::chrono::seconds{*second} + *fraction;
}

std::optional<WallTime> timestamp_from_ms(std::int64_t ms) {
  const WallTime time{std::chrono::milliseconds{ms}};
  if (time < WallTime{} || time >= kEnd) return std::nullopt;
  return time;
}

std::optional<WallTime> read_timestamp(const JsonValue& value) {
  if (const auto text = value.text()) return parse_iso_timestamp(*text);
  if (const auto ms = value.integer()) return timestamp_from_ms(*ms);
  return std::nullopt;
}

}  // namespace fleetledger
