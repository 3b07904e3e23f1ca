#include "tests/fuzz/http_targets.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <map>
#include <optional>
#include <rapidjson/document.h>
#include <rapidjson/memorystream.h>
#include <string>
#include <vector>

#include "collector/api/json_writer.h"
#include "collector/api/ledger_json.h"
#include "collector/api/metrics.h"
#include "collector/api/parameters.h"
#include "collector/commands/table.h"
#include "collector/commands/top_view.h"
#include "collector/http/answer_reader.h"
#include "collector/http/host_name.h"
#include "collector/http/query.h"
#include "config/values.h"
#include "tests/collector/api/api_fixture.h"
#include "tests/fuzz/fuzz.h"

namespace fleetledger::fuzz {
namespace {

/// JSON by RapidJSON's own rules, with valid UTF-8.
rapidjson::Document read_json(std::string_view text) {
  rapidjson::Document document;
  rapidjson::MemoryStream stream(text.data(), text.size());
  document.ParseStream<rapidjson::kParseValidateEncodingFlag | rapidjson::kParseIterativeFlag, rapidjson::UTF8<>>(
      stream);
  expect(!document.HasParseError(), "what is written as JSON is JSON");
  return document;
}

std::string percent_encoded(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    encoded += {'%', kDigits[byte >> 4U], kDigits[byte & 15U]};
  }
  return encoded;
}

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

void expect_clean(std::string_view text) {
  expect(std::none_of(text.begin(), text.end(), is_control), "no control characters");
  expect(find_invalid_utf8(text) == std::string_view::npos, "valid UTF-8");
}

/// Reads an answer that comes in pieces of so many bytes; nothing if it is an error.
std::optional<HttpAnswer> read_answer(std::string_view bytes, std::size_t piece, std::size_t largest) {
  HttpAnswerReader reader(largest);
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    auto answer = reader.add(bytes.substr(at, piece));
    if (!answer) {
      expect_message(answer.error().text);
      return std::nullopt;
    }
    if (*answer) {
      return std::move(**answer);
    }
  }
  auto answer = reader.end();
  expect(!answer || *answer, "at the end there is an answer or an error");
  return answer ? std::move(*answer) : std::nullopt;
}

/// The value of a label as its reader sees it; takes it off `line` with its closing quote.
std::string take_label_value(std::string_view& line) {
  std::string value;
  for (;;) {
    expect(!line.empty() && line.front() != '\n', "a label's value is closed");
    const char c = line.front();
    line.remove_prefix(1);
    if (c == '"') {
      return value;
    }
    if (c != '\\') {
      value += c;
      continue;
    }
    expect(!line.empty() && (line.front() == '\\' || line.front() == '"' || line.front() == 'n'), "an escape is one");
    value += line.front() == 'n' ? '\n' : line.front();
    line.remove_prefix(1);
  }
}

/// Reads a page of the format 0.0.4 strictly. Calls visit(metric, labels) for each series.
template <typename Visit>
void read_page(std::string_view page, Visit visit) {
  expect(page.empty() || page.back() == '\n', "a line has an end");
  while (!page.empty()) {
    auto line = page.substr(0, page.find('\n'));
    page.remove_prefix(line.size() + 1);
    expect_clean(line);
    if (line.starts_with("# HELP ") || line.starts_with("# TYPE ")) {
      continue;
    }
    const auto name = line.substr(0, line.find_first_of("{ "));
    expect(!name.empty() && name.find_first_not_of("abcdefghijklmnopqrstuvwxyz_") == std::string_view::npos, "a name");
    line.remove_prefix(name.size());
    std::map<std::string, std::string> labels;
    if (line.starts_with('{')) {
      do {
        line.remove_prefix(1);
        const auto label = std::string(line.substr(0, line.find('=')));
        expect(!labels.contains(label), "a label is there once");
        line.remove_prefix(std::min(label.size() + 2, line.size()));
        labels[label] = take_label_value(line);
      } while (line.starts_with(','));
      expect(line.starts_with('}'), "labels are closed");
      line.remove_prefix(1);
    }
    expect(line.starts_with(' ') && line.size() > 1, "a value follows");
    const std::string value(line.substr(1));
    char* end = nullptr;
    std::strtod(value.c_str(), &end);
    expect(*end == '\0', "the value is a number");
    visit(name, labels);
  }
}

}  // namespace

