#include "collector/api/answers.h"

#include <utility>

#include "collector/api/json_writer.h"

namespace fleetledger {

Response json_response(int status, std::string body) {
  return {.status = status, .headers = {{"Content-Type", "application/json"}}, .body = std::move(body)};
}

Response error_response(int status, std::string_view text) {
  JsonWriter json;
  json.object().field("error", text).end();
  return json_response(status, json.take());
}

}  // namespace fleetledger
