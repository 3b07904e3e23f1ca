#pragma once

#include <cstddef>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "config/config.h"

namespace fleetledger::log {

/// One line an event to stderr: time, level, event=..., then the fields as key=value. Never hand in a token, a command
/// line or an environment. Any thread.
using Fields = std::initializer_list<std::pair<std::string_view, std::string>>;

void set_level(LogLevel level);

/// Where stderr is the journal, as JOURNAL_STREAM says (systemd.exec(5)), lines begin with their priority ("<3>") from
/// now on, and without the time, which the journal has itself. Before there is a second thread.
void mark_for_journal();

void debug(std::string_view event, Fields fields = {});
void info(std::string_view event, Fields fields = {});
void warning(std::string_view event, Fields fields = {});
void error(std::string_view event, Fields fields = {});

/// Says it once, and again only when `cause` is another than the last time under this key. An empty cause says that it
/// is over (event=over, what=`event`), if one was said, and makes the next one be said again. For what goes wrong at
/// every tick.
void warning_once(std::string_view event, const std::string& key, const std::string& cause);
/// How many causes are remembered for that.
[[nodiscard]] std::size_t remembered();

}  // namespace fleetledger::log
