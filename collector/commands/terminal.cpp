#include "collector/commands/terminal.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <poll.h>
#include <string_view>
#include <sys/ioctl.h>
#include <unistd.h>
#include <utility>
#include <uv.h>

#include "collector/loop/handle.h"

namespace fleetledger {
namespace {

constexpr std::string_view kEnter = "\x1b[?1049h\x1b[?25l\x1b[?7l";  // other screen, no cursor, no wrapping
constexpr std::string_view kLeave = "\x1b[?7h\x1b[?25h\x1b[?1049l";
constexpr std::string_view kHome = "\x1b[H";
constexpr std::string_view kClearLine = "\x1b[K";
constexpr std::string_view kClearBelow = "\x1b[J";
constexpr char kCtrlC = 3;

/// false if the terminal has gone.
bool write_all(std::string_view text) {
  while (!text.empty()) {
    const auto count = write(STDOUT_FILENO, text.data(), text.size());
    if (count > 0) {
      text.remove_prefix(static_cast<std::size_t>(count));
    } else if (errno == EAGAIN) {
      pollfd ready{STDOUT_FILENO, POLLOUT, 0};
      poll(&ready, 1, -1);
    } else if (errno != EINTR) {
      return false;
    }
  }
  return true;
}

bool is_dumb() {
  const char* kind = std::getenv("TERM");
  return kind == nullptr || *kind == '\0' || std::string_view(kind) == "dumb";
}

}  // namespace

bool stdout_takes_colour() {
  const char* no_colour = std::getenv("NO_COLOR");
  return isatty(STDOUT_FILENO) != 0 && !is_dumb() && (no_colour == nullptr || *no_colour == '\0');
}

TerminalSize stdout_size() {
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0) {
    return {};
  }
  return {size.ws_col, size.ws_row};
}

class Terminal::Impl {
 public:
  explicit Impl(Events events) : events_(std::move(events)) {}

  Result<void> open(uv_loop_t* loop) {
    if (isatty(STDOUT_FILENO) == 0 || is_dumb()) {
      return fail("stdout is no terminal that can be drawn on; `top --once` prints once");
    }
    for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGWINCH, SIGCONT}) {
      auto handle = make_handle<uv_signal_t>([&](uv_signal_t* signal) { return uv_signal_init(loop, signal); });
      if (!handle) {
        return fail("watch for signals: libuv refused");
      }
      handle->data = this;
      uv_signal_start(
          handle.get(), [](uv_signal_t* signal, int caught) { static_cast<Impl*>(signal->data)->on_signal(caught); },
          number);
      signals_.push_back(std::move(handle));
    }
    if (isatty(STDIN_FILENO) != 0) {
      keyboard_ = make_handle<uv_tty_t>([&](uv_tty_t* tty) { return uv_tty_init(loop, tty, STDIN_FILENO, 1); });
      if (!keyboard_) {
        return fail("use the terminal: libuv refused");
      }
      keyboard_->data = this;
      uv_read_start(
          reinterpret_cast<uv_stream_t*>(keyboard_.get()),
          [](uv_handle_t* handle, std::size_t, uv_buf_t* buffer) {
            auto& keys = static_cast<Impl*>(handle->data)->keys_;
            *buffer = uv_buf_init(keys.data(), static_cast<unsigned>(keys.size()));
          },
          [](uv_stream_t* stream, ssize_t size, const uv_buf_t*) { static_cast<Impl*>(stream->data)->on_keys(size); });
    }
    drawing_ = true;
    take_over();
    return {};
  }

  ~Impl() {
    if (drawing_) {
      if (keyboard_) {
        uv_tty_set_mode(keyboard_.get(), UV_TTY_MODE_NORMAL);
      }
      write_all(kLeave);
    }
  }

  void show(const std::vector<std::string>& lines) {
    const auto height = stdout_size().height;
    std::string text(kHome);
    for (std::size_t i = 0; i < lines.size() && i < height; ++i) {
      text.append(i == 0 ? "" : "\r\n").append(lines[i]).append(kClearLine);
    }
    if (!write_all(text.append(kClearBelow))) {
      events_.quit();
    }
  }

 private:
  void take_over() {
    if (keyboard_) {
      uv_tty_set_mode(keyboard_.get(), UV_TTY_MODE_RAW);
    }
    write_all(kEnter);
  }

  void on_signal(int number) {
    if (number == SIGCONT && keyboard_) {
      uv_tty_set_mode(keyboard_.get(), UV_TTY_MODE_NORMAL);  // libuv sets no mode that it thinks is set
    }
    if (number == SIGCONT) {
      take_over();
    }
    number == SIGWINCH || number == SIGCONT ? events_.resized() : events_.quit();
  }

  void on_keys(ssize_t size) {
    for (ssize_t i = 0; i < size; ++i) {
      const char key = keys_.at(static_cast<std::size_t>(i));
      if (key == 'q' || key == 'Q' || key == kCtrlC) {
        return events_.quit();
      }
    }
    if (size < 0) {
      events_.quit();
    }
  }

  Events events_;
  std::vector<UvHandle<uv_signal_t>> signals_;
  UvHandle<uv_tty_t> keyboard_;
  std::array<char, 64> keys_{};
  bool drawing_ = false;
};

Terminal::Terminal(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Terminal::~Terminal() = default;
void Terminal::show(const std::vector<std::string>& lines) { impl_->show(lines); }

Result<std::unique_ptr<Terminal>> Terminal::open(uv_loop_s* loop, Events events) {
  auto impl = std::make_unique<Impl>(std::move(events));
  if (auto opened = impl->open(loop); !opened) {
    return fail(opened.error());
  }
  return std::unique_ptr<Terminal>(new Terminal(std::move(impl)));
}

}  // namespace fleetledger
