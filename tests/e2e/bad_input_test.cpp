#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/fleet/truth.h"
#include "tests/backends/sqlite/plain_sqlite.h"
#include "tests/e2e/generated_fleet.h"
#include "tests/e2e/ledger.h"

using namespace fleetledger;
using e2e::GeneratedFleet;
using e2e::Host;
using e2e::Json;
using e2e::ServedAgent;
using Names = std::vector<std::string>;
namespace fs = std::filesystem;

namespace {

constexpr auto kEverySecond = "sampling: {sample_interval: 1s, idle_sample_interval: 1s}\n";

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

/// What `check` says of one agent.
Json checked(Host& host, const std::string& name) {
  return e2e::parse_json(host.run({"check", "--json"}).output)["agents"].with("name", name);
}

Names sources_of(const Json& agent) {
  Names names;
  for (const auto& source : agent["sources"].items) {
    names.push_back(source["source"].text);
  }
  return names;
}

void await_ticks(const std::string& path, std::size_t more) {
  const auto before = e2e::read_ticks(path).size();
  REQUIRE(test::await([&] { return e2e::read_ticks(path).size() >= before + more; }));
}

/// Waits until a new row of this source is written.
void await_row(const std::string& path, const std::string& source) {
  const auto count = [&] {
    std::size_t rows = 0;
    for (const auto& row : e2e::read_rows(path)) {
      rows += row.source == source ? 1U : 0U;
    }
    return rows;
  };
  const auto before = count();
  REQUIRE(test::await([&] { return count() > before; }));
}

void end(test::Program& daemon) {
  daemon.signal(SIGTERM);
  CHECK(daemon.exit_code() == 0);
}

struct BadProgram {
  std::string what;
  std::string body;    ///< of a shell script
  std::string reason;  ///< part of what is said of it
  /// Of `sampling.timeout`: short only where it must be waited for, so that a busy host does not answer for the
  /// program.
  std::string timeout = "30s";
};

const std::vector<BadProgram> kBadPrograms{
    {"fails", "echo 'it is broken' >&2\nexit 3", "it is broken"},
    {"prints rubbish", "echo 'this is no table'", "not what was asked for"},
    {"prints without end", "exec /usr/bin/yes", "bytes and was killed"},
    {"hangs", "exec /bin/sleep 10000", "did not end within 1000 ms", "1s"},
    {"hangs in a child", "/bin/sleep 10000", "did not end within 1000 ms", "1s"},
    {"is killed", "kill -9 $$", "signal 9"},
    {"prints 100 MB and ends well", "/usr/bin/head -c 100000000 /dev/zero", "bytes and was killed"},
    {"prints and hangs", "echo '1 1 0 x'\nexec /bin/sleep 10000", "did not end within 1000 ms", "1s"},
};

}  // namespace

TEST_CASE("every problem of a bad configuration is said with file and line, and nothing runs") {
  Host host;
  host.configure(
      "sampling:\n"
      "  sample_intervall: 10s\n"
      "  scope: forest\n"
      "  timeout: 1ms\n"
      "discovery:\n"
      "  homes: 7\n"
      "storage: {backend: papyrus}\n");
  const std::vector<std::pair<int, std::string>> expected{{2, "sampling.sample_intervall"},
                                                          {3, "sampling.scope"},
                                                          {4, "sampling.timeout"},
                                                          {6, "discovery.homes"},
                                                          {7, "storage.backend"}};
  const auto text = host.run({"check"});
  const auto refused = host.run({"run"});
  const auto json = host.run({"check", "--json"});
  CHECK(text.code == 78);
  CHECK(json.code == 78);
  CHECK(refused.code == 78);
  CHECK(host.run({"sample"}).code == 78);
  CHECK(host.run({"summary", "echo"}).code == 78);
  const auto problems = e2e::parse_json(json.output)["problems"];
  CHECK(problems.size() == expected.size());
  for (const auto& [line, key] : expected) {
    const auto place = host.config_file() + ':' + std::to_string(line) + ": " + key;
    INFO(place);
    CHECK(has(text.output, place));
    CHECK(has(refused.errors, place));
    const auto& problem = problems.with("key", key);
    CHECK(problem.keys() == Names{"file", "line", "key", "message"});
    CHECK(problem["file"].text == host.config_file());
    CHECK(problem["line"].number == line);
    CHECK_FALSE(problem["message"].text.empty());
  }
  CHECK(has(problems.with("key", "sampling.sample_intervall")["message"].text, "sample_interval"));
  CHECK(e2e::parse_json(json.output)["agents"].size() == 0);
}

