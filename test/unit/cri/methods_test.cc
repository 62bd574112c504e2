// The dispatch table against the descriptor of CRI v1: nothing is forgotten, nothing is invented.
#include <google/protobuf/descriptor.h>

#include <catch2/catch.hpp>
#include <set>

#include "cri/method.h"
#include "runtime/v1/api.pb.h"

namespace interlink::cri {
namespace {

// Until their own issue: checkpoints.
const std::set<std::string> kNotServed = {
    "/runtime.v1.RuntimeService/CheckpointContainer",
    "/runtime.v1.RuntimeService/CheckpointPod",
    "/runtime.v1.RuntimeService/RestorePod",
};

// Whether CRI answers it with a stream.
bool Streams(const std::string& name) {
  const auto* pool = runtime::v1::VersionRequest::descriptor()->file()->pool();
  std::string full = name.substr(1);
  full[full.rfind('/')] = '.';
  const auto* method = pool->FindMethodByName(full);
  return method != nullptr && method->server_streaming();
}

std::set<std::string> PublishedMethods() {
  std::set<std::string> names;
  const auto* file = runtime::v1::VersionRequest::descriptor()->file();
  for (int s = 0; s < file->service_count(); ++s) {
    const auto* service = file->service(s);
    for (int m = 0; m < service->method_count(); ++m)
      names.insert("/" + service->full_name() + "/" + service->method(m)->name());
  }
  return names;
}

TEST_CASE("every RPC of CRI v1 is served or stands in the list of those that are not") {
  const auto published = PublishedMethods();

  CHECK(published.size() == 43);
  for (const std::string& name : published) {
    INFO(name);
    CHECK((FindMethod(name) != nullptr) == !kNotServed.contains(name));
  }
  for (const std::string& name : kNotServed) {
    INFO(name);
    CHECK(published.contains(name));
  }
}

TEST_CASE("an entry of the table is found by its own name only") {
  for (const std::string& name : PublishedMethods()) {
    const Method* method = FindMethod(name);
    if (method == nullptr) continue;
    INFO(name);
    CHECK(method->name == name);
    CHECK((method->run != nullptr) != (method->open != nullptr));
    CHECK((method->open != nullptr) == Streams(name));
  }
  CHECK(FindMethod("") == nullptr);
  CHECK(FindMethod("/runtime.v1.RuntimeService/version") == nullptr);
  CHECK(FindMethod("/runtime.v1alpha2.RuntimeService/Version") == nullptr);
}

TEST_CASE("only calls that a person or an image may hold up for long have no limit of ours") {
  for (const std::string& name : PublishedMethods()) {
    const Method* method = FindMethod(name);
    if (method == nullptr) continue;
    INFO(name);
    CHECK(method->unbounded == (name.ends_with("/PullImage") || name.ends_with("/ExecSync") ||
                                name.ends_with("/GetContainerEvents")));
  }
}

}  // namespace
}  // namespace interlink::cri
