// The gRPC edge with a real client, over a node that a test makes.
#ifndef INTERLINK_TEST_UNIT_CRI_CRI_LAB_H_
#define INTERLINK_TEST_UNIT_CRI_CRI_LAB_H_

#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/codegen/client_unary_call.h>
#include <grpcpp/support/byte_buffer.h>

#include <catch2/catch.hpp>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>

#include "cri/http.h"
#include "cri/server.h"
#include "support/temporary_folder.h"

namespace interlink::test {

using cri::Server;

// A node of which a test has only the parts that it overrides.
class NoNode : public node::Node {
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

// A server over `node`, and a client of it.
struct Lab {
  explicit Lab(node::Node& asked, auth::AuditLog* audit = nullptr) : node(asked) {
    const auto http = cri::HttpOf(
        {node, [this] { return metrics.Text(); }, [] { return Result<std::string>("reloaded"); }});
    auto made = Server::Start({.socket_path = path}, {node, io, http, log, metrics, audit});
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
  const TemporaryFolder folder;
  const std::string path = folder.File("cri.sock");
  node::Node& node;
  net::Io io{1};
  NullLog log;
  CountedMetrics metrics;
  std::unique_ptr<Server> server;
  std::shared_ptr<grpc::Channel> channel;  // owners: this, gRPC
};

}  // namespace interlink::test

#endif  // INTERLINK_TEST_UNIT_CRI_CRI_LAB_H_
