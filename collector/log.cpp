#include "collector/log.h"

#include <map>
#include <mutex>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace fleetledger::log {
namespace {

spdlog::logger& logger() {
  static const auto instance = [] {
    auto made = std::make_shared<spdlog::logger>("fleetledger", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ level=%l %v", spdlog::pattern_time_type::utc);
    made->flush_on(spdlog::level::trace);
    return made;
  }();
  return *instance;
}

/// Quoted where a reader could not tell where it ends; control bytes as \xNN, so that a line stays a line.
std::string value_text(std::string_view value) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  bool quoted = value.empty();
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      text += "\\x";
      text += kDigits[byte >> 4U];
      text += kDigits[byte & 0xFU];
      quoted = true;
    } else {
      if (c == '"' || c == '\\') {
        text += '\\';
      }
      quoted = quoted || c == ' ' || c == '=' || c == '"';
      text += c;
    }
  }
  return quoted ? '"' + text + '"' : text;
}

void write(spdlog::level::level_enum level, std::string_view event, Fields fields) {
  if (!logger().should_log(level)) {
    return;
  }
  std::string line = "event=" + std::string(event);
  for (const auto& [key, value] : fields) {
    line += ' ';
    line += key;
    line += '=';
    line += value_text(value);
  }
  logger().log(level, line);
}

}  // namespace

void set_level(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return logger().set_level(spdlog::level::debug);
    case LogLevel::info:
      return logger().set_level(spdlog::level::info);
    case LogLevel::warning:
      return logger().set_level(spdlog::level::warn);
    case LogLevel::error:
      return logger().set_level(spdlog::level::err);
  }
}

void debug(std::string_view event, Fields fields) { write(spdlog::level::debug, event, fields); }
void info(std::string_view event, Fields fields) { write(spdlog::level::info, event, fields); }
void warning(std::string_view event, Fields fields) { write(spdlog::level::warn, event, fields); }
void error(std::string_view event, Fields fields) { write(spdlog::level::err, event, fields); }

void warning_once(std::string_view event, const std::string& key, const std::string& cause) {
  static std::mutex mutex;
  static std::map<std::string, std::string> said;
  {
    const std::lock_guard lock(mutex);
    const auto name = std::string(event) + '\n' + key;
    if (cause.empty()) {
      said.erase(name);
      return;
    }
    auto& last = said[name];
    if (last == cause) {
      return;
    }
    last = cause;
  }
  warning(event, {{"of", key}, {"reason", cause}});
}

}  // namespace fleetledger::log
