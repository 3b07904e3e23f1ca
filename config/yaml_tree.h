#pragma once

#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "config/problem.h"

namespace fleetledger {

struct YamlEntry;

/// One value of a YAML document, with its line. Plain data: nothing of the parsing library.
struct YamlNode {
  enum class Kind { null, scalar, list, map };
  enum class Style {
    plain,     ///< its look tells its type: 5 is a number, true a truth value
    quoted,    ///< text, whatever it looks like
    variable,  ///< from an environment variable: whatever is wanted of it
  };

  Kind kind = Kind::null;
  int line = 1;
  Style style = Style::plain;      ///< of a scalar
  std::string text;                ///< of a scalar
  std::vector<YamlNode> items;     ///< of a list
  std::vector<YamlEntry> entries;  ///< of a map: in the order of the file; a key may occur more than once
};

struct YamlEntry {
  std::string key;
  int line = 1;  ///< the key's
  YamlNode value;
};

struct YamlTree {
  YamlNode root;  ///< null for an empty document, or if nothing could be made of it
  std::vector<Problem> problems;
  /// From this line on the text was not understood: nothing said of what stands there would be more than a guess.
  int lost_at = std::numeric_limits<int>::max();
};

/// Reads one YAML document: block or flow lists and maps of scalars. Everything else is a problem with its line:
/// what is not YAML, not UTF-8, holds NUL, is larger than 1 MiB, nested deeper than 8, has more than 50,000 values,
/// several documents, keys that are not plain text, anchors, aliases and tags. Never throws.
/// What is sound of a document with problems is in the tree all the same, up to lost_at; values that are
/// aliases are left out.
[[nodiscard]] YamlTree parse_yaml(std::string_view text, const std::string& file);

}  // namespace fleetledger