TEST_CASE("a command that there is not was not named, nor was the one that was meant") {
  Host host;
  const auto wrong = host.run({"chek"});
  CHECK(wrong.code == 2);
  CHECK(has(wrong.errors, "there is no command chek; did you mean \"check\"?"));
  CHECK(host.run({"ledgers", "--help"}).code == 2);
  CHECK(host.run({"--help"}).code == 0);
  CHECK(has(host.run({"sample", "--ticks", "0"}).errors, "1 to 1000000"));
}

TEST_CASE("the name of an agent that was nearly named reached the terminal as it was") {
  Host host;
  const ServedAgent agent(host, "ech\x1b[2Jo");
  host.register_agents({agent.entry()});
  const auto near = host.run({"summary", "ech?[2J"});
  CHECK(near.code == 1);
  CHECK(has(near.errors, "did you mean \"ech?[2Jo\"?"));
  CHECK_FALSE(has(near.errors, "\x1b"));
}

TEST_CASE("a ps that is missing or misbehaves brings no rows, and the reason is said") {
  Host host;
  const ServedAgent agent(host, "echo");
  host.register_agents({agent.entry()});
  auto programs = kBadPrograms;
  programs.push_back({"knows nothing of us",
                      "echo '    1     0     0  100  0  0:00  0.000  0.000  0.0  1000 Ss   init'", "not in it"});
  programs.push_back({"breaks off", "/usr/bin/ps \"$@\" | /usr/bin/head -c 100", "breaks off"});
  programs.push_back({"ends badly after good output", "/usr/bin/ps \"$@\"\nexit 1", "status 1"});
  programs.push_back({"is killed after good output", "/usr/bin/ps \"$@\"\nkill -9 $$", "signal 9"});
  programs.push_back({"prints nothing", ":", "empty"});
  programs.push_back({"is missing", "", "No such file"});
  for (const auto& [what, body, reason, timeout] : programs) {
    INFO("a ps that " << what);
    const auto ps = body.empty() ? host / "no-such-ps" : host.folder().script("bad-ps", body);
    host.configure("sampling: {timeout: " + timeout + ", ps: " + ps + "}\n");
    const auto sampled = host.run({"sample", "--json", "--record", "--ticks", "2", "--interval", "100ms"});
    CHECK(sampled.code == 1);
    CHECK(has(sampled.output + sampled.errors, reason));
    for (const auto& line : test::lines_of(sampled.output)) {
      CHECK(e2e::parse_json(line)["agents"].size() == 0);
    }
    CHECK_FALSE(fs::exists(e2e::ledger_file(agent.path)));

    const auto check = host.run({"check", "--json"});
    CHECK(check.code == 78);
    CHECK(has(e2e::parse_json(check.output)["problems"].with("key", "sampling.ps")["message"].text, reason));
  }
}

TEST_CASE("after looks that failed the next good one covers the whole time") {
  Host host;
  GeneratedFleet generated(
      host, {"--agents", "1", "--sessions", "1", "--names", "echo", "--loads", "steady:40", "--no-tmux", "--keep"});
  // The first call is the baseline; the third and the fourth fail.
  const auto ps =
      host.folder().script("moody-ps", "echo >>'" + host / "calls" + "'\ncase $(/usr/bin/wc -l <'" + host / "calls" +
                                           "') in 3 | 4) exit 1 ;; esac\n" + "exec /usr/bin/ps \"$@\"");
  host.configure("sampling: {ps: " + ps + ", tmux: " + generated.root() + "/list-panes}\n");
  const auto path = generated.agent("echo")["path"].text;
  const auto sampled = host.run({"sample", "--json", "--record", "--ticks", "5", "--interval", "1s"});
  CHECK(sampled.code == 0);
  const auto lines = test::lines_of(sampled.output);
  REQUIRE(lines.size() == 5);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const auto tick = e2e::parse_json(lines[i]);
    const bool failed = i == 1 || i == 2;
    CHECK(tick["agents"].size() == (failed ? 0 : 1));
    CHECK((tick.keys() == Names{"tick", "ts", "processes", "failure", "agents", "self"}) == failed);
  }
  std::vector<e2e::Row> rows;
  for (const auto& row : e2e::read_rows(path)) {
    if (row.source == "session:s1-steady") {
      rows.push_back(row);
    }
  }
  REQUIRE(rows.size() == 3);
  CHECK(static_cast<double>(rows[1].interval_us.value()) ==
        Approx(1000.0 * static_cast<double>(rows[1].ts - rows[0].ts)).margin(1e6));
  CHECK(rows[1].cpu_percent ==
        Approx(100.0 * static_cast<double>(rows[1].cpu_us.value()) / static_cast<double>(rows[1].interval_us.value())));
  generated.end();
  const auto truth = fleet::read_truth(generated.agent("echo")["sessions"][0]["truth"].text + ".jsonl");
  REQUIRE(truth);
  const auto total_at = [&](const e2e::Row& row) {
    return fleet::cpu_at(*truth, WallTime{std::chrono::milliseconds{row.ts}}).value();
  };
  const double used = (total_at(rows[1]) - total_at(rows[0])).seconds();
  CHECK(static_cast<double>(rows[1].cpu_us.value()) / 1e6 == Approx(used).margin(0.02 * used + 0.3));
}

