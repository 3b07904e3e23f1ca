#include "collector/sources/tmux_panes.h"

#include <charconv>
#include <optional>
#include <sys/stat.h>
#include <utility>

#include "collector/sources/child.h"
#include "collector/sources/program.h"

namespace fleetledger {
namespace {

// Numbers first: the name is the rest of the line, whatever is in it. tmux writes control characters in names as
// backslash sequences, so that a line is always one pane. Without -u it would write '_' for what is not ASCII.
constexpr const char* kPaneFormat = "#{pid} #{pane_pid} #{pane_dead} #{session_name}";

/// Takes the word up to the next space off the front of `line`; nothing if there is no space.
std::optional<std::string_view> take_word(std::string_view& line) {
  const auto space = line.find(' ');
  if (space == std::string_view::npos) {
    return std::nullopt;
  }
  const auto word = line.substr(0, space);
  line.remove_prefix(space + 1);
  return word;
}

std::optional<Pid> take_pid(std::string_view& line) {
  const auto word = take_word(line);
  if (!word) {
    return std::nullopt;
  }
  Pid pid = 0;
  const auto* end = word->data() + word->size();
  const auto read = std::from_chars(word->data(), end, pid);
  if (read.ec != std::errc{} || read.ptr != end) {
    return std::nullopt;
  }
  return pid;
}

std::optional<Pane> parse_pane(std::string_view line) {
  const auto server = take_pid(line);
  const auto pid = take_pid(line);
  const auto dead = take_word(line);
  if (!server || *server <= 0 || !pid || !dead || (*dead != "0" && *dead != "1") || line.empty()) {
    return std::nullopt;
  }
  Pane pane;
  pane.tmux_server = *server;
  // A pane without a process, as tmux shows it between the end of one and the start of the next.
  pane.dead = *dead == "1" || *pid <= 0;
  pane.pid = std::max(*pid, Pid{0});
  pane.session = line;
  return pane;
}

/// Does tmux say that there is no server to ask?
bool no_server(const ChildExit& exit) {
  const std::string_view reason = exit.reason;
  constexpr std::string_view kMissing = "(No such file or directory)";
  return exit.signal == 0 && exit.status == 1 &&
         (reason.starts_with("no server running on ") ||
          (reason.starts_with("error connecting to ") && reason.ends_with(kMissing)));
}

class TmuxPanes final : public PaneSource {
 public:
  TmuxPanes(uv_loop_s* loop, TmuxOptions options) : options_(std::move(options)), child_(loop) {}

  void list(Done done) override {
    std::vector<std::string> environment{"LC_ALL=C", "PATH=" + std::string(kProgramPath)};
    if (!options_.socket_dir.empty()) {
      // tmux would turn to /tmp, and so to another server, if the folder is not there.
      struct stat about {};
      if (::stat(options_.socket_dir.c_str(), &about) != 0 || !S_ISDIR(about.st_mode)) {
        done(std::vector<Pane>{});
        return;
      }
      environment.push_back("TMUX_TMPDIR=" + options_.socket_dir);
    }
    child_.run({.program = options_.program,
                .arguments = {"-u", "list-panes", "-a", "-F", kPaneFormat},
                .environment = std::move(environment),
                .timeout = options_.timeout,
                .output_limit = options_.output_limit},
               [this, done = std::move(done)](Result<ChildExit> exit) {
                 if (exit && no_server(*exit)) {
                   done(std::vector<Pane>{});
                   return;
                 }
                 const auto output = output_of(options_.program, std::move(exit));
                 done(output ? parse_panes(*output) : fail(output.error()));
               });
  }

 private:
  TmuxOptions options_;
  ChildRunner child_;  // dies first: no callback comes after
};

}  // namespace

Result<std::vector<Pane>> parse_panes(std::string_view output) {
  std::vector<Pane> panes;
  while (!output.empty()) {
    const auto end = output.find('\n');
    auto pane = end == std::string_view::npos ? std::nullopt : parse_pane(output.substr(0, end));
    if (!pane) {
      return fail("read the panes of tmux: line " + std::to_string(panes.size() + 1) + " is not what was asked for");
    }
    panes.push_back(std::move(*pane));
    output.remove_prefix(end + 1);
  }
  return panes;
}

std::unique_ptr<PaneSource> make_tmux_source(uv_loop_s* loop, TmuxOptions options) {
  return std::make_unique<TmuxPanes>(loop, std::move(options));
}

}  // namespace fleetledger
