// What the local backend does not build is refused by its name before anything starts: by the
// site's walk over its lists, or by its own call.
#include <algorithm>
#include <catch2/catch.hpp>
#include <ostream>

#include "contract/config_text.h"
#include "contract/contract_lab.h"
#include "site/field_walk.h"

namespace interlink::contract {
namespace {

// A config and the word by which its refusal names the field.
struct Refused {
  std::string word;
  std::string config;
};

std::ostream& operator<<(std::ostream& out, const Refused& refused) {
  return out << refused.word << " in " << refused.config;
}

std::string Security(const std::string& text) {
  return "linux { security_context { " + text + " } }";
}

std::string Namespaces(const std::string& text) {
  return Security("namespace_options { " + text + " }");
}

std::string Mount(const std::string& text) {
  return R"(mounts { container_path: "/m" host_path: "/tmp" )" + text + " }";
}

const std::string kPath = "linux.security_context.";
const std::string kNamespace = kPath + "namespace_options.";

std::vector<Refused> OfBoth() {
  return {
      {"namespace_options.userns_options", Namespaces("userns_options {}")},
      {"namespace_options.userns_options", Namespaces("userns_options { mode: CONTAINER }")},
      {"namespace_options.userns_options.gids",
       Namespaces("userns_options { uids { length: 65536 } }")},
      {"namespace_options.userns_options",
       Namespaces("userns_options { mode: NODE gids { host_id: 100000 } }")},
      {"namespace_options.pid", Namespaces("pid: TARGET")},
      {"namespace_options.ipc", Namespaces("ipc: TARGET")},
      {"namespace_options.network", Namespaces("network: CONTAINER")},
      {kNamespace + "pid", Namespaces("pid: 99")},
      {kNamespace + "ipc", Namespaces("ipc: 99")},
      {kNamespace + "network", Namespaces("network: 99")},
      {kPath + "selinux_options.type", Security(R"(selinux_options { type: "t" })")},
      {kPath + "seccomp_profile_path", Security(R"(seccomp_profile_path: "unconfined")")},
      {kPath + "seccomp.profile_type", Security("seccomp { profile_type: 99 }")},
      {kPath + "supplemental_groups_policy", Security("supplemental_groups_policy: 99")},
      {"windows.security_context.host_process",
       "windows { security_context { host_process: true } }"},
      {"windows.security_context.run_as_username",
       R"(windows { security_context { run_as_username: "u" } })"},
  };
}

std::vector<Refused> OfSandboxes() {
  std::vector<Refused> all = OfBoth();
  const std::vector<Refused> own = {
      {kNamespace + "target_id", Namespaces(R"(pid: TARGET target_id: "c")")},
      {kNamespace + "target_id", Namespaces(R"(target_id: "c")")},
      {kPath + "apparmor.profile_type", Security("apparmor {}")},
      {kPath + "apparmor.profile_type",
       Security(R"(apparmor { profile_type: Localhost localhost_ref: "p" })")},
      {"port_mappings.protocol", "port_mappings { protocol: 99 container_port: 80 }"},
  };
  all.insert(all.end(), own.begin(), own.end());
  return all;
}

std::vector<Refused> OfContainers() {
  std::vector<Refused> all = OfBoth();
  const std::vector<Refused> own = {
      {"namespace_options.target_id", Namespaces(R"(target_id: "c")")},
      {"namespace_options.userns_options",
       Namespaces("userns_options { uids { length: 65536 } gids { length: 65536 } }")},
      {"seccomp.localhost_ref", Security("seccomp { profile_type: Localhost }")},
      {"seccomp.localhost_ref",
       Security(R"(seccomp { profile_type: Localhost localhost_ref: "/p" })")},
      {"seccomp.localhost_ref",
       Security(R"(seccomp { profile_type: RuntimeDefault localhost_ref: "/p" })")},
      {"apparmor.localhost_ref", Security("apparmor { profile_type: Localhost }")},
      {"AppArmor profile \"no-such\"",
       Security(R"(apparmor { profile_type: Localhost localhost_ref: "no-such" })")},
      {"AppArmor profile \"no-such\"", Security(R"(apparmor_profile: "localhost/no-such")")},
      {"mounts.propagation", Mount("propagation: 99")},
      {"PROPAGATION_BIDIRECTIONAL", Mount("propagation: PROPAGATION_BIDIRECTIONAL")},
      {"recursive_read_only", Mount("recursive_read_only: true")},
      {"gidMappings has 0 mappings", Mount("uidMappings { length: 1 }")},
      {"uidMappings has 0 mappings", Mount("gidMappings { length: 1 }")},
      {"uidMappings and gidMappings are not",
       Mount("uidMappings { length: 1 } gidMappings { length: 1 }")},
      {"readonly must be set", R"(mounts { container_path: "/m" image { image: "i" } })"},
      {"both host_path and image", Mount(R"(readonly: true image { image: "i" })")},
      {"which image \"i\" is was not told",
       R"(mounts { container_path: "/m" readonly: true image { image: "i" } })"},
      {"image.image", R"(mounts { container_path: "/m" image { image_ref: "i" } })"},
      {"neither host_path nor image", R"(mounts { container_path: "/m" image {} })"},
      {"image_sub_path", Mount(R"(image_sub_path: "s")")},
      {"mounts.mount_options", Mount(R"(mount_options: "noexec")")},
      {"CDI_devices.name", R"(CDI_devices { name: "vendor.com/gpu=0" })"},
      {"CDI_devices", "CDI_devices {}"},
      {"stop_signal", "stop_signal: 999"},
      {"windows.resources.cpu_count", "windows { resources { cpu_count: 1 } }"},
  };
  all.insert(all.end(), own.begin(), own.end());
  return all;
}

bool IsRefusal(const Status& status) {
  return status.code() == Code::kUnimplemented || status.code() == Code::kInvalidArgument;
}

std::vector<std::string> Sorted(std::vector<std::string> lines) {
  std::sort(lines.begin(), lines.end());
  return lines;
}

}  // namespace

TEST_CASE("A pod that asks for what is not built is refused by the field's name") {
  const Refused refused = GENERATE(from_range(OfSandboxes()));
  CAPTURE(refused);
  ContractLab lab;
  const auto config = FromText<runtime::v1::PodSandboxConfig>(refused.config);
  const SandboxId id = MintSandboxId();

  Status status =
      site::RefuseUnsupported(config, lab.backend().Describe().sandbox, lab.subject().handler());
  if (status.ok()) {
    status =
        lab.backend().RunSandbox(lab.call(), {id, lab.node(), lab.subject().handler(), config});
  }

  INFO(status.ToString());
  CHECK(IsRefusal(status));
  CHECK_THAT(status.message(), Catch::Contains(refused.word));
  const auto seen = lab.backend().Observe(lab.call());
  REQUIRE(seen.ok());
  CHECK(seen->empty());
  CHECK(lab.subject().Remains().empty());
  CHECK(lab.Remove(id).ok());
}

TEST_CASE("A container that asks for what is not built is refused by the field's name") {
  ContractLab lab;
  const SandboxId sandbox = lab.RunUp();
  const auto before = Sorted(lab.subject().Remains());
  for (const Refused& refused : OfContainers()) {
    CAPTURE(refused);
    const auto config = FromText<runtime::v1::ContainerConfig>(refused.config);

    Status status = site::RefuseUnsupported(config, lab.backend().Describe().container,
                                            lab.subject().handler());
    if (status.ok()) {
      status = lab.Create(sandbox, MintContainerId(), lab.subject().RunsForever(), config);
    }

    INFO(status.ToString());
    CHECK(IsRefusal(status));
    CHECK_THAT(status.message(), Catch::Contains(refused.word));
    const auto seen = lab.backend().Observe(lab.call());
    REQUIRE(seen.ok());
    CHECK(seen->size() == 1);
    CHECK(lab.host().HeldImages() == 0);
    CHECK(Sorted(lab.subject().Remains()) == before);
  }
}

}  // namespace interlink::contract
