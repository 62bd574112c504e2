#include "site/field_walk.h"

#include <google/protobuf/text_format.h>

#include <catch2/catch.hpp>

#include "runtime/v1/api.pb.h"

namespace interlink::site {
namespace {

using Words = std::vector<std::string>;

template <typename Config>
Config FromText(const std::string& text) {
  Config config;
  REQUIRE(google::protobuf::TextFormat::ParseFromString(text, &config));
  return config;
}

runtime::v1::ContainerConfig Container(const std::string& text) {
  return FromText<runtime::v1::ContainerConfig>(text);
}

sdk::FieldLists Honours(const Words& paths) { return {paths, {}, {}}; }

// The path that is refused as not supported; empty when nothing is.
std::string Refused(const google::protobuf::Message& config, const sdk::FieldLists& lists) {
  const Status status = RefuseUnsupported(config, lists, "h");
  if (status.ok()) return "";
  INFO(status.ToString());
  REQUIRE(status.code() == Code::kUnimplemented);
  const size_t begin = status.message().find('"') + 1;
  CHECK_THAT(status.message(), Catch::Contains("handler \"h\""));
  return status.message().substr(begin, status.message().find('"', begin) - begin);
}

std::string Refused(const std::string& text, const Words& honoured) {
  return Refused(Container(text), Honours(honoured));
}

}  // namespace

TEST_CASE("a field of each kind is refused by its path when no list has it") {
  const auto [text, path] = GENERATE(table<std::string, std::string>({
      {R"(working_dir: "/")", "working_dir"},
      {"tty: true", "tty"},
      {"stop_signal: SIGNAL_SIGINT", "stop_signal"},
      {R"(command: "a" command: "b")", "command"},
      {R"(command: "")", "command"},
      {R"(labels { key: "a" value: "b" })", "labels"},
      {R"(labels { key: "" value: "" })", "labels"},
      {R"(metadata { name: "c" })", "metadata.name"},
      {"metadata { attempt: 1 }", "metadata.attempt"},
      {"linux { resources { cpu_quota: -1 } }", "linux.resources.cpu_quota"},
      {R"(linux { resources { unified { key: "a" value: "b" } } })", "linux.resources.unified"},
      {R"(mounts { image { annotations { key: "a" } } })", "mounts.image.annotations"},
      {"linux { security_context { supplemental_groups: 0 } }",
       "linux.security_context.supplemental_groups"},
      {"mounts { readonly: true } mounts { propagation: PROPAGATION_BIDIRECTIONAL }",
       "mounts.readonly"},
  }));
  CAPTURE(text);

  CHECK(Refused(text, {}) == path);
  CHECK(Refused(text, {path}).find(path) == std::string::npos);
}

TEST_CASE("a field that a later item of a list sets is found") {
  const std::string two =
      R"(mounts { host_path: "/a" } mounts { host_path: "/b" recursive_read_only: true })";

  CHECK(Refused(two, {"mounts.host_path"}) == "mounts.recursive_read_only");
  CHECK(Refused(two, {"mounts.host_path", "mounts.recursive_read_only"}).empty());
  CHECK(Refused(two, {"mounts"}).empty());
}

TEST_CASE("an entry covers itself and what is below it, by whole names") {
  const std::string text =
      R"(linux { security_context { capabilities { add_capabilities: "A" } } })";
  const std::string path = "linux.security_context.capabilities.add_capabilities";

  for (const char* covers :
       {"linux", "linux.security_context", "linux.security_context.capabilities", path.c_str()}) {
    CHECK(Refused(text, {covers}).empty());
  }
  for (const char* near : {"", ".", "lin", "linux.", "linux.security", "linux.security_context.cap",
                           "security_context", "linux.security_context.capabilities.add",
                           "linux.security_context.capabilities.add_capabilities.x",
                           "linux.security_context.capabilities.drop_capabilities"}) {
    CAPTURE(near);
    CHECK(Refused(text, {near}) == path);
  }
}

TEST_CASE("each of the three lists lets a field through") {
  const auto config = Container("tty: true");

  CHECK(Refused(config, {{"tty"}, {}, {}}).empty());
  CHECK(Refused(config, {{}, {"tty"}, {}}).empty());
  CHECK(Refused(config, {{}, {}, {"tty"}}).empty());
  CHECK(Refused(config, {{"stdin"}, {"stdin_once"}, {"mounts"}}) == "tty");
}

TEST_CASE("what is not set, or set to its default, asks for nothing") {
  const std::string text = GENERATE(as<std::string>(), "", R"(working_dir: "" tty: false)",
                                    "stop_signal: SIGNAL_RUNTIME_DEFAULT", "linux {}",
                                    "linux { resources { cpu_shares: 0 } security_context {} }",
                                    "linux { security_context { namespace_options { pid: POD } } }",
                                    "linux { security_context { capabilities {} } }",
                                    "windows { security_context {} }", "metadata { attempt: 0 }");
  CAPTURE(text);

  CHECK(Refused(text, {}).empty());
}

// "run as uid 0" was accepted and ignored where no list had run_as_user.
TEST_CASE("what asks for something by being there is set when it is zero") {
  const auto [text, path] = GENERATE(table<std::string, std::string>({
      {"run_as_user {}", "run_as_user.value"},
      {"run_as_user { value: 0 }", "run_as_user.value"},
      {"run_as_group {}", "run_as_group.value"},
      {"seccomp {}", "seccomp.profile_type"},
      {"seccomp { profile_type: RuntimeDefault }", "seccomp.profile_type"},
      {"apparmor {}", "apparmor.profile_type"},
      {"namespace_options { userns_options {} }", "namespace_options.userns_options.mode"},
      {"namespace_options { userns_options { mode: POD uids { length: 1 } } }",
       "namespace_options.userns_options.uids.length"},
  }));
  const std::string config = "linux { security_context { " + text + " } }";
  const std::string full = "linux.security_context." + path;
  CAPTURE(config);

  CHECK(Refused(config, {}) == full);
  CHECK(Refused(config, {full}) != full);
  CHECK(Refused(config, {"linux.security_context"}).empty());
}

// A seccomp profile type of a later CRI meant "unconfined", and a stop signal ended in an
// exception.
TEST_CASE("a value that an enum does not have is refused also where the field is honoured") {
  const auto [text, path] = GENERATE(table<std::string, std::string>({
      {"stop_signal: 999", "stop_signal"},
      {"linux { security_context { seccomp { profile_type: 99 } } }",
       "linux.security_context.seccomp.profile_type"},
      {"linux { security_context { namespace_options { pid: 99 } } }",
       "linux.security_context.namespace_options.pid"},
      {"mounts {} mounts { propagation: 99 }", "mounts.propagation"},
  }));

  const Status status =
      RefuseUnsupported(Container(text), Honours({"linux", "mounts", "stop_signal"}), "h");

  CHECK(status.code() == Code::kInvalidArgument);
  CHECK_THAT(status.message(), Catch::Contains("\"" + path + "\" has the value "));
  CHECK(Refused(text, {}) == path);
}

TEST_CASE("a field that this build does not know is refused, wherever it is") {
  runtime::v1::ContainerConfig config;
  google::protobuf::Message* message = nullptr;
  std::string where;
  SECTION("on top") {
    message = &config;
    where = "runtime.v1.ContainerConfig";
  }
  SECTION("below") {
    message = config.mutable_linux()->mutable_security_context();
    where = "linux.security_context";
  }
  SECTION("in a list") {
    config.add_mounts();
    message = config.add_mounts();
    where = "mounts";
  }
  message->GetReflection()->MutableUnknownFields(message)->AddVarint(999, 1);

  const Status status = RefuseUnsupported(config, Honours({"linux", "mounts"}), "h");

  CHECK(status.code() == Code::kInvalidArgument);
  CHECK_THAT(status.message(), Catch::Contains("999") && Catch::Contains("\"" + where + "\""));
}

TEST_CASE("the lists of pods and of containers are each for their own configs") {
  sdk::Description described;
  described.sandbox.honoured = {"hostname", "linux.security_context.seccomp"};
  described.container.honoured = {"tty", "linux.security_context.run_as_user"};
  const std::string both = "linux { security_context { seccomp {} run_as_user {} } }";
  const auto pod = FromText<runtime::v1::PodSandboxConfig>(both);

  CHECK(Refused(pod, described.sandbox) == "linux.security_context.run_as_user.value");
  CHECK(Refused(Container(both), described.container) ==
        "linux.security_context.seccomp.profile_type");
}

TEST_CASE("the first refused field in the order of the config is named") {
  CHECK(Refused(R"(working_dir: "/" args: "a" tty: true)", {"args"}) == "working_dir");
}

TEST_CASE("bounded fields are those that are set, each once") {
  const auto config = Container(R"(tty: true linux { resources { memory_limit_in_bytes: 1
      hugepage_limits { page_size: "2MB" limit: 1 } hugepage_limits { page_size: "1GB" limit: 2 } } })");

  const Words bounded =
      BoundedFields(config, {{"tty"},
                             {"linux.resources.memory_limit_in_bytes", "linux.resources.cpu_quota",
                              "linux.resources.hugepage_limits"},
                             {}});

  CHECK(bounded == Words{"linux.resources.memory_limit_in_bytes",
                         "linux.resources.hugepage_limits.page_size",
                         "linux.resources.hugepage_limits.limit"});
}

}  // namespace interlink::site