TEST_CASE("a tmux that is missing or misbehaves takes no rows from servers, and the reason is said") {
  Host host;
  const ServedAgent agent(host, "echo");
  host.register_agents({agent.entry()});
  host.tmux({"new-session", "-d", "-s", "work", "/bin/sleep", "10000"});
  host.write_session(agent.path, "s1", "work");
  auto programs = kBadPrograms;
  programs.push_back({"is missing", "", "No such file"});
  programs.push_back({"breaks off", "/usr/bin/tmux \"$@\" | /usr/bin/head -c 8", "line 1 is not what was asked for"});
  programs.push_back({"ends badly after good output", "/usr/bin/tmux \"$@\"\nexit 1", "status 1"});
  for (const auto& [what, body, reason, timeout] : programs) {
    INFO("a tmux that " << what);
    const auto tmux = body.empty() ? host / "no-such-tmux" : host.folder().script("bad-tmux", body);
    // The limit would hold for ps, too.
    host.configure("sampling: {source: procfs, timeout: " + timeout + ", tmux: " + tmux + "}\n");
    const auto sampled = host.run({"sample", "--json", "--ticks", "1", "--interval", "100ms"});
    CHECK(sampled.code == 0);
    REQUIRE(test::lines_of(sampled.output).size() == 1);
    CHECK(sources_of(e2e::parse_json(sampled.output)["agents"][0]) == Names{"agent-server", "aggregate"});
    CHECK(has(sampled.errors, "event=panes_failed"));
    CHECK(has(sampled.errors, reason));

    const auto check = host.run({"check", "--json"});
    CHECK(check.code == 78);
    CHECK(has(e2e::parse_json(check.output)["problems"].with("key", "sampling.tmux")["message"].text, reason));
  }
}

TEST_CASE("without a tmux server there are no sessions, and that is no error") {
  Host host;
  const ServedAgent agent(host, "echo");
  host.register_agents({agent.entry()});
  host.write_session(agent.path, "s1", "work");
  const auto sampled = host.run({"sample", "--json", "--ticks", "1", "--interval", "100ms"});
  CHECK(sampled.code == 0);
  CHECK(e2e::complaints_in(sampled.errors) == "");
  CHECK(sources_of(e2e::parse_json(sampled.output)["agents"][0]) == Names{"agent-server", "aggregate"});
  CHECK(host.run({"check"}).code == 0);
}

TEST_CASE("a session that is known stays known when tmux fails later") {
  Host host;
  const ServedAgent agent(host, "echo");
  host.register_agents({agent.entry()});
  host.tmux({"new-session", "-d", "-s", "first", "/bin/sleep", "10000"});
  host.write_session(agent.path, "s1", "first");
  const auto tmux =
      host.folder().script("tmux-once", "[ -e '" + host / "broken" + "' ] && { echo 'server is ill' >&2; exit 1; }\n" +
                                            "exec /usr/bin/tmux \"$@\"");
  host.configure("sampling: {sample_interval: 1s, idle_sample_interval: 1s, tmux: " + tmux + "}\n");
  auto daemon = host.start({"run"});
  await_row(agent.path, "session:s1");
  host.folder().write("broken", "");
  host.tmux({"new-session", "-d", "-s", "second", "/bin/sleep", "10000"});
  host.write_session(agent.path, "s2", "second");
  REQUIRE(daemon.complains("server is ill"));
  await_row(agent.path, "session:s1");
  await_row(agent.path, "session:s1");
  for (const auto& row : e2e::read_rows(agent.path)) {
    CHECK(row.source != "session:s2");
  }
  fs::remove(host / "broken");
  await_row(agent.path, "session:s2");
  end(daemon);
}

