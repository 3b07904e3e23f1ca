#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/result.h"

struct uv_loop_s;

namespace fleetledger {

/// Whether text for stdout may be coloured: it is a terminal that is not dumb, and NO_COLOR is unset or empty.
[[nodiscard]] bool stdout_takes_colour();

struct TerminalSize {
  std::size_t width = 80;
  std::size_t height = 24;
};
/// The terminal's at stdout; the default where there is none.
[[nodiscard]] TerminalSize stdout_size();

/// The terminal as a page that is drawn again and again, by plain ANSI sequences. The screen that was there, its cursor
/// and the keyboard's mode come back when this object goes. Loop thread only.
class Terminal {
 public:
  struct Events {
    std::function<void()> quit;     ///< q, Ctrl-C, SIGTERM, SIGINT, SIGHUP, SIGQUIT, or the terminal has gone
    std::function<void()> resized;  ///< also after the program was stopped and goes on
  };

  /// stdin and stdout; an Error if they cannot be used so.
  [[nodiscard]] static Result<std::unique_ptr<Terminal>> open(uv_loop_s* loop, Events events);
  ~Terminal();
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  /// Draws over what is there. Lines that do not fit are cut off.
  void show(const std::vector<std::string>& lines);

 private:
  class Impl;

  explicit Terminal(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

}  // namespace fleetledger