void http_target(std::string_view bytes) {
  const auto target = parse_target(bytes);
  if (!target) {
    return expect_message(target.error().text);
  }
  std::string encoded;
  for (const auto& segment : target->path) {
    expect_clean(segment);
    encoded += '/' + percent_encoded(segment);
  }
  expect(target->query.all().size() <= Query::kMostParameters, "not too many parameters");
  char separator = '?';
  for (const auto& [name, value] : target->query.all()) {
    expect_clean(name);
    expect_clean(value);
    encoded += separator + percent_encoded(name) + '=' + percent_encoded(value);
    separator = '&';
    const auto* only = target->query.only(name);
    expect(only == nullptr || *only == value, "what was given once is found");
  }
  const auto again = parse_target(encoded);
  expect(again && again->path == target->path && again->query.all() == target->query.all(),
         "what was read can be encoded and read again");
}

void http_parameters(std::string_view bytes) {
  const Query query({{"n", std::string(bytes)}});
  const double positive = positive_number(query, "n", 7);
  expect(std::isfinite(positive) && positive > 0, "a positive number");
  const auto count = limited_count(query, "n", 200, 2000);
  expect(count >= 1 && count <= 2000, "a count within its limit");
  const auto text = text_value(query, "n");
  expect(text ? *text == bytes && !bytes.empty() : bytes.empty(), "a text as it is");

  const double number = javascript_number(bytes);
  const std::string padded = "\t " + std::string(bytes) + "\xE2\x80\xA9\n";
  const double with_spaces = javascript_number(padded);
  expect(number == with_spaces || (std::isnan(number) && std::isnan(with_spaces)), "white space does not matter");
  // Decimal digits with a fraction and an exponent mean what C says.
  const bool decimal = !bytes.empty() && bytes.size() < 100 && bytes.front() >= '0' && bytes.front() <= '9' &&
                       bytes.find_first_not_of("0123456789.e+-") == std::string_view::npos;
  if (decimal) {
    const std::string terminated(bytes);
    char* end = nullptr;
    const double expected = std::strtod(terminated.c_str(), &end);
    expect(*end == '\0' ? number == expected || (expected < 1e-300 && number < 1e-300) : std::isnan(number),
           "decimal numbers are those of C");
  }
}

