#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "core/result.h"

namespace fleetledger {

/// What a server answered.
struct HttpAnswer {
  int status = 0;
  std::string body;
};

/// What we use of an answer's head.
struct HttpHead {
  int status = 0;
  std::optional<std::size_t> length;  ///< of the body; nothing: until the connection is closed
};

/// Puts one answer to an HTTP/1.0 request together from what comes, however it is cut. Foreign text: a head of more
/// than 16 KiB, a body above the limit, a body in an encoding that was not asked for, and what is no answer are Errors,
/// Kind::invalid; after one the reader is done with.
class HttpAnswerReader {
 public:
  explicit HttpAnswerReader(std::size_t largest_body) : largest_body_(largest_body) {}

  /// The answer as soon as it is whole; what comes after it is left out.
  [[nodiscard]] Result<std::optional<HttpAnswer>> add(std::string_view bytes);
  /// The server has closed the connection.
  [[nodiscard]] Result<std::optional<HttpAnswer>> end();

 private:
  std::size_t largest_body_;
  std::string text_;
  std::optional<HttpHead> head_;
  std::size_t body_ = 0;
};

}  // namespace fleetledger
