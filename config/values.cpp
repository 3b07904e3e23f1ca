#include "config/values.h"

#include <array>
#include <charconv>
#include <cstdint>
#include <ctime>
#include <limits>
#include <span>

namespace fleetledger {
namespace {

struct Unit {
  std::string_view name;
  std::int64_t factor;
};

// Smallest first.
constexpr std::array kDurationUnits{Unit{"ms", 1}, Unit{"s", 1'000}, Unit{"m", 60'000}, Unit{"h", 3'600'000},
                                    Unit{"d", 86'400'000}};
constexpr std::array kSizeUnits{Unit{"B", 1}, Unit{"KiB", 1LL << 10}, Unit{"MiB", 1LL << 20}, Unit{"GiB", 1LL << 30},
                                Unit{"TiB", 1LL << 40}};

std::string names(std::span<const Unit> units) {
  std::string list;
  for (const Unit& unit : units) list.append(list.empty() ? "" : ", ").append(unit.name);
  return list;
}

Result<std::int64_t> parse(std::string_view text, std::span<const Unit> units, std::string_view what) {
  const auto invalid = [&](const std::string& why) {
    return fail(quoted(text) + " is no " + std::string(what) + ": " + why, Error::Kind::invalid);
  };
  std::size_t digits = text.find_first_not_of("0123456789");
  if (digits == std::string_view::npos) digits = text.size();
  if (digits == 0) return invalid("it starts with digits and ends with a unit (" + names(units) + ")");
  std::int64_t number = 0;
  const bool too_large = std::from_chars(text.data(), text.data() + digits, number).ec != std::errc{};

  const std::string_view name = text.substr(digits);
  for (const Unit& unit : units) {
    if (unit.name != name) continue;
    if (too_large || number > std::numeric_limits<std::int64_t>::max() / unit.factor) return invalid("too large");
    return number * unit.factor;
  }
  return invalid((name.empty() ? "the unit is missing (" : "the unit is one of (") + names(units) + ")");
}

std::string format(std::int64_t value, std::span<const Unit> units, const Unit& for_zero) {
  if (value == 0) return "0" + std::string(for_zero.name);
  const Unit* best = &units.front();
  for (const Unit& unit : units) {
    if (value % unit.factor == 0) best = &unit;
  }
  return std::to_string(value / best->factor) + std::string(best->name);
}

// The length of the well-formed UTF-8 sequence at `at`; 0 if there is none.
std::size_t sequence_length(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t index) -> unsigned {
    return index < text.size() ? static_cast<unsigned char>(text[index]) : 0U;
  };
  const auto continues = [&](std::size_t index) { return (byte(index) & 0xC0U) == 0x80U; };
  const unsigned first = byte(at);
  const unsigned second = byte(at + 1);
  if (first < 0x80U) return 1;
  if (first >= 0xC2U && first <= 0xDFU) return continues(at + 1) ? 2 : 0;
  if (first >= 0xE0U && first <= 0xEFU) {
    const bool overlong = first == 0xE0U && second < 0xA0U;
    const bool surrogate = first == 0xEDU && second >= 0xA0U;
    return continues(at + 1) && continues(at + 2) && !overlong && !surrogate ? 3 : 0;
  }
  if (first >= 0xF0U && first <= 0xF4U) {
    const bool overlong = first == 0xF0U && second < 0x90U;
    const bool beyond = first == 0xF4U && second >= 0x90U;
    return continues(at + 1) && continues(at + 2) && continues(at + 3) && !overlong && !beyond ? 4 : 0;
  }
  return 0;
}

}  // namespace

Result<std::chrono::milliseconds> parse_duration(std::string_view text) {
  const Result<std::int64_t> parsed = parse(text, kDurationUnits, "duration");
  if (!parsed) return fail(parsed.error());
  return std::chrono::milliseconds{*parsed};
}

std::string format_duration(std::chrono::milliseconds duration) {
  return format(duration.count(), kDurationUnits, kDurationUnits[1]);
}

Result<Bytes> parse_size(std::string_view text) {
  const Result<std::int64_t> parsed = parse(text, kSizeUnits, "size");
  if (!parsed) return fail(parsed.error());
  return Bytes{*parsed};
}

std::string format_size(Bytes size) { return format(size.value, kSizeUnits, kSizeUnits[0]); }

std::string quoted(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  constexpr std::size_t kMost = 80;
  std::string result = "\"";
  for (std::size_t at = 0; at < text.size();) {
    if (result.size() > kMost) return result + "…\"";
    const std::size_t length = sequence_length(text, at);
    const auto byte = static_cast<unsigned char>(text[at]);
    const bool control = length == 1 && (byte < 0x20U || byte == 0x7FU);
    const bool control_of_latin1 = length == 2 && byte == 0xC2U && static_cast<unsigned char>(text[at + 1]) < 0xA0U;
    if (length == 0 || control || control_of_latin1) {
      for (std::size_t end = at + (length == 0 ? 1 : length); at < end; ++at) {
        const auto escaped = static_cast<unsigned char>(text[at]);
        result.append("\\x").append(1, kDigits[escaped >> 4U]).append(1, kDigits[escaped & 15U]);
      }
      continue;
    }
    if (byte == '"' || byte == '\\') result += '\\';
    result.append(text.substr(at, length));
    at += length;
  }
  return result + "\"";
}

std::string utc_text(WallTime time) {
  const std::time_t seconds = std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  std::array<char, 64> text{};
  return {text.data(), std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%SZ", &utc)};
}

std::size_t find_invalid_utf8(std::string_view text, std::size_t from) {
  for (std::size_t at = from; at < text.size();) {
    const std::size_t length = sequence_length(text, at);
    if (length == 0) return at;
    at += length;
  }
  return std::string_view::npos;
}

}  // namespace fleetledger
