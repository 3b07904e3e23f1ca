#include "collector/log.h"

#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

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

/// "<3>" and so on: the priorities of syslog(3), by which the journal tells what is grave.
class Priority final : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm& /*time*/, spdlog::memory_buf_t& to) override {
    constexpr std::string_view kDebug = "<7>";
    constexpr std::string_view kInfo = "<6>";
    constexpr std::string_view kWarning = "<4>";
    constexpr std::string_view kError = "<3>";
    const auto text = message.level >= spdlog::level::err    ? kError
                      : message.level == spdlog::level::warn ? kWarning
                      : message.level == spdlog::level::info ? kInfo
                                                             : kDebug;
    to.append(text.data(), text.data() + text.size());
  }
  [[nodiscard]] std::unique_ptr<custom_flag_formatter> clone() const override { return std::make_unique<Priority>(); }
};

bool stderr_is_the_journal() {
  const char* stream = std::getenv("JOURNAL_STREAM");
  struct stat file {};
  return stream != nullptr && fstat(STDERR_FILENO, &file) == 0 &&
         stream == std::to_string(file.st_dev) + ":" + std::to_string(file.st_ino);
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

void mark_for_journal() {
  if (stderr_is_the_journal()) {
    auto formatter = std::make_unique<spdlog::pattern_formatter>(spdlog::pattern_time_type::utc);
    formatter->add_flag<Priority>('*').set_pattern("%*level=%l %v");
    logger().set_formatter(std::move(formatter));
  }
}

void debug(std::string_view event, Fields fields) { write(spdlog::level::debug, event, fields); }
void info(std::string_view event, Fields fields) { write(spdlog::level::info, event, fields); }
void warning(std::string_view event, Fields fields) { write(spdlog::level::warn, event, fields); }
void error(std::string_view event, Fields fields) { write(spdlog::level::err, event, fields); }

namespace {

/// What warning_once() has said last, by event and key.
struct Said {
  std::mutex mutex;
  std::map<std::string, std::string> causes;
};

Said& said_once() {
  static Said said;
  return said;
}

}  // namespace

std::size_t remembered() {
  auto& [mutex, said] = said_once();
  const std::lock_guard lock(mutex);
  return said.size();
}

void warning_once(std::string_view event, const std::string& key, const std::string& cause) {
  {
    auto& [mutex, said] = said_once();
    const std::lock_guard lock(mutex);
    const auto name = std::string(event) + '\n' + key;
    const auto last = said.find(name);
    if (cause == (last == said.end() ? std::string_view() : std::string_view(last->second))) {
      return;
    }
    if (cause.empty()) {
      said.erase(last);
    } else {
      said.insert_or_assign(name, cause);
    }
  }
  if (cause.empty()) {
    info("over", {{"what", std::string(event)}, {"of", key}});
  } else {
    warning(event, {{"of", key}, {"reason", cause}});
  }
}

}  // namespace fleetledger::log
