// What a container is planned in: an empty root, a pod, a policy. The tests change what they are
// about.
#ifndef INTERLINK_TEST_UNIT_ENGINE_BENCH_H_
#define INTERLINK_TEST_UNIT_ENGINE_BENCH_H_

#include <sys/stat.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

#include "base/file.h"
#include "engine/plan_container.h"
#include "runtime/v1/api.pb.h"
#include "support/temporary_folder.h"

namespace interlink::engine {

struct Bench {
  Bench() {
    options.handlers = {"local"};
    pod.handler = "local";
    pod.own_network = true;
    pod.own_ipc = true;
    pod_config.mutable_metadata()->set_name("pod");
    image.cmd = {"sh"};
    record.id = MintContainerId();
    for (const char* name : {"/pod", "/root", "/root/etc", "/shared"}) {
      mkdir((folder.path() + name).c_str(), 0755);
    }
  }

  Policy& policy() { return options.policies["local"]; }
  auto& security() { return *config.mutable_linux()->mutable_security_context(); }
  std::string At(const std::string& name) const { return folder.path() + "/" + name; }

  Status Check() { return CheckContainer(Place(), config); }
  Result<std::string> Plan() {
    ASSIGN_OR_RETURN(const Rootfs root, Rootfs::Open(At("root")));
    host_mounts.clear();
    return PlanContainer(Place(), config, root, "", record, host_mounts);
  }
  nlohmann::json Spec() {
    const auto planned = Plan();
    if (!planned.ok()) throw std::runtime_error(planned.status().ToString());
    return nlohmann::json::parse(*planned);
  }

  test::TemporaryFolder folder;
  EngineOptions options;
  PodFolder pod_folder{folder.path() + "/pod"};
  PodRecord pod;
  runtime::v1::PodSandboxConfig pod_config;
  runtime::v1::ContainerConfig config;
  sdk::ImageConfig image;
  ContainerRecord record;
  std::vector<HostMount> host_mounts;
  CapabilitySet own_capabilities = 0x1ffffffffff;
  CgroupFeatures features;
  bool recursive_read_only = true;
  VolumeRoots volumes;
  MountContents contents;
  std::string proc;
  uint32_t own_ids = 1;

 private:
  ContainerPlace Place() const {
    return {options,    pod_folder, pod,
            pod_config, image,      own_capabilities,
            false,      features,   recursive_read_only,
            volumes,    contents,   {},
            proc,       own_ids};
  }
};

}  // namespace interlink::engine

#endif  // INTERLINK_TEST_UNIT_ENGINE_BENCH_H_