TEST_CASE("a tmuxPath of an agent is run only if nobody else could have put something there") {
  Host host;
  // In a folder below /tmp, where others may write: it must not be run, neither with a mode of its own that is fine.
  const auto hostile = host.folder().script("tmux", "echo >>'" + host / "was-run" + "'\nexec /usr/bin/tmux \"$@\"");
  const ServedAgent bad(host, "bad",
                        R"({"developmentAgent":true,"sessions":{"tmuxPath":)" + e2e::json_text(hostile) + "}}");
  host.register_agents({bad.entry()});
  host.tmux({"new-session", "-d", "-s", "work", "/bin/sleep", "10000"});
  host.write_session(bad.path, "s1", "work");
  host.configure("sampling: {tmux: tmux-that-nobody-has}\n");
  const auto refused = host.run({"sample", "--json", "--ticks", "1", "--interval", "100ms"});
  CHECK(sources_of(e2e::parse_json(refused.output)["agents"][0]) == Names{"agent-server", "aggregate"});
  CHECK(host.run({"check"}).code == 78);
  CHECK_FALSE(fs::exists(host / "was-run"));

  const ServedAgent good(host, "good", R"({"developmentAgent":true,"sessions":{"tmuxPath":"/usr/bin/tmux"}})");
  host.register_agents({bad.entry(), good.entry()});
  const auto found = host.run({"sample", "--json", "--ticks", "1", "--interval", "100ms"});
  CHECK(sources_of(e2e::parse_json(found.output)["agents"].with("name", "bad")) ==
        Names{"agent-server", "session:s1", "aggregate"});
  CHECK_FALSE(fs::exists(host / "was-run"));
}

TEST_CASE("sessions whose names have spaces, brackets, line breaks or non-ASCII are found") {
  Host host;
  const ServedAgent agent(host, "echo");
  host.register_agents({agent.entry()});
  const Names names{"two words",    "  spaces  ",        "x] [y",       ") (",         "1 2 0 3",
                    "zwölf 日本 ✓", "tab\there",         "line\nbreak", "back\\slash", "a.b:c",
                    "dollar $HOME", "\"quoted\" 'name'", "bell\a"};
  std::vector<std::pair<std::string, double>> expected;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const auto id = "s" + std::to_string(100 + i);
    const auto pid = host.tmux({"new-session", "-d", "-P", "-F", "#{pane_pid}", "-s", names[i], "/bin/sleep", "10000"});
    expected.emplace_back("session:" + id, std::stod(pid));
    host.write_session(agent.path, id, names[i]);
  }
  const auto sampled = host.run({"sample", "--json", "--ticks", "1", "--interval", "100ms"});
  CHECK(e2e::complaints_in(sampled.errors) == "");
  const auto& sources = e2e::parse_json(sampled.output)["agents"][0]["sources"];
  REQUIRE(sources.size() == names.size() + 2);
  for (std::size_t i = 0; i < names.size(); ++i) {
    INFO(names[i]);
    CHECK(sources[i + 1]["source"].text == expected[i].first);
    CHECK(sources[i + 1]["pid"].number == expected[i].second);
  }
}

