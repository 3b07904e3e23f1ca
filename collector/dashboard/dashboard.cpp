#include "collector/dashboard/dashboard.h"

#include <map>

#include "collector/dashboard/embedded.h"
#include "collector/http/static_file.h"

namespace fleetledger {
namespace {

std::string_view content_type_of(std::string_view name) {
  if (name.ends_with(".html")) {
    return "text/html; charset=utf-8";
  }
  if (name.ends_with(".css")) {
    return "text/css; charset=utf-8";
  }
  return name.ends_with(".svg") ? "image/svg+xml" : "text/javascript; charset=utf-8";
}

const std::map<std::string_view, StaticFile>& files() {
  static const auto kFiles = [] {
    std::map<std::string_view, StaticFile> files;
    for (const auto& file : embedded_files()) {
      files.emplace(file.name, make_static_file(content_type_of(file.name), file.bytes));
    }
    return files;
  }();
  return kFiles;
}

}  // namespace

std::optional<Response> answer_dashboard_file(std::string_view name, const Request& request) {
  const auto file = files().find(name);
  if (file == files().end()) {
    return std::nullopt;
  }
  auto response = answer_with(file->second, request);
  // Kept by the browser, but asked for each time whether it is still the same: another version may be started.
  response.headers.emplace_back("Cache-Control", "no-cache");
  response.headers.emplace_back("Content-Security-Policy",
                                "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
                                "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
  response.headers.emplace_back("Referrer-Policy", "no-referrer");
  return response;
}

}  // namespace fleetledger
