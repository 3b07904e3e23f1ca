#include "config/sentinel_line.h"

#include "config/json.h"
#include "config/timestamp.h"

namespace fleetledger {
namespace {

constexpr std::string_view kSentinel = "rate-limit";
constexpr std::array<std::string_view, 2> kThrottles{"throttle-detected", "throttle-escalated"};
constexpr std::array<std::string_view, 4> kRecoveries{"throttle-resuming", "throttle-recovered", "recovery-reached",
                                                      "recovery-unreachable"};
constexpr std::size_t kLongestName = 1'024;
constexpr std::size_t kLongestDetail = 4'096;

template <typename Names>
bool is_among(const Names& names, std::string_view name) {
  for (const std::string_view known : names) {
    if (known == name) return true;
  }
  return false;
}

bool is_absent(const JsonValue& value) { return !value.present() || value.is_null(); }

}  // namespace

std::variant<SentinelEvent, SkippedLine> parse_sentinel_line(std::string_view line, WallTime oldest, WallTime newest) {
  if (line.size() > kLongestSentinelLine) return SkippedLine::too_long;
  const auto document = JsonDocument::parse(line);
  if (!document) return SkippedLine::not_json;
  const JsonValue root = document->root();
  if (!root.is_object()) return SkippedLine::not_json;
  const auto sentinel = root.member("sentinel").text();
  if (!sentinel) return SkippedLine::wrong_type;
  if (*sentinel != kSentinel) return SkippedLine::other_sentinel;
  const auto kind = root.member("kind").text();
  if (!kind) return SkippedLine::wrong_type;
  const bool recovery = is_among(kRecoveries, *kind);
  if (!recovery && !is_among(kThrottles, *kind)) return SkippedLine::unknown_kind;

  const auto ts = read_timestamp(root.member("timestamp"));
  if (!ts) return SkippedLine::bad_time;
  if (*ts > newest) return SkippedLine::future;
  if (*ts < oldest) return SkippedLine::old;

  SentinelEvent event{.ts = *ts, .kind = std::string(*kind), .recovery = recovery, .session_name = {}, .detail = {}};
  const JsonValue name = root.member("sessionName");
  if (!is_absent(name)) {
    if (!name.text()) return SkippedLine::wrong_type;
    event.session_name = name.short_text(kLongestName);
  }
  const JsonValue detail = root.member("detail");
  if (!is_absent(detail))
    event.detail = detail.text() ? detail.short_text(kLongestDetail) : detail.json(kLongestDetail);
  return event;
}

}  // namespace fleetledger
