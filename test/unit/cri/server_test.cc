// The gRPC edge with a real client: what never reaches a node.
#include "cri/server.h"

#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/streambuf.hpp>
#include <boost/asio/write.hpp>

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

class SeenNode final : public test::NoNode {
 public:
  node::NodeSummary Summary() const override { return summary; }
  node::NodeSummary summary;
};

// The whole answer to a GET on the CRI socket.
std::string Page(const test::Lab& lab, const std::string& target) {
  boost::asio::io_context context;
  boost::asio::local::stream_protocol::socket socket(context);
  socket.connect(lab.path);
  boost::asio::write(socket, boost::asio::buffer("GET " + target +
                                                 " HTTP/1.1\r\nHost: localhost\r\n"
                                                 "Connection: close\r\n\r\n"));
  std::string answer;
  boost::system::error_code end;
  boost::asio::read(socket, boost::asio::dynamic_buffer(answer), end);
  CHECK(end == boost::asio::error::eof);
  return answer;
}

TEST_CASE("who asks /readyz is told that a list would be refused, and why") {
  SeenNode node;
  node.summary.reachable = Unavailable("connection refused");
  node.summary.listed = Unavailable("site s has not told yet what it has");
  const test::Lab lab(node);

  const std::string never = Page(lab, "/readyz");
  CHECK(never.rfind("HTTP/1.1 503 ", 0) == 0);
  CHECK(never.find("the site has never been seen: connection refused\n") != std::string::npos);

  node.summary.site_seen = true;
  const std::string unlisted = Page(lab, "/readyz");
  CHECK(unlisted.rfind("HTTP/1.1 503 ", 0) == 0);
  CHECK(unlisted.find("site s has not told yet what it has\n") != std::string::npos);

  node.summary.listed = {};
  CHECK(Page(lab, "/readyz").rfind("HTTP/1.1 200 ", 0) == 0);
}

}  // namespace
}  // namespace interlink::cri
