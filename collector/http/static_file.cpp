#include "collector/http/static_file.h"

#include <array>
#include <cstdint>
#include <cstdio>

namespace fleetledger {
namespace {

/// FNV-1a of 64 bits.
std::uint64_t hash_of(std::string_view bytes) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

/// `header` is "*" or a list of tags in double quotes, each with or without W/ before it.
bool names(std::string_view header, std::string_view etag) {
  if (header == "*") return true;
  while (true) {
    const std::size_t begin = header.find('"');
    const std::size_t end = begin == std::string_view::npos ? begin : header.find('"', begin + 1);
    if (end == std::string_view::npos) return false;
    if (header.substr(begin, end + 1 - begin) == etag) return true;
    header.remove_prefix(end + 1);
  }
}

}  // namespace

StaticFile make_static_file(std::string_view content_type, std::string_view bytes) {
  std::array<char, 32> etag{};
  std::snprintf(etag.data(), etag.size(), "\"%016llx\"", static_cast<unsigned long long>(hash_of(bytes)));
  return {.content_type = content_type, .bytes = bytes, .etag = etag.data()};
}

Response answer_with(const StaticFile& file, const Request& request) {
  Response response{.status = 304, .headers = {{"ETag", file.etag}}, .body = {}};
  if (request.if_none_match && names(*request.if_none_match, file.etag)) return response;
  response.status = 200;
  response.headers.emplace_back("Content-Type", file.content_type);
  response.body = Body::of_static(file.bytes);
  return response;
}

}  // namespace fleetledger
