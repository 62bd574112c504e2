#include "wire/routes.h"

#include <catch2/catch.hpp>
#include <set>
#include <string>

namespace interlink::wire {
namespace {

const std::string kId(64, 'a');
const std::string kCid = std::string(63, '0') + "f";

Routing Site(std::string_view method, const std::string& target) {
  return MatchRoute(Listener::kSite, method, target);
}

TEST_CASE("every route is found again from the request that the client makes for it") {
  const PathParameters path{.sandbox = SandboxId(kId),
                            .container = ContainerId(kCid),
                            .digest = "sha256:" + kId,
                            .pull = kCid,
                            .node = "node 1/\xC3\xA4",
                            .any_id = kId};
  std::set<std::string_view> names;
  for (const RouteEntry& entry : Routes()) {
    const Target target = MakeTarget(entry.route, path);
    const Routing routing = MatchRoute(entry.listener, target.method, target.target);

    INFO(entry.name << " " << target.target << " " << routing.why.ToString());
    REQUIRE(routing.entry == &entry);
    CHECK(&EntryOf(entry.route) == &entry);
    CHECK(names.insert(entry.name).second);
    const auto names_it = [&](const char* parameter) {
      return entry.path.find(parameter) != std::string_view::npos;
    };
    CHECK(routing.path.sandbox.str() == (names_it("{id}") ? kId : ""));
    CHECK(routing.path.container.str() == (names_it("{cid}") ? kCid : ""));
    CHECK(routing.path.node == (names_it("{node}") ? "node 1/\xC3\xA4" : ""));
    CHECK(routing.path.pull == (names_it("{pull}") ? kCid : ""));
    CHECK(routing.path.digest == (names_it("{digest}") ? "sha256:" + kId : ""));
  }
}

TEST_CASE("the routes of the control socket are not reachable from outside") {
  CHECK(Site("GET", "/control/v1/nodes").http_status == 404);
  CHECK(MatchRoute(Listener::kControl, "GET", "/v1/info").http_status == 404);
  CHECK(MatchRoute(Listener::kControl, "GET", "/control/v1/nodes").entry != nullptr);
}

TEST_CASE("only the probes are open to anybody") {
  std::set<std::string_view> open;
  for (const RouteEntry& entry : Routes())
    if (entry.access == Access::kOpen) open.insert(entry.path);
  CHECK(open == std::set<std::string_view>{"/healthz", "/readyz", "/pinglink"});
}

TEST_CASE("an unknown path is 404") {
  const std::string target =
      GENERATE("/", "", "/v1", "/v1/", "/v1/info/", "//v1/info", "/v1//info", "/V1/info",
               "/v1/%69nfo", "/v1/./info", "/v1/x/../info", "v1/info", "*", "http://h/v1/info",
               "/v1/sandboxes/", "/v2/info", "/v1/sandboxes/x/containers//exec");
  const Routing routing = Site("GET", target);
  INFO(target);
  CHECK(routing.entry == nullptr);
  CHECK(routing.http_status == 404);
  CHECK(routing.why.code() == Code::kNotFound);
}

TEST_CASE("a known path with another method is 405 and says which are allowed") {
  const Routing routing = Site("PATCH", "/v1/sandboxes/" + kId);
  CHECK(routing.http_status == 405);
  CHECK(routing.allow == "PUT, GET, DELETE");
  CHECK(Site("get", "/v1/info").http_status == 405);
}

TEST_CASE("an id that is not 64 lower-case hex digits is 400 and named") {
  const std::string id =
      GENERATE(as<std::string>{}, "abc", "..", "%2e%2e", std::string(64, 'A'), std::string(65, 'a'),
               std::string(63, 'a') + "g", std::string(63, 'a') + "%61");
  const Routing routing = Site("GET", "/v1/sandboxes/" + id);
  INFO(id);
  CHECK(routing.entry == nullptr);
  CHECK(routing.http_status == 400);
  CHECK(routing.why ==
        InvalidArgument("\"id\" in the path must be 64 lower-case hexadecimal digits"));
}

TEST_CASE("image references travel in the query, whatever characters they have") {
  const std::string image = "localhost:5000/a b/c+d:1.0@sha256:" + kId + "&x=%41\xC3\xA4";
  const Target target = MakeTarget(Route::kListImages, {}, {{"image", image}});
  const Routing routing = Site(target.method, target.target);

  REQUIRE(routing.entry != nullptr);
  CHECK(routing.query.at("image") == image);
  CHECK(target.target.find_first_of(" &+") == std::string::npos);
}

TEST_CASE("a query that the route does not take is refused by name") {
  const auto [target, message] = GENERATE(table<std::string, std::string>({
      {"/v1/info?x=1", "unknown query parameter \"x\": this route takes none"},
      {"/v1/events?before=1", "unknown query parameter \"before\": this route takes \"after\""},
      {"/v1/events?after=1:1&after=2:2", "a query parameter is given twice"},
      {"/v1/events?after=%zz", "a percent escape in the request target is malformed"},
      {"/v1/events?after=%4", "a percent escape in the request target is malformed"},
      {"/v1/events?after=%", "a percent escape in the request target is malformed"},
  }));
  const Routing routing = Site("GET", target);
  INFO(target);
  CHECK(routing.http_status == 400);
  CHECK(routing.why.message() == message);
}

TEST_CASE("a flag is true with or without a value") {
  const auto flag = [](const std::string& query) {
    const Routing routing = Site("GET", "/v1/sandboxes/" + kId + query);
    REQUIRE(routing.entry != nullptr);
    return QueryFlag(routing.query, "verbose");
  };
  CHECK(flag("?verbose").value());
  CHECK(flag("?verbose=true").value());
  CHECK_FALSE(flag("?verbose=false").value());
  CHECK_FALSE(flag("").value());
  CHECK(flag("?verbose=1").status().code() == Code::kInvalidArgument);
}

TEST_CASE("a huge target is refused before it is looked at") {
  CHECK(Site("GET", "/v1/events?after=" + std::string(9000, '1')).http_status == 414);
}

TEST_CASE("a node's name with control characters is refused") {
  CHECK(MatchRoute(Listener::kControl, "DELETE", "/control/v1/nodes/a%0Ab").http_status == 400);
}

}  // namespace
}  // namespace interlink::wire
