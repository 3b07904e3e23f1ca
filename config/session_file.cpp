#include "config/session_file.h"

#include "config/json.h"
#include "config/timestamp.h"

namespace fleetledger {
namespace {

constexpr std::size_t kLongestName = 1'024;

}  // namespace

Result<SessionFile> parse_session_file(std::string_view id, std::string_view text) {
  const auto document = JsonDocument::parse(text);
  if (!document) return fail(document.error());
  const JsonValue file = document->root();
  if (!file.is_object()) return fail("it is not a JSON object", Error::Kind::invalid);
  const auto status = file.member("status").text();
  if (!status) return fail("it has no status that is a text", Error::Kind::invalid);

  SessionFile result;
  result.live = *status == "starting" || *status == "running";
  if (!result.live) return result;
  result.session.id = id;
  result.session.name = file.member("name").short_text(kLongestName);
  result.session.tmux_session = file.member("tmuxSession").short_text(kLongestName);
  result.session.started_at = read_timestamp(file.member("startedAt")).value_or(WallTime{});
  result.session.superseded = !file.member("supersededBy").text().value_or("").empty();
  return result;
}

}  // namespace fleetledger
