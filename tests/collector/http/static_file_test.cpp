#include "collector/http/static_file.h"

#include <catch2/catch.hpp>
#include <map>

using namespace fleetledger;

namespace {

Response ask(const StaticFile& file, std::optional<std::string> if_none_match = {}) {
  Request request;
  request.if_none_match = std::move(if_none_match);
  return answer_with(file, request);
}

}  // namespace

TEST_CASE("A static file comes with its type and a tag that changes with its bytes") {
  const StaticFile file = make_static_file("text/css", "body{}");
  const Response response = ask(file);
  CHECK(response.status == 200);
  CHECK(response.body.view() == "body{}");
  CHECK(std::map<std::string, std::string>(response.headers.begin(), response.headers.end()) ==
        std::map<std::string, std::string>{{"ETag", file.etag}, {"Content-Type", "text/css"}});
  CHECK(make_static_file("text/css", "body{}").etag == file.etag);
  CHECK(make_static_file("text/css", "body{ }").etag != file.etag);
}

TEST_CASE("A client that has the file is told so, without the file") {
  const StaticFile file = make_static_file("text/css", "body{}");
  for (const std::string& has :
       {file.etag, "W/" + file.etag, "\"a,b\", " + file.etag + ", \"c\"", std::string("*"), "\"a\"," + file.etag}) {
    INFO(has);
    const Response response = ask(file, has);
    CHECK(response.status == 304);
    CHECK(response.body.view().empty());
    CHECK(response.headers == decltype(response.headers){{"ETag", file.etag}});
  }
}

TEST_CASE("A client that has something else gets the file") {
  const StaticFile file = make_static_file("text/css", "body{}");
  const std::string bare = file.etag.substr(1, file.etag.size() - 2);
  for (const std::string& has : {std::string(), std::string("\"a\""), bare, "\"" + bare, "\"x" + bare + "\"",
                                 std::string("\"*\""), "\"\"" + bare + "\"\""}) {
    INFO(has);
    CHECK(ask(file, has).status == 200);
  }
}
