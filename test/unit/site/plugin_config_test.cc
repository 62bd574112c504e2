// What a node's PluginConfig says reaches the backend, or is refused by name.
#include "site_lab.h"

namespace interlink::test {
namespace {

using Options = std::map<std::string, std::string>;

std::string BodyWith(const SiteLab& lab, const Options& options) {
  interlink::v1::RunSandboxRequest request;
  REQUIRE(request.ParseFromString(lab.PodBody("a")));
  for (const auto& [key, value] : options) (*request.mutable_plugin_config())[key] = value;
  return request.SerializeAsString();
}

Options Reached(SiteLab& lab, const SandboxId& pod) {
  MutexLock lock(lab.world.mutex);
  const auto it = lab.world.pods.find(pod);
  REQUIRE(it != lab.world.pods.end());
  return it->second.node_options;
}

TEST_CASE("the backend gets the node's options with the pod") {
  SiteLab lab;
  lab.WaitReady();
  REQUIRE(lab.LinkNode().ok());
  const SandboxId pod = MintSandboxId();

  REQUIRE(lab.Run(pod, BodyWith(lab, {{"SCRIPTED_QUEUE", "gpu"}, {"SCRIPTED_RANK", "7"}})).ok());

  CHECK(Reached(lab, pod) == Options{{"SCRIPTED_QUEUE", "gpu"}, {"SCRIPTED_RANK", "7"}});
}

TEST_CASE("a creation that goes on after a restart of the site has its options still") {
  SiteLab lab;
  lab.WaitReady();
  REQUIRE(lab.LinkNode().ok());
  lab.world.Fail("RunSandbox", Unavailable("the scheduler does not answer"));
  const SandboxId pod = MintSandboxId();
  const std::string body = BodyWith(lab, {{"SCRIPTED_QUEUE", "gpu"}});
  REQUIRE(lab.Run(pod, body, Duration::zero()).ok());

  lab.world.Fail("RunSandbox", {});
  lab.Restart();
  REQUIRE(lab.LinkNode().ok());
  REQUIRE(lab.Run(pod, body).ok());

  CHECK(Eventually([&] { return lab.world.StartsOf(pod.str()) == 1; }));
  CHECK(Reached(lab, pod) == Options{{"SCRIPTED_QUEUE", "gpu"}});
}

TEST_CASE("an option that the backend does not take is refused by name before anything is stored") {
  SiteLab lab;
  lab.WaitReady();
  REQUIRE(lab.LinkNode().ok());
  const SandboxId pod = MintSandboxId();

  const auto unknown = lab.Run(pod, BodyWith(lab, {{"SLURM_PARTITION", "gpu"}}));
  const auto unprintable = lab.Run(pod, BodyWith(lab, {{"SCRIPTED_QUEUE", "a\nb"}}));
  const auto empty = lab.Run(pod, BodyWith(lab, {{"SCRIPTED_QUEUE", ""}}));
  const auto longer = lab.Run(pod, BodyWith(lab, {{"SCRIPTED_QUEUE", std::string(257, 'a')}}));
  Options many;
  for (int i = 0; i < 33; ++i) many["KEY_" + std::to_string(i)] = "x";
  const auto too_many = lab.Run(pod, BodyWith(lab, many));

  CHECK(unknown.status().ToString() ==
        InvalidArgument("handler \"test\" takes no key \"SLURM_PARTITION\" of a node's "
                        "PluginConfig: it takes SCRIPTED_QUEUE, SCRIPTED_RANK")
            .ToString());
  for (const auto* answer : {&unprintable, &empty, &longer}) {
    CHECK(answer->status().ToString() ==
          InvalidArgument("\"plugin_config.SCRIPTED_QUEUE\" must be a text or a number of 1 to 256 "
                          "printable ASCII characters")
              .ToString());
  }
  CHECK(too_many.status().ToString() ==
        InvalidArgument("\"plugin_config\" must have at most 32 keys").ToString());
  CHECK(lab.site->GetSandbox(NodeId("n1"), pod).status().code() == Code::kNotFound);
  CHECK(lab.world.StartsOf(pod.str()) == 0);
}

TEST_CASE("each handler of the info says which options it takes") {
  SiteLab lab;
  lab.WaitReady();

  const auto info = lab.site->Info();

  REQUIRE(info.handlers_size() == 1);
  CHECK(std::vector<std::string>(info.handlers(0).node_options().begin(),
                                 info.handlers(0).node_options().end()) ==
        std::vector<std::string>{"SCRIPTED_QUEUE", "SCRIPTED_RANK"});
}

}  // namespace
}  // namespace interlink::test
