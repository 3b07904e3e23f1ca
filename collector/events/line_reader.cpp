#include "collector/events/line_reader.h"

#include <algorithm>
#include <span>
#include <utility>

#include "config/sentinel_line.h"
#include "core/fnv.h"

namespace fleetledger {
namespace {

constexpr std::size_t kChunk = std::size_t{128} << 10U;
/// In a mark's memory, before the caller's: the mark is within a line that is too long.
constexpr char kInLongLine = '!';

void keep_end(std::string& text, std::size_t most) {
  if (text.size() > most) text.erase(0, text.size() - most);
}

}  // namespace

LineReader::LineReader(const OpenFile& file) : file_(&file) {}

Result<std::optional<LineReader>> LineReader::at(const OpenFile& file, const ReadMark& mark) {
  LineReader reader(file);
  const auto length = static_cast<std::size_t>(std::min<std::uint64_t>(mark.offset, kFingerprinted));
  reader.tail_.resize(length);
  const auto got = file.read_at(mark.offset - length, reader.tail_);
  if (!got) return fail(got.error());
  if (*got < length || fnv1a(reader.tail_) != mark.fingerprint) return std::nullopt;
  reader.offset_ = mark.offset;
  reader.skipping_ = mark.memory.starts_with(kInLongLine);
  return std::optional(std::move(reader));
}

/// Takes what was given out of the buffer.
void LineReader::consume(std::size_t length) {
  const std::string_view given(buffer_.data(), length);
  tail_.append(given.substr(length - std::min(length, kFingerprinted)));
  keep_end(tail_, kFingerprinted);
  offset_ += length;
  buffer_.erase(0, length);
  begin_ = 0;
}

Result<LineReader::Line> LineReader::next(bool last_counts) {
  std::size_t searched = begin_;
  for (;;) {
    const std::size_t end = buffer_.find('\n', searched);
    if (end != std::string::npos) {
      const std::string_view found = std::string_view(buffer_).substr(begin_, end - begin_);
      begin_ = end + 1;
      searched = begin_;
      if (std::exchange(skipping_, false)) continue;  // it was told when it began
      line_ = found.ends_with('\r') ? found.substr(0, found.size() - 1) : found;
      return found.size() > kLongestSentinelLine ? Line::too_long : Line::line;
    }
    if (skipping_) begin_ = buffer_.size();
    consume(begin_);
    if (buffer_.size() > kLongestSentinelLine + 1) {
      skipping_ = true;
      begin_ = buffer_.size();
      return Line::too_long;
    }
    searched = buffer_.size();
    buffer_.resize(searched + kChunk);
    const auto got = file_->read_at(offset_ + searched, std::span(buffer_).subspan(searched));
    buffer_.resize(searched + got.value_or(0));
    if (!got) return fail(got.error());
    read_ += *got;
    if (*got == 0) {
      if (!last_counts || buffer_.empty()) return Line::end;
      line_ = buffer_;
      begin_ = buffer_.size();
      return Line::line;
    }
  }
}

ReadMark LineReader::mark(std::string_view memory) const {
  const std::string_view given(buffer_.data(), begin_);
  std::string tail = tail_;
  tail.append(given.substr(begin_ - std::min(begin_, kFingerprinted)));
  keep_end(tail, kFingerprinted);
  return {.device = file_->identity().device,
          .inode = file_->identity().inode,
          .offset = offset_ + begin_,
          .fingerprint = fnv1a(tail),
          .memory = (skipping_ ? std::string(1, kInLongLine) : std::string()) + std::string(memory)};
}

std::string_view LineReader::memory_in(const ReadMark& mark) {
  std::string_view memory = mark.memory;
  if (memory.starts_with(kInLongLine)) memory.remove_prefix(1);
  return memory;
}

}  // namespace fleetledger