/// A `Host`, then a name that is allowed, with a NUL between them.
void host_name(std::string_view bytes) {
  Input input(bytes);
  const std::string host(input.part());
  const std::vector<std::string> allowed{std::string(input.part())};
  const bool ours = is_our_host(host, allowed);
  expect(!is_our_host(host, {}) || ours, "an allowed name takes none away");
  if (host.find_first_of(":[]") == std::string::npos) {
    expect(is_our_host(host + ":4100", allowed) == ours, "a port does not matter");
    const bool named = host.starts_with("127.") || host.size() == std::string_view("localhost").size();
    expect(!ours || named || host.size() == allowed.front().size(), "no other name is ours");
  }
  std::string upper = host;
  std::transform(upper.begin(), upper.end(), upper.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
  expect(is_our_host(upper, allowed) == ours, "case does not matter");
}

void http_answer(std::string_view bytes) {
  constexpr std::size_t kLargest = 64;
  const auto whole = read_answer(bytes, bytes.size() + 1, kLargest);
  for (const std::size_t piece : {1U, 7U}) {
    const auto cut = read_answer(bytes, piece, kLargest);
    expect(cut.has_value() == whole.has_value(), "how an answer is cut does not matter");
    expect(!cut || (cut->status == whole->status && cut->body == whole->body), "nor to what it says");
  }
  if (whole) {
    expect(whole->status >= 100 && whole->status <= 999 && whole->body.size() <= kLargest, "within its limits");
    expect(bytes.find(whole->body) != std::string_view::npos, "a body is what came");
  }
}

void cursor(std::string_view bytes) {
  if (const auto read = parse_cursor(bytes)) {
    const auto again = parse_cursor(cursor_text(*read));
    expect(again && again->ts == read->ts && again->source == read->source, "a cursor reads back");
  }
  Input input(bytes);
  const auto ts = static_cast<std::int64_t>(input.number() >> 18U);  // as far as ledgers have times
  const SampleCursor written{WallTime{std::chrono::milliseconds{ts}}, std::string(input.part())};
  if (!written.source.empty()) {
    const auto read = parse_cursor(cursor_text(written));
    expect(read && read->ts == written.ts && read->source == written.source, "what is written is read");
  }
}

/// A request's target, whose token it has (a letter) and which agent it names, with NULs between them, in a fleet with
/// foreign names. All answers are what they should be, and none holds a token.
void api(std::string_view bytes) {
  Input input(bytes);
  const std::string target(input.part());
  const auto token = input.part();
  const std::string header(input.part());
  if (!parse_target(target)) {
    return;
  }
  test::ApiFixture host;
  host.add("echo");
  const auto foreign = input.part();
  const auto& agent = host.add("echo", {true, true}, test::ApiFixture::readable(std::string(20, 'f')));
  host.fleet->agents.back().identity.name = foreign;
  host.fleet->agents.back().reason = foreign;
  host.fleet->agents.back().live_sessions = {{"s-1", std::string(foreign), std::string(foreign)}};
  host.write(agent, {{.ts = test::at_ms(1'799'999'999'000), .source = "session:" + std::string(foreign), .pid = 7}},
             {{.id = "x:1:1",
               .ts = test::at_ms(1'799'999'999'000),
               .kind = "throttle",
               .source = "session-sentinel",
               .session_name = std::string(foreign),
               .reason = std::string(foreign)}});
  const auto known = token == "o"   ? std::string(test::kOperatorToken)
                     : token == "m" ? std::string(test::kMetricsToken)
                     : token == "a" ? test::ApiFixture::token_of("echo")
                     : token == "f" ? std::string(20, 'f')
                                    : std::string(token);
  const auto response = host.get(target, known, header.empty() ? std::nullopt : std::optional(header));
  const auto body = response.body.view();
  constexpr std::array kStatuses{200, 301, 302, 304, 308, 400, 401, 403, 404, 409, 503};
  expect(std::find(kStatuses.begin(), kStatuses.end(), response.status) != kStatuses.end(), "a status of ours");
  const bool is_known = known == test::kOperatorToken || known == test::kMetricsToken ||
                        known == test::ApiFixture::token_of("echo") || known == std::string(20, 'f');
  for (const auto& [name, value] : response.headers) {
    expect_clean(name);
    expect_clean(value);
    if (name == "Content-Type" && value.starts_with("application/json")) {
      read_json(body);
    }
  }
  for (const std::string_view secret : {test::kOperatorToken, test::kMetricsToken, "echo-token-0123456789"}) {
    expect(body.find(secret) == std::string_view::npos || target.find(secret) != std::string::npos ||
               header.find(secret) != std::string::npos || foreign.find(secret) != std::string_view::npos,
           "no answer has a token");
  }
  const bool about_agents = target.starts_with("/agents") || target.starts_with("/fleet") ||
                            target.starts_with("/resources") || target.starts_with("/processes");
  expect(!about_agents || is_known || response.status != 200, "nothing of agents without a token");
}

/// Each byte writes something; texts are what stands up to the next NUL.
void json_writer(std::string_view bytes) {
  constexpr std::size_t kDeepest = 200;
  Input input(bytes);
  JsonWriter json;
  std::vector<bool> objects;  // of what is open: is it an object
  std::vector<std::string> texts;
  json.array();
  objects.push_back(false);
  while (!input.empty() && !objects.empty()) {
    const auto what = input.byte() % 9;
    if (what == 0) {
      json.end();
      objects.pop_back();
      continue;
    }
    if (objects.back()) {
      json.key(input.part());
    }
    if (what == 1 && objects.size() < kDeepest) {
      json.object();
      objects.push_back(true);
    } else if (what == 2 && objects.size() < kDeepest) {
      json.array();
      objects.push_back(false);
    } else if (what == 3) {
      const auto bits = input.number();
      double number = 0;
      static_assert(sizeof number == sizeof bits);
      std::memcpy(&number, &bits, sizeof number);
      json.value(number);
    } else if (what == 4) {
      json.value(static_cast<std::int64_t>(input.number()));
    } else if (what == 5) {
      json.value(input.number());
    } else if (what == 6) {
      json.null();
    } else {
      texts.emplace_back(input.part());
      json.value(texts.back());
    }
  }
  for (; !objects.empty(); objects.pop_back()) {
    json.end();
  }
  read_json(json.take());
  // And a text by itself, which reads back if it is one.
  for (const auto& text : texts) {
    JsonWriter one;
    one.object().field("text", text).end();
    const auto document = read_json(one.take());
    const auto& read = document["text"];
    const std::string_view back(read.GetString(), read.GetStringLength());
    expect(back == valid_utf8(text) && (find_invalid_utf8(text) != std::string_view::npos || back == text),
           "a text reads back");
  }
}

/// An agent's path and name and a session's id and name, with NULs between them; then numbers.
void metrics(std::string_view bytes) {
  Input input(bytes);
  AgentMetrics agent;
  const std::string path(input.part());
  const std::string foreign(input.part());
  agent.counted.identity = {agent_id(foreign, path), foreign, path};
  agent.shows_cpu = true;
  agent.state = AgentState::sampling;
  agent.live_sessions = 1;
  SessionMetrics session;
  session.key = {agent.counted.identity.id, std::string(input.part())};
  session.counted.name = input.part();
  agent.counted.cpu = {Usage{Micros{static_cast<std::int64_t>(input.number() >> 1U)}}, Usage{}, Usage{}};
  agent.roles = {RoleTotals{Usage{}, Bytes{static_cast<std::int64_t>(input.number() >> 1U)}, 1}, {}, {}};
  MetricsView view;
  view.version = "0.1.0";
  view.most_sessions = 1;
  view.last_look = WallTime{std::chrono::milliseconds{static_cast<std::int64_t>(input.number() >> 20U)}};
  const auto seen = [](std::string_view name_of_theirs) {
    auto text = valid_utf8(name_of_theirs);
    std::replace_if(text.begin(), text.end(), is_control, '?');
    return text;
  };
  const auto id = seen(agent.counted.identity.id);
  const auto name = seen(session.counted.name);
  view.agents.push_back(std::move(agent));
  view.sessions.push_back(std::move(session));
  bool agent_seen = false;
  bool name_seen = false;
  read_page(metrics_text(view), [&](std::string_view metric, const std::map<std::string, std::string>& labels) {
    if (metric == "fleetledger_agent_live_sessions") {
      agent_seen = labels.at("agent") == id;
    } else if (metric == "fleetledger_session_info") {
      name_seen = labels.at("name") == name;
    }
  });
  expect(agent_seen && name_seen, "names read back");
}

void printable_text(std::string_view bytes) {
  const auto shown = printable(bytes);
  expect_clean(shown);
  expect(shown.size() <= bytes.size() && printable(shown) == shown, "what is printable stays");
  for (const std::size_t widest : {1U, 7U, 80U}) {
    const auto cut = shortened(shown, widest);
    expect_clean(cut);
    const auto shown_width = std::count_if(cut.begin(), cut.end(), [](char c) { return (c & '\xC0') != '\x80'; });
    expect(static_cast<std::size_t>(shown_width) <= widest, "no wider than asked for");
  }
}

/// An answer of /fleet/now, as foreign as it may be.
void top(std::string_view bytes) {
  const auto fleet = JsonDocument::parse(bytes);
  if (!fleet) {
    return expect_message(fleet.error().text);
  }
  if (has_numbers(fleet->root()) && bytes.starts_with('{')) {
    // It is passed on as it came, and so are half pairs of surrogates, which only some readers take.
    const auto shown = top_json(std::string(bytes), {.collector = false, .why = std::string(bytes), .age = {}});
    expect(JsonDocument::parse(shown).has_value(), "what is shown as JSON is read as what it came from is");
  }
  for (const std::size_t width : {80U, 200U}) {
    for (const auto& line : top_lines(fleet->root(), {}, {.width = width, .height = width == 80 ? 30U : 0U})) {
      expect_clean(line);
      const auto shown = std::count_if(line.begin(), line.end(), [](char c) { return (c & '\xC0') != '\x80'; });
      expect(static_cast<std::size_t>(shown) <= width, "no line is wider than the page");
    }
  }
}

}  // namespace fleetledger::fuzz
