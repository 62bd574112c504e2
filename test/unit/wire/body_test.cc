#include "wire/body.h"

#include <google/protobuf/util/message_differencer.h>

#include <catch2/catch.hpp>
#include <memory>
#include <string>

#include "interlink/v1/link.pb.h"
#include "interlink/v1/record.pb.h"
#include "runtime/v1/api.pb.h"
#include "unit/wire/populate.h"

namespace interlink::wire {
namespace {

using google::protobuf::util::MessageDifferencer;
using interlink::v1::RunSandboxRequest;

std::string Json(const google::protobuf::Message& message) {
  auto json = Encode(Encoding::kJson, message);
  REQUIRE(json.ok());
  return *json;
}

Status FromJson(const std::string& json, google::protobuf::Message* message) {
  return Decode(Encoding::kJson, json, message);
}

TEST_CASE("a message with every field set survives both encodings") {
  const auto encoding = GENERATE(Encoding::kProtobuf, Encoding::kJson);
  const auto* prototype = GENERATE(static_cast<const google::protobuf::Message*>(
                                       &runtime::v1::PodSandboxConfig::default_instance()),
                                   static_cast<const google::protobuf::Message*>(
                                       &runtime::v1::ContainerConfig::default_instance()),
                                   static_cast<const google::protobuf::Message*>(
                                       &interlink::v1::ContainerRecord::default_instance()),
                                   static_cast<const google::protobuf::Message*>(
                                       &interlink::v1::StatsResponse::default_instance()),
                                   static_cast<const google::protobuf::Message*>(
                                       &interlink::v1::LinkResponse::default_instance()),
                                   static_cast<const google::protobuf::Message*>(
                                       &interlink::v1::ExecSyncResponse::default_instance()));
  const std::unique_ptr<google::protobuf::Message> sent(prototype->New());
  Populate(sent.get());

  const auto bytes = Encode(encoding, *sent);
  REQUIRE(bytes.ok());
  const std::unique_ptr<google::protobuf::Message> received(prototype->New());
  const Status status = DecodeRequest(encoding, *bytes, received.get());

  INFO(status.ToString());
  REQUIRE(status.ok());
  CHECK(MessageDifferencer::Equals(*sent, *received));
}

TEST_CASE("JSON shows primitive fields that are zero, and 64-bit integers as strings") {
  interlink::v1::StopContainerRequest request;
  CHECK(Json(request) == R"({"handler":"","graceSeconds":"0"})");

  request.set_grace_seconds(9007199254740993);
  CHECK(Json(request) == R"({"handler":"","graceSeconds":"9007199254740993"})");
}

TEST_CASE("64-bit integers keep their last digit, as numbers and as strings") {
  interlink::v1::LinkRequest request;
  REQUIRE(FromJson(R"({"nodeCounter": 18446744073709551615, "site_counter": "9007199254740993"})",
                   &request)
              .ok());

  CHECK(request.node_counter() == 18446744073709551615ULL);
  CHECK(request.site_counter() == 9007199254740993ULL);
}

TEST_CASE("JSON that protobuf's parser would take is refused") {
  // {text, a part of the message}
  const auto [text, expected] = GENERATE(table<std::string, std::string>({
      {"{handler: \"x\"}", "a string in double quotes must stand here"},
      {"{'handler': 'x'}", "a string in double quotes must stand here"},
      {R"({"handler": 'x'})", "a value"},
      {R"({"handler": "x",})", "a string in double quotes must stand here"},
      {R"({"handler": "x"} {})", "nothing may follow"},
      {R"({"handler": "x"}x)", "nothing may follow"},
      {R"({"handler": "x" /* no */})", "must stand here"},
      {R"({"handler": "x", "handler": "y"})", "\"handler\" is given twice"},
      {R"({"runtimeHandler": "x", "runtime_handler": "y"})", "\"runtime_handler\" is given twice"},
      {R"({"config": {"metadata": {"name": "a", "name": "b"}}})",
       "\"config.metadata.name\" is given twice"},
      {R"({"config": {"labels": {"a": "1", "a": "2"}}})", "\"config.labels[a]\" is given twice"},
      {R"({"config": {"labels": {"a": "1", "\u0061": "2"}}})",
       "\"config.labels[a]\" is given twice"},
      {R"({"config": {"hostnam": "x"}})",
       "unknown field \"config.hostnam\": runtime.v1.PodSandboxConfig has no such field"},
      {R"({"config": {"dns_config": {"servers": ["a", 1]}}})",
       "\"config.dns_config.servers[1]\" must be a string"},
      {R"({"config": {"port_mappings": [{"protocol": "ICMP"}]}})",
       "\"config.port_mappings[0].protocol\": \"ICMP\" is not a value of runtime.v1.Protocol"},
      {R"({"config": {"port_mappings": [{"protocol": 99}]}})",
       "\"config.port_mappings[0].protocol\": 99 is not a value of runtime.v1.Protocol"},
      {R"({"config": []})", "\"config\" must be an object"},
      {R"({"config": "x"})", "\"config\" must be an object"},
      {R"({"config": {"port_mappings": {}}})", "\"config.port_mappings\" must be a list"},
      {R"({"config": {"port_mappings": [null]}})", "\"config.port_mappings[0]\" must be a value"},
      {R"({"config": {"labels": []}})", "\"config.labels\" must be an object"},
      {R"({"handler": {}})", "\"handler\" must be a string"},
      {R"({"handler": 1})", "\"handler\" must be a string"},
      {R"({"created_ns": true})", "\"created_ns\" must be an integer"},
      {R"({"created_ns": "1 "})", "\"created_ns\" must be an integer"},
      {R"({"created_ns": NaN})", "a value"},
      {"[]", "the body must be an object"},
      {"null", "the body must be an object"},
      {"", "a value"},
      {"\"x\"", "the body must be an object"},
      {"\xEF\xBB\xBF{}", "a value"},
  }));

  RunSandboxRequest request;
  const Status status = FromJson(text, &request);

  INFO(text << " -> " << status.ToString());
  CHECK(status.code() == Code::kInvalidArgument);
  CHECK(status.message().find(expected) != std::string::npos);
}

TEST_CASE("what only protobuf's parser sees is refused as well") {
  // number out of range, not base64, both members of a oneof
  RunSandboxRequest request;
  CHECK(FromJson(R"({"created_ns": 9223372036854775808})", &request).code() ==
        Code::kInvalidArgument);
  interlink::v1::ExecSyncResponse response;
  CHECK(FromJson(R"({"stdout": "%%%"})", &response).code() == Code::kInvalidArgument);
  interlink::v1::Record record;
  CHECK(FromJson(R"({"sandbox": {}, "image": {}})", &record).code() == Code::kInvalidArgument);
}

TEST_CASE("null is a field that is not set") {
  RunSandboxRequest request;
  REQUIRE(FromJson(R"({"config": null, "handler": null, "created_ns": 5})", &request).ok());

  CHECK_FALSE(request.has_config());
  CHECK(request.created_ns() == 5);
}

TEST_CASE("a protobuf body that is cut or of another type is refused") {
  RunSandboxRequest request;
  request.set_handler("local");
  const std::string bytes = *Encode(Encoding::kProtobuf, request);

  CHECK(Decode(Encoding::kProtobuf, bytes.substr(0, bytes.size() - 1), &request).code() ==
        Code::kInvalidArgument);
  CHECK(Decode(Encoding::kProtobuf, "{\"handler\":1}", &request).code() == Code::kInvalidArgument);
  CHECK(Decode(Encoding::kProtobuf, "", &request).ok());
}

TEST_CASE("a string that is not UTF-8 is refused in protobuf") {
  RunSandboxRequest request;
  CHECK(Decode(Encoding::kProtobuf, std::string("\x0A\x01\xFF", 3), &request).code() ==
        Code::kInvalidArgument);
}

TEST_CASE("an unknown enum number in protobuf is refused by its path") {
  interlink::v1::SandboxList list;
  list.add_sandboxes();
  list.add_sandboxes()->set_wanted(static_cast<interlink::v1::Wanted>(77));

  const Status status = Decode(Encoding::kProtobuf, *Encode(Encoding::kProtobuf, list), &list);

  CHECK(status ==
        InvalidArgument("\"sandboxes[1].wanted\": 77 is not a value of interlink.v1.Wanted"));
}

TEST_CASE("an unknown field in protobuf is kept, and refused inside a CRI config of a request") {
  const std::string unknown("\xA2\x06\x01x", 4);  // number 100
  RunSandboxRequest request;
  REQUIRE(Decode(Encoding::kProtobuf, unknown, &request).ok());
  CHECK(*Encode(Encoding::kProtobuf, request) == unknown);
  CHECK(DecodeRequest(Encoding::kProtobuf, unknown, &request).ok());

  request.Clear();
  auto* context = request.mutable_config()->mutable_linux()->mutable_security_context();
  REQUIRE(context->ParseFromString(unknown));
  const std::string bytes = *Encode(Encoding::kProtobuf, request);

  CHECK(Decode(Encoding::kProtobuf, bytes, &request).ok());
  CHECK(DecodeRequest(Encoding::kProtobuf, bytes, &request) ==
        InvalidArgument("unknown field number 100 in \"config.linux.security_context\": this build "
                        "does not know it"));
}

TEST_CASE("equal messages have equal deterministic bytes whatever the order of insertion") {
  RunSandboxRequest first;
  RunSandboxRequest second;
  for (int i = 0; i < 50; ++i) {
    (*first.mutable_config()->mutable_labels())["k" + std::to_string(i)] = "v";
    (*second.mutable_config()->mutable_labels())["k" + std::to_string(49 - i)] = "v";
  }

  CHECK(EncodeDeterministic(first) == EncodeDeterministic(second));
  RunSandboxRequest parsed;
  REQUIRE(Decode(Encoding::kProtobuf, EncodeDeterministic(first), &parsed).ok());
  CHECK(MessageDifferencer::Equals(first, parsed));
}

}  // namespace
}  // namespace interlink::wire
