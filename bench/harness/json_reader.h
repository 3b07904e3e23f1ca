#pragma once

#include <rapidjson/document.h>
#include <string>

namespace fleetledger::bench {

// Reading JSON that we wrote ourselves: what is not there, or of another kind, reads as nothing.

using Json = rapidjson::Value;

/// null where there is none of that name.
[[nodiscard]] const Json* find_in(const Json& object, const char* name);
/// A JSON null where there is none of that name.
[[nodiscard]] const Json& member_of(const Json& object, const char* name);
[[nodiscard]] double number_in(const Json& object, const char* name);  ///< else 0
[[nodiscard]] std::string text_in(const Json& object, const char* name);
[[nodiscard]] Json::ConstArray list_in(const Json& object, const char* name);

/// A JSON null where the text is none.
[[nodiscard]] rapidjson::Document parsed(const std::string& text);

}  // namespace fleetledger::bench