TEST_CASE("processes whose names have spaces, brackets, line breaks or non-ASCII are read right") {
  Host host;
  const Names names{") S 1 (", "x] y", "a\nb 1 2 3", "zwölf日本語日", "tab\there", " 7 7 ", "<defunct>", "\xff\xfe"};
  std::vector<test::Program> servers;
  std::vector<Host::Entry> entries;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const auto shell = host / ("bin" + std::to_string(i)) + '/' + names[i];
    fs::create_directory(fs::path(shell).parent_path());
    fs::copy_file("/bin/dash", shell);
    // The shell waits for a child of the same name, which waits for nothing.
    servers.push_back(host.start_program({shell, "-c", "\"$0\" -c 'kill -STOP $$; :' & wait", shell}));
    const auto name = "agent-" + std::to_string(i);
    entries.push_back({name, host.make_agent(name), servers.back().pid(), ""});
  }
  host.register_agents(entries);
  // Each has its child before the look.
  for (const auto& server : servers) {
    const auto children =
        "/proc/" + std::to_string(server.pid()) + "/task/" + std::to_string(server.pid()) + "/children";
    REQUIRE(test::await([&] { return !test::text_of_file(children).empty(); }));
  }
  const auto sampled = host.run({"sample", "--json", "--ticks", "1", "--interval", "100ms"});
  CHECK(e2e::complaints_in(sampled.errors) == "");
  const auto tick = e2e::parse_json(sampled.output);
  for (const auto& entry : entries) {
    const auto& server = tick["agents"].with("name", entry.name)["sources"].with("source", "agent-server");
    CHECK(server["pid"].number == entry.pid);
    CHECK(server["processes"].number == 2);
    CHECK(server["rssBytes"].number > 100'000);
  }
}

TEST_CASE("a ps that ends well though its output breaks off behind our own row brings no rows") {
  Host host;
  const ServedAgent agent(host, "echo");
  host.register_agents({agent.entry()});
  const auto cut = host / "cut";
  const auto ps = host.folder().script(
      "cut-ps", "if [ -e '" + cut + "' ]; then /usr/bin/ps \"$@\" | /usr/bin/awk -v we=$PPID '$1 == we'; exit 0; fi\n" +
                    "exec /usr/bin/ps \"$@\"");
  host.configure("sampling: {sample_interval: 1s, idle_sample_interval: 1s, ps: " + ps + "}\n");
  auto daemon = host.start({"run"});
  await_row(agent.path, "agent-server");
  host.folder().write("cut", "");
  REQUIRE(daemon.complains("is not in it, and is still there"));
  fs::remove(cut);
  await_row(agent.path, "agent-server");
  for (const auto& row : e2e::read_rows(agent.path)) {
    CHECK(row.processes == 1);
  }
  end(daemon);
}

TEST_CASE("agents' files of every bad kind make their agent unreadable, and the others go on") {
  Host host;
  const auto at = [&](const std::string& name) { return host.make_agent(name) + "/.instar/config.json"; };
  host.write_agent_config(host.make_agent("empty"), "");
  host.write_agent_config(host.make_agent("half"), R"({"developmentAgent":tr)");
  host.write_agent_config(host.make_agent("no-object"), "[]");
  host.write_agent_config(host.make_agent("deep"), std::string(200'000, '[') + std::string(200'000, ']'));
  host.write_agent_config(host.make_agent("not-utf8"), "{\"developmentAgent\":true,\"projectName\":\"\xff\"}");
  fs::remove(at("missing"));
  fs::resize_file(at("huge"), 100 << 20);
  const auto fifo = at("fifo");
  fs::remove(fifo);
  REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
  const auto folder = at("folder");
  fs::remove(folder);
  fs::create_directory(folder);
  const auto link = at("link");
  fs::rename(link, host / "elsewhere.json");
  fs::create_symlink(host / "elsewhere.json", link);
  // Their members mean nothing, so they count as absent; the file itself can be read.
  host.write_agent_config(host.make_agent("wrong-types"), R"({"developmentAgent":"yes","monitoring":7})");

  const ServedAgent good(host, "good");
  std::vector<Host::Entry> entries{good.entry()};
  const Names bad{"empty", "half", "no-object", "deep", "not-utf8", "missing", "huge", "fifo", "folder", "link"};
  for (const auto& name : bad) {
    entries.push_back({name, host.home() + "/.instar/agents/" + name, good.server.pid(), ""});
  }
  entries.push_back({"wrong-types", host.home() + "/.instar/agents/wrong-types", 0, ""});
  host.register_agents(entries);

  const auto answer = host.run({"check", "--json"});
  CHECK(answer.code == 0);
  const auto agents = e2e::parse_json(answer.output)["agents"];
  for (const auto& name : bad) {
    INFO(name << ": " << agents.with("name", name)["reason"].text);
    CHECK(agents.with("name", name)["state"].text == "unreadable");
    CHECK(has(agents.with("name", name)["reason"].text, "config.json: "));
  }
  CHECK(agents.with("name", "wrong-types")["state"].text == "off");
  CHECK(agents.with("name", "good")["state"].text == "idle");

  const auto tick = e2e::parse_json(host.run({"sample", "--json", "--ticks", "1", "--interval", "100ms"}).output);
  REQUIRE(tick["agents"].size() == 1);
  CHECK(sources_of(tick["agents"][0]) == Names{"agent-server", "aggregate"});
}

TEST_CASE("a registry and a session file that turn bad change nothing of what is known") {
  Host host;
  const ServedAgent agent(host, "echo");
  host.register_agents({agent.entry()});
  host.tmux({"new-session", "-d", "-s", "work", "/bin/sleep", "10000"});
  host.write_session(agent.path, "s1", "work");
  host.configure(kEverySecond);
  auto daemon = host.start({"run"});
  await_row(agent.path, "session:s1");

  const auto session = agent.path + "/.instar/state/sessions/s1.json";
  const auto registry = host.home() + "/.instar/registry.json";
  std::ofstream(session) << R"({"id":"s1","stat)";
  std::ofstream(registry) << R"({"version":1,"entries":[)";
  await_row(agent.path, "session:s1");
  await_row(agent.path, "session:s1");
  CHECK(has(host.run({"check"}).output, "registry.json"));
  for (const auto& file : {session, registry}) {
    // In one step: a file that is not there says something, that its session is over.
    REQUIRE(::mkfifo((file + ".new").c_str(), 0600) == 0);
    fs::rename(file + ".new", file);
  }
  await_row(agent.path, "session:s1");
  await_row(agent.path, "session:s1");
  end(daemon);
}

