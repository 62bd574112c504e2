#include "site_lab.h"

namespace interlink::test {
namespace {

using namespace interlink::v1;  // NOLINT(google-build-using-namespace): enum values

std::vector<Event> ReadAll(site::EventReader& reader) {
  std::vector<Event> all;
  while (true) {
    auto some = reader.Next(7);
    REQUIRE(some.ok());
    if (some->empty()) return all;
    all.insert(all.end(), some->begin(), some->end());
  }
}

TEST_CASE("a reader without a position gets the whole list with its requests and an end mark") {
  SiteLab lab;
  lab.WaitReady();
  REQUIRE(lab.LinkNode().ok());
  const SandboxId pod = MintSandboxId();
  const ContainerId unit = MintContainerId();
  lab.RunAll(pod, unit);

  auto reader = lab.site->ReadEvents(lab.caller, Position());
  REQUIRE(reader.ok());
  const auto events = ReadAll(**reader);

  REQUIRE(events.size() == 4);
  CHECK(events[0].has_resync());
  CHECK(events[1].record().sandbox().request().config().metadata().namespace_() == "default");
  CHECK(events[2].record().container().request().config().metadata().name() == "c");
  CHECK(events[3].end().count() == 2);
  CHECK(events[3].end().handlers_recovered(0) == "test");
  CHECK(events[3].position().epoch() == lab.last_link.epoch());
}

TEST_CASE("a list tells the images of an imported container's mounts") {
  SiteLab lab;
  lab.WaitReady();
  REQUIRE(lab.LinkNode().ok());
  const SandboxId pod = MintSandboxId();
  REQUIRE(lab.Run(pod, lab.PodBody("a")).ok());
  CreateContainerRequest request;
  REQUIRE(request.ParseFromString(lab.UnitBody("c")));
  request.mutable_config()->add_mounts()->mutable_image()->set_image("data:1");
  (*request.mutable_volume_images())["data:1"] = "sha256:d";
  REQUIRE(lab.Create(pod, MintContainerId(), request.SerializeAsString()).ok());

  lab.Crash();
  lab.disk = SiteDisk();
  lab.Boot();
  lab.WaitReady();
  REQUIRE(lab.LinkNode().ok());
  auto reader = lab.site->ReadEvents(lab.caller, Position());
  REQUIRE(reader.ok());
  const auto events = ReadAll(**reader);

  REQUIRE(events.size() == 4);
  const auto& container = events[2].record().container();
  CHECK(container.imported());
  CHECK(container.request().volume_images().at("data:1") == "sha256:d");
}

TEST_CASE("a reader that comes back gets only what changed, once each") {
  SiteLab lab;
  lab.WaitReady();
  REQUIRE(lab.LinkNode().ok());
  const SandboxId pod = MintSandboxId();
  const ContainerId unit = MintContainerId();
  lab.RunAll(pod, unit);
  auto first = lab.site->ReadEvents(lab.caller, Position());
  const Position position = ReadAll(**first).back().position();
  first->reset();

  REQUIRE(lab.backend->End(unit, 3).ok());
  REQUIRE(Eventually(
      [&] { return lab.site->GetContainer(NodeId("n1"), pod, unit)->seen() == SEEN_DOWN; }));
  auto second = lab.site->ReadEvents(lab.caller, position);

  std::vector<Event> events;
  REQUIRE(Eventually([&] {
    for (auto& event : ReadAll(**second)) events.push_back(event);
    return !events.empty();
  }));
  REQUIRE(events.size() == 1);
  CHECK(events[0].record().container().exit_code() == 3);
  CHECK_FALSE(events[0].record().container().has_request());
}

std::vector<ImageRecord> ImagesIn(const std::vector<Event>& events) {
  std::vector<ImageRecord> images;
  for (const Event& event : events) {
    if (event.record().has_image()) images.push_back(event.record().image());
  }
  return images;
}

// Only the new image was told: the node kept the tag on both, ran the old one and removed the wrong
// one.
TEST_CASE("a tag that moves is told of both images, first of the one that has lost it") {
  SiteLab lab;
  lab.WaitReady();
  REQUIRE(lab.LinkNode().ok());
  auto reader = lab.site->ReadEvents(lab.caller, Position());
  ReadAll(**reader);
  lab.images.SetRegistry("r/app:latest", "sha256:b");
  REQUIRE(lab.Pull("r/app:latest")->settled);
  CHECK(ImagesIn(ReadAll(**reader)).size() == 1);

  lab.images.SetRegistry("r/app:latest", "sha256:a");
  REQUIRE(lab.Pull("r/app:latest")->settled);

  const auto told = ReadAll(**reader);
  const auto images = ImagesIn(told);
  REQUIRE(images.size() == 2);
  CHECK(images[0].image().id() == "sha256:b");
  CHECK(images[0].image().repo_tags_size() == 0);
  CHECK(images[1].image().id() == "sha256:a");
  CHECK(images[1].image().repo_tags_size() == 1);
  CHECK(told.back().record().pull().image_id() == "sha256:a");
}

// A node drops what is older than what it knows: what it had missed stayed lost until the site
// started again.
TEST_CASE("a list's images are newer than what was told of them before") {
  SiteLab lab;
  lab.WaitReady();
  REQUIRE(lab.LinkNode().ok());
  auto first = lab.site->ReadEvents(lab.caller, Position());
  ReadAll(**first);
  REQUIRE(lab.Pull("r/app:latest")->settled);
  const auto told = ImagesIn(ReadAll(**first));
  REQUIRE(told.size() == 1);

  auto second = lab.site->ReadEvents(lab.caller, Position());

  const auto listed = ImagesIn(ReadAll(**second));
  REQUIRE(listed.size() == 1);
  CHECK(listed[0].epoch() == told[0].epoch());
  CHECK(listed[0].revision() >= told[0].revision());
}

// The slower pull told what it had seen before the faster one gave the image its other name.
TEST_CASE("the last word about an image has all its names, whichever pull ends last") {
  SiteLab lab;
  std::promise<void> go;
  lab.images.after_pull = [slow = go.get_future().share()](const std::string& tag) {
    if (tag == "r/app:1") slow.wait();
  };
  lab.WaitReady();
  REQUIRE(lab.LinkNode().ok());
  auto reader = lab.site->ReadEvents(lab.caller, Position());
  ReadAll(**reader);
  for (const std::string tag : {"r/app:1", "r/app:2"}) lab.images.SetRegistry(tag, "sha256:a");
  REQUIRE(lab.Pull("r/app:1", Duration::zero()).ok());
  REQUIRE(Eventually([&] { return lab.images.List(lab.caller.node).size() == 1; }));
  REQUIRE(lab.Pull("r/app:2")->settled);
  go.set_value();

  std::vector<Event> told;
  REQUIRE(Eventually([&] {
    for (auto& event : ReadAll(**reader)) told.push_back(event);
    return std::count_if(told.begin(), told.end(), [](const Event& event) {
             return event.record().has_pull() && event.record().pull().ended();
           }) == 2;
  }));
  CHECK(ImagesIn(told).back().image().repo_tags_size() == 2);
}

// It was told as pulled behind the word that it is gone: the node waited for it to appear until the
// pull's time was over.
TEST_CASE("a pull whose image is removed before its end is told has failed") {
  SiteLab lab;
  std::promise<void> go;
  lab.images.after_pull = [slow = go.get_future().share()](const std::string&) { slow.wait(); };
  lab.WaitReady();
  REQUIRE(lab.LinkNode().ok());
  auto reader = lab.site->ReadEvents(lab.caller, Position());
  ReadAll(**reader);
  lab.images.SetRegistry("r/app:1", "sha256:a");
  REQUIRE(lab.Pull("r/app:1", Duration::zero()).ok());
  REQUIRE(Eventually([&] { return lab.images.List(lab.caller.node).size() == 1; }));
  REQUIRE(lab.Wait<std::string>([&](auto reply) {
               lab.site->RemoveImage(SiteLab::call(), lab.caller, "sha256:a", reply);
             })
              .ok());
  go.set_value();

  interlink::v1::PullRecord ended;
  REQUIRE(Eventually([&] {
    for (const auto& event : ReadAll(**reader)) {
      if (event.record().has_pull()) ended = event.record().pull();
    }
    return ended.ended();
  }));
  CHECK(ended.image_id().empty());
  CHECK(ended.failure().code() == static_cast<int>(Code::kUnavailable));
  CHECK(ended.failure().message() == "the image was removed while it was pulled: pull it again");
}

TEST_CASE("a reader is woken by a change") {
  SiteLab lab;
  lab.WaitReady();
  REQUIRE(lab.LinkNode().ok());
  auto reader = lab.site->ReadEvents(lab.caller, Position());
  ReadAll(**reader);
  std::atomic<bool> woken = false;
  (*reader)->OnReady([&woken] { woken = true; });
  CHECK_FALSE(woken);

  REQUIRE(lab.Run(MintSandboxId(), lab.PodBody("a")).ok());

  CHECK(Eventually([&] { return woken.load(); }));
}

TEST_CASE("a new reader or a new link ends the old reader") {
  SiteLab lab;
  lab.WaitReady();
  REQUIRE(lab.LinkNode().ok());
  auto first = lab.site->ReadEvents(lab.caller, Position());
  auto second = lab.site->ReadEvents(lab.caller, Position());

  CHECK((*first)->Next(1).status().code() == Code::kAborted);
  CHECK((*second)->Next(1).ok());
  REQUIRE(lab.LinkNode().ok());
  CHECK((*second)->Next(1).status().code() == Code::kAborted);
}

TEST_CASE("a position of another epoch gets a resync") {
  SiteLab lab;
  lab.WaitReady();
  REQUIRE(lab.LinkNode().ok());
  auto reader = lab.site->ReadEvents(lab.caller, Position());
  const Position position = ReadAll(**reader).back().position();
  reader->reset();
  lab.Restart();
  REQUIRE(lab.LinkNode().ok());

  auto again = lab.site->ReadEvents(lab.caller, position);

  CHECK(ReadAll(**again).front().has_resync());
}

}  // namespace
}  // namespace interlink::test
