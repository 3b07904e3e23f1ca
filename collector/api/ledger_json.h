#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "collector/api/json_writer.h"
#include "core/ledger_store.h"

namespace fleetledger {

// The answers of an agent's own server about its ledger, field by field (instar.md, "The HTTP contract"): the order,
// the rounding and the names are upstream's; fields of ours come after theirs. Pure; any thread.

/// Which time an answer is about.
struct Window {
  double hours = 0;
  WallTime since{};
};

/// The last `hours` before now. Hours beyond what a clock can count reach back to 1970.
[[nodiscard]] Window window_before(WallTime now, double hours);

/// GET /resources/summary
[[nodiscard]] std::string summary_json(const LedgerSummary& summary, const Window& window);

/// GET /resources/samples. A full page has a cursor to the next one, "nextCursor"; else that is null.
[[nodiscard]] std::string samples_json(const std::vector<Sample>& samples, const Window& window, std::int64_t limit);

/// GET /resources/rate-limits
[[nodiscard]] std::string rate_limits_json(const RateLimitReport& report, const Window& window);

/// One event's fields, into an open object.
void write_event_fields(JsonWriter& json, const RateLimitEvent& event);

/// GET /resources/trend, which is ours.
[[nodiscard]] std::string trend_json(const std::vector<SourceTrend>& trend, const TrendQuery& query, double hours);

/// A place among samples as text: "<ts>:<source>".
[[nodiscard]] std::string cursor_text(const SampleCursor& cursor);
/// Nothing if it is none.
[[nodiscard]] std::optional<SampleCursor> parse_cursor(std::string_view text);

}  // namespace fleetledger
