#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "collector/discovery/safe_file.h"
#include "core/read_mark.h"
#include "core/result.h"

namespace fleetledger {

/// Reads one file line by line from a mark on, and knows the mark for what it has read. What lies in memory at a time
/// does not depend on the file.
class LineReader {
 public:
  static constexpr std::size_t kFingerprinted = 256;  ///< so many bytes before the mark, at most

  /// From its beginning.
  explicit LineReader(const OpenFile& file);
  /// From a mark in this very file. Nothing if that is not what it was: it was truncated, written anew, or is another.
  [[nodiscard]] static Result<std::optional<LineReader>> at(const OpenFile& file, const ReadMark& mark);

  enum class Line { line, too_long, end };
  /// The next line, without its break; good until the next call. One that is too long comes once, without its text.
  /// `last_counts`: also what follows the last break.
  [[nodiscard]] Result<Line> next(bool last_counts);
  [[nodiscard]] std::string_view line() const { return line_; }

  [[nodiscard]] std::uint64_t bytes() const { return read_; }  ///< read from the file so far

  /// Behind what next() has given. `memory` is what the caller wants kept with it.
  [[nodiscard]] ReadMark mark(std::string_view memory) const;
  /// The memory in a mark.
  [[nodiscard]] static std::string_view memory_in(const ReadMark& mark);

 private:
  void consume(std::size_t length);

  const OpenFile* file_;
  std::uint64_t offset_ = 0;  ///< where `buffer_` begins in the file
  std::string buffer_;
  std::size_t begin_ = 0;  ///< in `buffer_`: the first byte that was not given
  std::string tail_;       ///< what lies right before `offset_`
  std::string_view line_;
  bool skipping_ = false;  ///< in the midst of a line that is too long
  std::uint64_t read_ = 0;
};

}  // namespace fleetledger
