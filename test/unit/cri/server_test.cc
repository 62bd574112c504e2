// The gRPC edge with a real client: what never reaches a node.
#include "cri/server.h"

#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/codegen/client_unary_call.h>
#include <grpcpp/support/byte_buffer.h>

#include <catch2/catch.hpp>
#include <mutex>
#include <stdexcept>

#include "base/metric_names.h"
#include "support/temporary_folder.h"

namespace interlink::cri {
namespace {

// Nothing here may ask it for anything.
class NoNode final : public node::Node {
 public:
  void Start() override {}
  void Stop() override {}
  node::Runtime& runtime() override { throw std::logic_error("asked"); }
  node::Sandboxes& sandboxes() override { throw std::logic_error("asked"); }
  node::Containers& containers() override { throw std::logic_error("asked"); }
  node::Images& images() override { throw std::logic_error("asked"); }
  node::Stats& stats() override { throw std::logic_error("asked"); }
  node::Sessions& sessions() override { throw std::logic_error("asked"); }
  node::Events& events() override { throw std::logic_error("asked"); }
  node::NodeSummary Summary() const override { return {}; }
  void Wipe(const Call&, const std::string&, node::Reply<std::string>) override {}
};

class CountedMetrics final : public Metrics {
 public:
  void Count(std::string_view name, const MetricLabels& labels, double) override {
    const std::scoped_lock lock(mutex_);
    for (const auto& [label, value] : labels)
      text_ += std::string(name) + " " + label + "=" + value + "\n";
  }
  void Gauge(std::string_view, const MetricLabels&, double) override {}
  void Observe(std::string_view, const MetricLabels&, double) override {}
  std::string Text() {
    const std::scoped_lock lock(mutex_);
    return text_;
  }

 private:
  std::mutex mutex_;
  std::string text_;
};

struct Lab {
  Lab() {
    auto made = Server::Start({.socket_path = path}, {node, io, {}, log, metrics});
    INFO(made.status().ToString());
    REQUIRE(made.ok());
    server = *std::move(made);
    channel = grpc::CreateChannel("unix:" + path, grpc::InsecureChannelCredentials());
  }
  grpc::Status Ask(const char* method, const std::string& bytes) const {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
    const grpc::Slice slice(bytes);
    const grpc::ByteBuffer request(&slice, 1);
    grpc::ByteBuffer response;
    return grpc::internal::BlockingUnaryCall(
        channel.get(), grpc::internal::RpcMethod(method, grpc::internal::RpcMethod::NORMAL_RPC),
        &context, request, &response);
  }
  const test::TemporaryFolder folder;
  const std::string path = folder.File("cri.sock");
  NoNode node;
  net::Io io{1};
  NullLog log;
  CountedMetrics metrics;
  std::unique_ptr<Server> server;
  std::shared_ptr<grpc::Channel> channel;  // owners: this, gRPC
};

TEST_CASE("an RPC that is not served is answered by its name and counted") {
  Lab lab;

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
  const Lab lab;

  const auto status = lab.Ask("/runtime.v1.RuntimeService/Version", "\xff\xff");

  CHECK(status.error_code() == grpc::StatusCode::INVALID_ARGUMENT);
  CHECK(status.error_message() == "the request is not a runtime.v1.VersionRequest");
}

TEST_CASE("an error of our own code is an answer, not the end of the daemon") {
  const Lab lab;
  const auto status = lab.Ask("/runtime.v1.RuntimeService/Version", "");
  CHECK(status.error_code() == grpc::StatusCode::INTERNAL);
}

}  // namespace
}  // namespace interlink::cri
