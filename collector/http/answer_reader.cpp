#include "collector/http/answer_reader.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace fleetledger {
namespace {

constexpr std::size_t kLargestHead = std::size_t{16} << 10U;
constexpr std::string_view kHeadEnd = "\r\n\r\n";

bool same_name(std::string_view name, std::string_view lower) {
  return std::equal(name.begin(), name.end(), lower.begin(), lower.end(),
                    [](char c, char wanted) { return (c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c) == wanted; });
}

template <typename Number>
bool read_digits(std::string_view text, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() && text.front() != '-';
}

/// `lines` each end with "\r\n": "HTTP/1.x NNN ...", then "Name: value".
std::optional<HttpHead> parse_head(std::string_view lines) {
  HttpHead head;
  if (lines.size() < 14 || !lines.starts_with("HTTP/1.") || lines[8] != ' ' ||
      !read_digits(lines.substr(9, 3), head.status) || head.status < 100 || (lines[12] != ' ' && lines[12] != '\r')) {
    return std::nullopt;
  }
  for (lines.remove_prefix(lines.find("\r\n") + 2); !lines.empty();) {
    const auto end = lines.find("\r\n");
    const auto line = lines.substr(0, end);
    const auto colon = line.find(':');
    if (colon == std::string_view::npos) {
      return std::nullopt;
    }
    const auto name = line.substr(0, colon);
    if (same_name(name, "transfer-encoding") || same_name(name, "content-encoding")) {
      return std::nullopt;  // not asked for
    }
    if (same_name(name, "content-length")) {
      auto value = line.substr(colon + 1);
      value.remove_prefix(std::min(value.find_first_not_of(' '), value.size()));
      std::size_t length = 0;
      if (head.length || value.empty() || !read_digits(value, length)) {
        return std::nullopt;
      }
      head.length = length;
    }
    lines.remove_prefix(end + 2);
  }
  return head;
}

tl::unexpected<Error> refuse(std::string why) { return fail(std::move(why), Error::Kind::invalid); }

}  // namespace

Result<std::optional<HttpAnswer>> HttpAnswerReader::add(std::string_view bytes) {
  // The head's end can begin in what was there before.
  const auto from = text_.size() - std::min(text_.size(), kHeadEnd.size() - 1);
  text_ += bytes;
  if (!head_) {
    const auto end = text_.find(kHeadEnd, from);
    const bool ended = end != std::string::npos;
    // However the answer is cut: a head that has not ended may still do so with its last bytes.
    if (ended ? end > kLargestHead : text_.size() >= kLargestHead + kHeadEnd.size()) {
      return refuse("its answer's head is too long");
    }
    if (!ended) {
      return std::nullopt;
    }
    head_ = parse_head(std::string_view(text_).substr(0, end + 2));
    if (!head_) {
      return refuse("its answer is no HTTP");
    }
    body_ = end + kHeadEnd.size();
  }
  const auto size = text_.size() - body_;
  if (head_->length.value_or(size) > largest_body_) {
    return refuse("its answer is too long");
  }
  if (!head_->length || size < *head_->length) {
    return std::nullopt;
  }
  return HttpAnswer{head_->status, text_.substr(body_, *head_->length)};
}

Result<std::optional<HttpAnswer>> HttpAnswerReader::end() {
  if (!head_ || head_->length) {
    return refuse("its answer is cut short");
  }
  return HttpAnswer{head_->status, text_.substr(body_)};
}

}  // namespace fleetledger