TEST_CASE("a ledger that cannot be used makes its agent unavailable, and is used once it can be") {
  Host host;
  const auto prepare = [&](const ServedAgent& agent) {
    fs::create_directory(agent.path + "/.instar/server-data");
    return e2e::ledger_file(agent.path);
  };
  const ServedAgent good(host, "good");
  const ServedAgent link(host, "link");
  const ServedAgent view(host, "view");
  const ServedAgent garbage(host, "garbage");
  const ServedAgent folder(host, "folder");
  const ServedAgent locked(host, "locked");
  host.folder().write("victim", "");
  fs::create_symlink(host / "victim", prepare(link));
  test::PlainDatabase(prepare(view))
      .run("CREATE TABLE other (ts); CREATE VIEW resource_samples AS SELECT ts FROM other");
  std::ofstream(prepare(garbage)) << std::string(10'000, 'x');
  fs::create_directory(prepare(folder));
  auto holder = std::make_unique<test::PlainDatabase>(prepare(locked));
  holder->run(std::string("PRAGMA locking_mode=EXCLUSIVE;") + test::kUpstreamSchema);

  const std::vector<const ServedAgent*> bad{&link, &view, &garbage, &folder, &locked};
  std::vector<Host::Entry> entries{good.entry()};
  for (const auto* agent : bad) {
    entries.push_back(agent->entry());
  }
  host.register_agents(entries);
  host.configure(kEverySecond);
  auto daemon = host.start({"run"});
  await_ticks(good.path, 2);

  const auto check = e2e::parse_json(host.run({"check", "--json"}).output)["agents"];
  const auto listed = e2e::parse_json(host.run({"agents", "--json"}).output)["agents"];
  for (const auto* agent : bad) {
    for (const auto* said : {&check, &listed}) {
      const auto& about = said->with("name", agent->name);
      INFO(agent->name << ": " << about["reason"].text);
      CHECK(about["state"].text == "unavailable");
      CHECK_FALSE(about["reason"].text.empty());
    }
    CHECK(daemon.complains("event=ledger_failed of=" + check.with("name", agent->name)["id"].text));
  }
  CHECK(check.with("name", "good")["state"].text == "idle");

  for (const auto* agent : {&link, &view, &garbage, &folder}) {
    fs::remove(e2e::ledger_file(agent->path));
  }
  holder.reset();
  for (const auto* agent : bad) {
    INFO(agent->name);
    await_ticks(agent->path, 1);
    CHECK(checked(host, agent->name)["state"].text == "idle");
  }
  end(daemon);
  CHECK(test::text_of_file(host / "victim").empty());
  for (const auto* agent : bad) {
    CHECK(e2e::is_intact(agent->path));
  }
}
