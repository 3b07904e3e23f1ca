#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace fleetledger {

/// A table for people: columns aligned, two spaces between them, headers first. Text that came from outside is made
/// printable, so that no name can move the cursor; of a name too long for 80 columns the end is cut ("…").
class Table {
 public:
  enum class Align { left, right };
  struct Column {
    std::string header;
    Align align = Align::left;
    std::size_t widest = 80;  ///< longer cells are cut
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  /// As many cells as there are columns.
  void row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  [[nodiscard]] std::string text() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

/// Control characters, those that turn or hide what stands beside them, and bytes that are no UTF-8 as '?'.
[[nodiscard]] std::string printable(std::string_view text);

/// Of a longer text the first characters and "…".
[[nodiscard]] std::string shortened(std::string text, std::size_t widest);

/// "12.3": to so many decimals.
[[nodiscard]] std::string fixed(double number, int decimals);
/// Bytes as MiB with one decimal.
[[nodiscard]] std::string mebibytes(double bytes);

}  // namespace fleetledger
