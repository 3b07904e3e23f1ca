#include "collector/commands/table.h"

#include <algorithm>
#include <fmt/format.h>

#include "config/values.h"

namespace fleetledger {
namespace {

bool continues(char c) { return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U; }

std::size_t width(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) { return !continues(c); }));
}

/// Those that have no width of their own and change what stands beside them: zero width and direction marks, line and
/// paragraph separators, U+FEFF.
bool disturbs(std::string_view three) {
  const auto last = three.size() == 3 ? static_cast<unsigned char>(three[2]) : 0U;
  return three == "\xEF\xBB\xBF" ||
         (three.starts_with("\xE2\x80") && ((last >= 0x8B && last <= 0x8F) || (last >= 0xA8 && last <= 0xAE))) ||
         (three.starts_with("\xE2\x81") && last >= 0xA0 && last <= 0xAF);
}

}  // namespace

std::string shortened(std::string text, std::size_t widest) {
  if (width(text) <= widest) {
    return text;
  }
  std::size_t at = 0;
  for (std::size_t shown = 0; shown + 1 < widest; ++shown) {
    do {
      ++at;
    } while (at < text.size() && continues(text[at]));
  }
  return text.substr(0, at) + "…";
}

std::string printable(std::string_view text) {
  std::string shown;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const auto next = i + 1 < text.size() ? static_cast<unsigned char>(text[i + 1]) : 0U;
    if (byte < 0x20 || byte == 0x7F) {
      shown += '?';
    } else if (byte == 0xC2 && next < 0xA0) {  // U+0080 to U+009F are control characters too
      shown += '?';
      ++i;
    } else if (disturbs(text.substr(i, 3))) {
      shown += '?';
      i += 2;
    } else {
      shown += text[i];
    }
  }
  for (auto at = find_invalid_utf8(shown); at != std::string::npos; at = find_invalid_utf8(shown, at)) {
    shown[at] = '?';
  }
  return shown;
}

std::string Table::text() const {
  std::vector<std::vector<std::string>> lines;
  lines.emplace_back();
  for (const auto& column : columns_) {
    lines.back().push_back(column.header);
  }
  std::vector<std::size_t> widths(columns_.size());
  for (const auto& row : rows_) {
    lines.push_back(row);
  }
  for (auto& line : lines) {
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      line[i] = shortened(printable(line[i]), columns_[i].widest);
      widths[i] = std::max(widths[i], width(line[i]));
    }
  }
  std::string text;
  for (const auto& line : lines) {
    std::string shown;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      const std::string space(widths[i] - width(line[i]), ' ');
      shown += i == 0 ? "" : "  ";
      shown += columns_[i].align == Align::right ? space + line[i] : line[i] + space;
    }
    shown.erase(shown.find_last_not_of(' ') + 1);
    text += shown + '\n';
  }
  return text;
}

std::string fixed(double number, int decimals) { return fmt::format("{:.{}f}", number, decimals); }

std::string mebibytes(double bytes) { return fixed(bytes / (1024.0 * 1024.0), 1); }

}  // namespace fleetledger
