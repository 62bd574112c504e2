// Layers on their way from a site to an agent that shares no folder with it, through a real hub.
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "agent_backend/layer_sender.h"
#include "agent_lab.h"
#include "running_agent.h"
#include "support/eventually.h"

namespace interlink::test {
namespace {

namespace fs = std::filesystem;
using agent_backend::LayerSender;

constexpr const char* kLayer = "v1-7-1.5";
const ContainerId kOfLayers(std::string(64, 'c'));

struct LayersLab : AgentLab {
  explicit LayersLab(size_t mebibytes) {
    fs::create_directories(Site() + "/usr/bin");
    for (size_t i = 0; i < mebibytes; ++i) {
      std::ofstream(Site() + "/usr/bin/" + std::to_string(i)) << std::string(1 << 20, 'x');
    }
    fs::create_symlink("usr/bin", Site() + "/bin");
    image.id = "sha256:test";
    image.layers = {Site()};
    StartAgent();
    StartSite();
  }
  std::string Site() const { return folder.File(std::string("site/") + kLayer); }
  std::string AtAgent() const { return RunningAgent::LayersOf(*this, nonce) + "/" + kLayer; }
  void StartAgent() {
    const size_t before = events.complete_reports();
    agent = std::make_unique<RunningAgent>(*this, nonce);
    REQUIRE(Eventually([&] { return events.complete_reports() > before; }));
  }
  void StartSite() {
    sender.reset();
    sender = std::make_unique<LayerSender>(
        agent_backend::AgentsOf(*hub), log, clock,
        agent_backend::LayerSenderOptions{.wait = std::chrono::milliseconds(20),
                                          .shortest_pause = std::chrono::milliseconds(20)});
  }
  Result<sdk::UnpackedImage> Bring() {
    return sender->Bring(Call::WithTimeout(std::chrono::seconds(10)), pod, image, "n9");
  }
  bool IsBrought() {
    return Eventually([&] {
      const auto brought = Bring();
      if (!brought.ok()) words = brought.status().message();
      return brought.ok();
    });
  }
  // Some of it has arrived.
  bool IsArriving() {
    return Eventually([&] {
      const auto brought = Bring();
      for (const auto& entry : fs::directory_iterator(RunningAgent::LayersOf(*this, nonce))) {
        if (fs::exists(entry.path() / "usr/bin")) return true;
      }
      return false;
    });
  }

  sdk::UnpackedImage image;
  std::string words;  // of the last failure
  std::unique_ptr<RunningAgent> agent;
  std::unique_ptr<LayerSender> sender;
};

TEST_CASE("a layer comes through the hub, and a container is made of it") {
  LayersLab lab(24);

  const bool brought = lab.IsBrought();

  INFO(lab.words);
  REQUIRE(brought);
  CHECK(fs::file_size(lab.AtAgent() + "/usr/bin/23") == 1 << 20);
  CHECK(fs::read_symlink(lab.AtAgent() + "/bin") == "usr/bin");
  const auto image = lab.Bring();
  REQUIRE(image.ok());
  CHECK(image->layers == std::vector<std::string>{kLayer});
  lab.RunPod();
  auto create = CreateCommand(kOfLayers, {"run"});
  create.mutable_create_container()->mutable_image()->add_layers(kLayer);
  (*create.mutable_create_container()->mutable_volume_images())["v"].set_id("sha256:volume");
  (*create.mutable_create_container()->mutable_volume_images())["v"].add_layers(kLayer);
  lab.Ask(create);
  for (const char* id : {"sha256:test", "sha256:volume"}) {
    const auto held = lab.agent->host().HoldImage(kOfLayers, id);
    REQUIRE(held.ok());
    CHECK(held->layers == std::vector<std::string>{lab.AtAgent()});
  }
}

TEST_CASE("a container of a layer that is not there is not made, and says which") {
  LayersLab lab(1);
  lab.RunPod();
  auto create = CreateCommand(kOfLayers, {"run"});
  create.mutable_create_container()->mutable_image()->add_layers("v1-9-9.9");

  const auto answer = lab.Try(create);

  CHECK(answer.status().code() == Code::kUnavailable);
  CHECK(answer.status().message().find("v1-9-9.9") != std::string::npos);
  create.mutable_create_container()->mutable_image()->set_layers(0, "../../etc");
  CHECK(lab.Try(create).status().code() == Code::kInvalidArgument);
}

TEST_CASE("an agent that dies while a layer comes takes it again in its next life") {
  LayersLab lab(64);
  REQUIRE(lab.IsArriving());

  lab.agent.reset();
  // One of this process leaves; one that dies has marked nothing.
  fs::remove_all(lab.folder.File("pod-" + lab.nonce + "/gone"));
  lab.StartAgent();

  CHECK(lab.IsBrought());
  CHECK(fs::file_size(lab.AtAgent() + "/usr/bin/63") == 1 << 20);
  CHECK(Eventually([&] {
    const fs::directory_iterator all(RunningAgent::LayersOf(lab, lab.nonce));
    return std::distance(all, fs::directory_iterator()) == 1;
  }));
}

TEST_CASE("an agent whose pod was stopped takes no layers") {
  LayersLab lab(1);
  lab.RunPod();
  agent::v1::Command stop;
  stop.mutable_stop_sandbox()->set_node_id("node");
  lab.Ask(stop);

  CHECK(Eventually([&] { return lab.Bring().status().code() == Code::kFailedPrecondition; }));
}

TEST_CASE("a site that dies while it sends a layer sends it again in its next life") {
  LayersLab lab(64);
  REQUIRE(lab.IsArriving());

  lab.sender.reset();
  lab.StopHub();
  lab.StartHub();
  lab.StartSite();
  REQUIRE(Eventually([&] { return lab.events.complete_reports() > 1; }));

  CHECK(lab.IsBrought());
  CHECK(fs::file_size(lab.AtAgent() + "/usr/bin/63") == 1 << 20);
}

TEST_CASE("a layer that the agent has is not sent by the site's next life") {
  LayersLab lab(2);
  REQUIRE(lab.IsBrought());
  fs::remove_all(lab.Site());

  lab.StartSite();

  CHECK(lab.IsBrought());
}

TEST_CASE("a layer that cannot be read at the site is not the agent's fault, and is tried again") {
  LayersLab lab(2);
  fs::rename(lab.Site(), lab.folder.File("away"));

  CHECK(Eventually([&] {
    const Status why = lab.Bring().status();
    return why.code() == Code::kUnavailable &&
           why.message().find("cannot be read at the site") != std::string::npos;
  }));
  fs::rename(lab.folder.File("away"), lab.Site());

  CHECK(lab.IsBrought());
}

}  // namespace
}  // namespace interlink::test
