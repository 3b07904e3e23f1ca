#include "config/yaml_tree.h"

#include <algorithm>
#include <sstream>
#include <utility>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include "config/values.h"

namespace fleetledger {
namespace {

constexpr std::size_t kLargestText = std::size_t{1} << 20U;
constexpr std::size_t kDeepest = 8;
constexpr std::size_t kMostValues = 50'000;

// Reading on would be pointless or dangerous; the problem is noted already.
struct Stop {};

int line_of(const YAML::Mark& mark) { return mark.is_null() ? 1 : mark.line + 1; }

// Builds the tree out of the parser's events. yaml-cpp's own nodes are not used: they keep duplicate keys in silence,
// share what aliases name, and remember no line for a key.
class TreeBuilder : public YAML::EventHandler {
 public:
  TreeBuilder(YamlTree& tree, const std::string& file) : tree_(tree), file_(file) {}

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1) stop(line_of(mark), "a second document starts here; only one is read");
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    add(node(YamlNode::Kind::null, mark, "", anchor));
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    problem(line_of(mark), "anchors and aliases are not supported");
    if (open_.empty()) return;
    if (open_.back().kind == YamlNode::Kind::list) return;
    // In a map the pairs have to stay pairs, so its key or value is left out when the map is complete.
    left_out_.push_back({open_.size(), open_.back().items.size()});
    add(node(YamlNode::Kind::null, mark, "", YAML::NullAnchor));
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    YamlNode scalar = node(YamlNode::Kind::scalar, mark, tag, anchor);
    scalar.style = tag == "!" ? YamlNode::Style::quoted : YamlNode::Style::plain;
    scalar.text = value;
    if (value.find('\0') != std::string::npos) {
      problem(line_of(mark), "a NUL character is not allowed");
      std::erase(scalar.text, '\0');
    }
    // The library makes single bytes of the escapes \N and \_.
    if (find_invalid_utf8(scalar.text) != std::string::npos) {
      problem(line_of(mark), "this is not UTF-8");
      scalar.text = "\uFFFD";
    }
    add(std::move(scalar));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(node(YamlNode::Kind::list, mark, tag, anchor));
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(node(YamlNode::Kind::map, mark, tag, anchor));
  }
  void OnMapEnd() override {
    pair_up(open_.back());
    close();
  }

  // Closes what a stop or an error of syntax left open, so that what came before it is looked at too.
  void finish() {
    while (!open_.empty()) {
      if (open_.back().kind == YamlNode::Kind::map) pair_up(open_.back());
      close();
    }
  }

  // A problem after which the text makes no sense any more.
  void lose(int line, std::string message) {
    tree_.lost_at = line;
    problem(line, std::move(message));
  }

  void problem(int line, std::string message) { tree_.problems.push_back({file_, line, "", std::move(message)}); }

 private:
  [[noreturn]] void stop(int line, std::string message) {
    lose(line, std::move(message));
    throw Stop{};
  }

  YamlNode node(YamlNode::Kind kind, const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    const int line = line_of(mark);
    if (++values_ > kMostValues) stop(line, "more than " + std::to_string(kMostValues) + " values");
    if (anchor != YAML::NullAnchor) problem(line, "anchors and aliases are not supported");
    if (!tag.empty() && tag != "?" && tag != "!") problem(line, "tags are not supported");
    YamlNode made;
    made.kind = kind;
    made.line = line;
    return made;
  }

  void open(YamlNode node) {
    if (open_.size() >= kDeepest) stop(node.line, "nested deeper than " + std::to_string(kDeepest) + " levels");
    open_.push_back(std::move(node));
  }

  void close() {
    YamlNode done = std::move(open_.back());
    open_.pop_back();
    add(std::move(done));
  }

  // While a map is open, its keys and values are its items in turn.
  void add(YamlNode node) {
    if (open_.empty()) {
      tree_.root = std::move(node);
    } else {
      open_.back().items.push_back(std::move(node));
    }
  }

  void pair_up(YamlNode& map) {
    for (std::size_t at = 0; at + 1 < map.items.size(); at += 2) {
      YamlNode& key = map.items[at];
      YamlNode& value = map.items[at + 1];
      if (is_left_out(at) || is_left_out(at + 1)) continue;
      if (key.kind != YamlNode::Kind::scalar) {
        problem(key.line, "a key must be plain text");
        continue;
      }
      // The parser notices that nothing follows a key only where the next thing starts.
      if (value.kind == YamlNode::Kind::null) value.line = key.line;
      map.entries.push_back({std::move(key.text), key.line, std::move(value)});
    }
    map.items.clear();
    std::erase_if(left_out_, [&](const auto& place) { return place.first == open_.size(); });
  }

  bool is_left_out(std::size_t item) const {
    return std::find(left_out_.begin(), left_out_.end(), std::pair(open_.size(), item)) != left_out_.end();
  }

  YamlTree& tree_;
  const std::string& file_;
  std::vector<YamlNode> open_;
  std::vector<std::pair<std::size_t, std::size_t>> left_out_;  // aliases in open maps: how deep the map, which item
  std::size_t values_ = 0;
  int documents_ = 0;
};

int line_at(std::string_view text, std::size_t offset) {
  return 1 + static_cast<int>(std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(offset), '\n'));
}

}  // namespace

YamlTree parse_yaml(std::string_view text, const std::string& file) {
  YamlTree tree;
  TreeBuilder builder(tree, file);
  if (text.size() > kLargestText) {
    builder.problem(line_at(text, kLargestText), "the file is larger than 1 MiB");
    return tree;
  }
  if (const std::size_t at = text.find('\0'); at != std::string_view::npos) {
    builder.problem(line_at(text, at), "a NUL character is not allowed");
    return tree;
  }
  if (const std::size_t at = find_invalid_utf8(text); at != std::string_view::npos) {
    builder.problem(line_at(text, at), "this is not UTF-8");
    return tree;
  }
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const Stop&) {
    // Its reason is among the problems.
  } catch (const YAML::Exception& error) {
    const std::string what = quoted(error.msg);
    builder.lose(line_of(error.mark), "not valid YAML: " + what.substr(1, what.size() - 2));
  } catch (const std::exception& error) {
    builder.lose(1, std::string("cannot be read as YAML: ") + error.what());
  }
  builder.finish();
  return tree;
}

}  // namespace fleetledger
