// The gRPC edge with a real client: what never reaches a node.
#include "cri/server.h"

#include "base/metric_names.h"
#include "cri_lab.h"

namespace interlink::cri {
namespace {

TEST_CASE("an RPC that is not served is answered by its name and counted") {
  test::NoNode node;
  test::Lab lab(node);

  const auto checkpoint = lab.Ask("/runtime.v1.RuntimeService/CheckpointPod", "");
  CHECK(checkpoint.error_code() == grpc::StatusCode::UNIMPLEMENTED);
  CHECK(checkpoint.error_message() ==
        "method /runtime.v1.RuntimeService/CheckpointPod is not implemented");
  CHECK(lab.Ask("/a.B/C", "").error_code() == grpc::StatusCode::UNIMPLEMENTED);

  const std::string name(kMetricCriCalls);
  CHECK(lab.metrics.Text() == name + " rpc=other\n" + name + " code=UNIMPLEMENTED\n" + name +
                                  " rpc=other\n" + name + " code=UNIMPLEMENTED\n");
}

TEST_CASE("a request that is no message of the RPC is refused by that message's name") {
  test::NoNode node;
  const test::Lab lab(node);

  const auto status = lab.Ask("/runtime.v1.RuntimeService/Version", "\xff\xff");

  CHECK(status.error_code() == grpc::StatusCode::INVALID_ARGUMENT);
  CHECK(status.error_message() == "the request is not a runtime.v1.VersionRequest");
}

TEST_CASE("an error of our own code is an answer, not the end of the daemon") {
  test::NoNode node;
  const test::Lab lab(node);
  const auto status = lab.Ask("/runtime.v1.RuntimeService/Version", "");
  CHECK(status.error_code() == grpc::StatusCode::INTERNAL);
}

}  // namespace
}  // namespace interlink::cri
