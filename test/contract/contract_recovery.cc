#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <map>

#include "contract/contract_lab.h"

namespace interlink::contract {
namespace {

const sdk::Observation* Find(const std::vector<sdk::Observation>& facts, const SandboxId& sandbox,
                             const ContainerId& id) {
  const auto found = std::find_if(facts.begin(), facts.end(), [&](const sdk::Observation& fact) {
    return fact.sandbox == sandbox && fact.container == id;
  });
  return found == facts.end() ? nullptr : &*found;
}

}  // namespace

TEST_CASE("A restart finds what lives, with what its import needs, and ends nothing") {
  ContractLab lab;
  const SandboxId sandbox = lab.RunUp();
  const ContainerId running = lab.StartOk(sandbox, lab.subject().IgnoresStop());
  const ContainerId created = lab.CreateOk(sandbox, lab.subject().RunsForever());
  lab.Await(sandbox, running, State::kUp);

  const auto facts = lab.Restart();

  const auto* pod = Find(facts, sandbox, ContainerId());
  REQUIRE(pod != nullptr);
  CHECK(pod->state == State::kUp);
  CHECK(pod->node == lab.node());
  CHECK(pod->handler == lab.subject().handler());
  runtime::v1::PodSandboxConfig config;
  CHECK(config.ParseFromString(pod->config));
  CHECK(config.metadata().namespace_() == "test");
  const auto* alive = Find(facts, sandbox, running);
  REQUIRE(alive != nullptr);
  CHECK(alive->state == State::kUp);
  CHECK(alive->image_id == lab.subject().image());
  const auto* waiting = Find(facts, sandbox, created);
  REQUIRE(waiting != nullptr);
  CHECK(waiting->state == State::kCreated);
}

TEST_CASE("The image of a mount is held with the container's own, and told after a restart") {
  ContractLab lab;
  const std::string layer = lab.host().data_folder() + "/volume";
  std::filesystem::create_directories(layer);
  lab.host().AddImage({"sha256:volume", {layer}, {}});
  const SandboxId sandbox = lab.RunUp();
  const ContainerId id = MintContainerId();
  runtime::v1::ContainerConfig config;
  config.mutable_metadata()->set_name("c");
  for (const std::string& word : lab.subject().RunsForever()) config.add_command(word);
  auto& mount = *config.add_mounts();
  mount.set_container_path("/volume");
  mount.set_readonly(true);
  mount.mutable_image()->set_image("volume:1");
  const runtime::v1::PodSandboxConfig pod;
  const std::map<std::string, std::string> images = {{"volume:1", "sha256:volume"}};
  REQUIRE(lab.backend().PrepareImage(lab.call(), sandbox, "sha256:volume").ok());
  const Status made = lab.backend().CreateContainer(
      lab.call(), {id, sandbox, lab.node(), lab.subject().image(), config, pod, images});
  INFO(made.ToString());
  REQUIRE(made.ok());
  CHECK(lab.host().Holds(id, lab.subject().image()));
  CHECK(lab.host().Holds(id, "sha256:volume"));

  const auto facts = lab.Restart();

  const auto* found = Find(facts, sandbox, id);
  REQUIRE(found != nullptr);
  CHECK(found->volume_images == images);
  CHECK(lab.host().Holds(id, "sha256:volume"));
  REQUIRE(lab.backend().RemoveContainer(lab.call(), sandbox, id).ok());
  CHECK(lab.host().HeldImages() == 0);
}

TEST_CASE("After a restart a container is started, stopped and read as before") {
  ContractLab lab;
  const SandboxId sandbox = lab.RunUp();
  const ContainerId running = lab.StartOk(sandbox, lab.subject().IgnoresStop());
  const ContainerId created = lab.CreateOk(sandbox, lab.subject().Prints("late"));
  lab.Await(sandbox, running, State::kUp);
  lab.Restart();

  REQUIRE(lab.backend().StartContainer(lab.call(), sandbox, created).ok());
  CHECK(lab.Await(sandbox, created, State::kDown).exit_code == 0);
  CHECK(lab.Log(sandbox, created).find("late") != std::string::npos);
  REQUIRE(lab.backend().StopContainer(lab.call(), sandbox, running, std::chrono::seconds(0)).ok());
  CHECK(lab.Await(sandbox, running, State::kDown).exit_code == 137);
}

TEST_CASE("An exit from before a restart is told after it, unchanged") {
  ContractLab lab;
  const SandboxId sandbox = lab.RunUp();
  const ContainerId id = lab.StartOk(sandbox, lab.subject().ExitsWith(9));
  const auto before = lab.Await(sandbox, id, State::kDown);

  const auto facts = lab.Restart();

  const auto* after = Find(facts, sandbox, id);
  REQUIRE(after != nullptr);
  CHECK(after->state == State::kDown);
  CHECK(after->exit_code == 9);
  CHECK(after->finished_ns == before.finished_ns);
  CHECK(after->log_end == before.log_end);
}

TEST_CASE("A removed sandbox is absent after a restart") {
  ContractLab lab;
  const SandboxId sandbox = lab.RunUp();
  REQUIRE(lab.Remove(sandbox).ok());

  CHECK(lab.Restart().empty());
}

}  // namespace interlink::contract
