#include "site_lab.h"

namespace interlink::test {
namespace {

using namespace interlink::v1;  // NOLINT(google-build-using-namespace): enum values

TEST_CASE("after a crash the same pods are there and an exit that happened meanwhile is told") {
  SiteLab lab;
  lab.WaitReady();
  REQUIRE(lab.LinkNode().ok());
  const SandboxId pod = MintSandboxId();
  const ContainerId unit = MintContainerId();
  lab.RunAll(pod, unit);

  lab.Crash();
  {
    MutexLock lock(lab.world.mutex);
    lab.world.units[unit].state = World::State::kDown;
    lab.world.units[unit].exit_code = 7;
  }
  lab.Boot();
  lab.WaitReady();

  CHECK(lab.site->GetSandbox(NodeId("n1"), pod)->seen() == SEEN_UP);
  CHECK(Eventually(
      [&] { return lab.site->GetContainer(NodeId("n1"), pod, unit)->seen() == SEEN_DOWN; }));
  CHECK(lab.site->GetContainer(NodeId("n1"), pod, unit)->exit_code() == 7);
  CHECK(lab.world.StartsOf(unit.str()) == 1);
}

TEST_CASE("a remove goes on after a crash until it is proven") {
  SiteLab lab;
  lab.WaitReady();
  REQUIRE(lab.LinkNode().ok());
  const SandboxId pod = MintSandboxId();
  REQUIRE(lab.Run(pod, lab.PodBody("a")).ok());
  lab.world.Fail("RemoveSandbox", Unavailable("away"));
  REQUIRE(lab.RemovePod(pod, std::chrono::milliseconds(20)).ok());

  lab.Crash();
  lab.world.Fail("RemoveSandbox", {});
  lab.Boot();
  lab.WaitReady();

  CHECK(Eventually([&] { return lab.site->GetSandbox(NodeId("n1"), pod)->seen() == SEEN_GONE; }));
}

TEST_CASE("a creation without a trace is held until its owner repeats it in a new link") {
  SiteLab lab;
  lab.WaitReady();
  REQUIRE(lab.LinkNode().ok());
  const SandboxId pod = MintSandboxId();
  lab.world.Fail("RunSandbox", Unavailable("away"));
  REQUIRE(lab.Run(pod, lab.PodBody("a"), std::chrono::milliseconds(20)).ok());

  lab.Crash();
  lab.world.Fail("RunSandbox", {});
  lab.Boot();
  lab.WaitReady();

  CHECK(lab.site->GetSandbox(NodeId("n1"), pod)->held());
  CHECK(lab.world.StartsOf(pod.str()) == 0);
  REQUIRE(lab.LinkNode().ok());
  const auto again = lab.Run(pod, lab.PodBody("a"));
  REQUIRE(again.ok());
  CHECK(again->record.seen() == SEEN_UP);
  CHECK(lab.world.StartsOf(pod.str()) == 1);
}

TEST_CASE("work of a lost store is imported, shown to its node and goes when the node removes it") {
  SiteLab lab;
  lab.WaitReady();
  REQUIRE(lab.LinkNode().ok());
  const SandboxId pod = MintSandboxId();
  const ContainerId unit = MintContainerId();
  lab.RunAll(pod, unit);

  const std::string named_by = lab.site->HostFor("scripted").lineage().str();
  const std::string lost = lab.site_lineage;
  const uint64_t epoch = lab.last_link.epoch();

  lab.Crash();
  lab.disk = SiteDisk();
  lab.Boot();
  lab.WaitReady();
  REQUIRE(lab.LinkNode().ok());

  CHECK(lab.site_lineage != lost);
  CHECK(lab.last_link.epoch() > epoch);
  CHECK(lab.site->HostFor("scripted").lineage().str() == named_by);
  const auto record = lab.site->GetContainer(NodeId("n1"), pod, unit);
  REQUIRE(record.ok());
  CHECK(record->imported());
  CHECK(record->seen() == SEEN_UP);
  CHECK(lab.StartUnit(pod, unit).ok());
  CHECK(lab.world.StartsOf(unit.str()) == 1);
  CHECK(lab.RemovePod(pod)->settled);
}

// The fact found no record, the list said that it runs, and nothing was reported any more.
TEST_CASE("an exit that is reported while its backend is inventoried is told of what is imported") {
  SiteLab lab;
  lab.WaitReady();
  REQUIRE(lab.LinkNode().ok());
  const SandboxId pod = MintSandboxId();
  const ContainerId unit = MintContainerId();
  lab.RunAll(pod, unit);
  lab.Crash();
  lab.disk = SiteDisk();
  lab.world.after_list = [&] {
    static_cast<void>(lab.backend->End(unit, 7));
    Eventually([] { return false; }, std::chrono::milliseconds(100));  // its fact is looked at
  };

  lab.Boot();
  lab.WaitReady();

  CHECK(Eventually([&] {
    const auto record = lab.site->GetContainer(NodeId("n1"), pod, unit);
    return record.ok() && record->seen() == SEEN_DOWN && record->exit_code() == 7;
  }));
}

TEST_CASE("a backup that knows less than the world duplicates nothing and loses nothing") {
  SiteLab lab;
  lab.WaitReady();
  REQUIRE(lab.LinkNode().ok());
  const SandboxId old_pod = MintSandboxId();
  const SandboxId new_pod = MintSandboxId();
  REQUIRE(lab.Run(old_pod, lab.PodBody("old")).ok());
  const SiteDisk backup = lab.disk;
  REQUIRE(lab.Run(new_pod, lab.PodBody("new", "v")).ok());
  REQUIRE(lab.RemovePod(old_pod).ok());

  lab.Crash();
  lab.disk = backup;
  lab.Boot();
  lab.WaitReady();

  // The old pod is gone: proven, and told as an end; the new one is imported.
  CHECK(lab.site->GetSandbox(NodeId("n1"), old_pod)->seen() == SEEN_DOWN);
  CHECK(lab.site->GetSandbox(NodeId("n1"), new_pod)->seen() == SEEN_UP);
  CHECK(lab.world.StartsOf(old_pod.str()) == 1);
  CHECK(lab.world.StartsOf(new_pod.str()) == 1);
}

// The site had the limits of the creation, and an update of the cpuset alone made them the
// backend's again.
TEST_CASE("an update that a restored store has lost is not taken back by the next one") {
  SiteLab lab;
  lab.WaitReady();
  REQUIRE(lab.LinkNode().ok());
  const SandboxId pod = MintSandboxId();
  const ContainerId unit = MintContainerId();
  lab.RunAll(pod, unit);
  interlink::v1::UpdateContainerRequest request;
  const auto update = [&] {
    request.set_sequence(request.sequence() + 1);
    return lab.Wait<ContainerAnswer>([&](auto reply) {
      lab.site->UpdateContainer(SiteLab::call(), lab.caller, pod, unit, request, reply);
    });
  };
  request.mutable_linux()->set_memory_limit_in_bytes(1 << 20);
  REQUIRE(update().ok());
  const SiteDisk backup = lab.disk;
  request.mutable_linux()->set_memory_limit_in_bytes(2 << 20);
  REQUIRE(update().ok());

  lab.Crash();
  lab.disk = backup;
  lab.Boot();
  lab.WaitReady();

  const auto memory = [&] {
    return lab.site->GetContainer(NodeId("n1"), pod, unit)->resources().memory_limit_in_bytes();
  };
  CHECK(memory() == 2 << 20);
  lab.Restart();
  CHECK(memory() == 2 << 20);
  REQUIRE(lab.LinkNode().ok());
  request.mutable_linux()->Clear();
  request.mutable_linux()->set_cpuset_cpus("0");
  REQUIRE(update().ok());
  MutexLock lock(lab.world.mutex);
  CHECK(lab.world.limits.at(unit).memory_limit_in_bytes() == 2 << 20);
}

// The second inventory found nothing new in memory, so nothing of it was stored, and a list lacked
// what the first had imported.
TEST_CASE("an inventory that was not stored opens no handler, the next one lists all") {
  SiteLab lab;
  lab.WaitReady();
  REQUIRE(lab.LinkNode().ok());
  const SandboxId pod = MintSandboxId();
  const ContainerId unit = MintContainerId();
  lab.RunAll(pod, unit);
  lab.Crash();
  lab.disk = SiteDisk();
  lab.refuse_inventory = true;
  lab.Boot();
  REQUIRE(Eventually([&] { return lab.writer->HasRefused(); }));
  REQUIRE(lab.LinkNode().ok());
  CHECK_FALSE(lab.site->Ready());

  lab.WaitReady();

  auto reader = lab.site->ReadEvents(lab.caller, Position());
  REQUIRE(reader.ok());
  const auto events = (*reader)->Next(100);
  REQUIRE(events.ok());
  REQUIRE(events->size() == 4);
  CHECK(events->at(1).record().sandbox().id() == pod.str());
  CHECK(events->at(2).record().container().id() == unit.str());
  CHECK(lab.store->Backup().records.size() == 4);  // the site, the node and both of them
}

// Queued, then lost with its backend's memory: the stop waited for a report of something unknown.
TEST_CASE("a stop of a held pod ends") {
  SiteLab lab;
  lab.WaitReady();
  REQUIRE(lab.LinkNode().ok());
  const SandboxId pod = MintSandboxId();
  lab.world.SetSilent(true);
  REQUIRE(lab.Run(pod, lab.PodBody("a"), Duration::zero()).ok());
  REQUIRE(
      Eventually([&] { return lab.site->GetSandbox(NodeId("n1"), pod)->seen() == SEEN_PENDING; }));
  lab.Crash();
  {
    MutexLock lock(lab.world.mutex);
    lab.world.pods.clear();
  }
  lab.Boot();
  lab.WaitReady();
  REQUIRE(lab.LinkNode().ok());
  REQUIRE(lab.site->GetSandbox(NodeId("n1"), pod)->held());

  const auto stopped = lab.StopPod(pod);

  REQUIRE(stopped.ok());
  CHECK(stopped->settled);
}

// Its bytes differ from what the backend kept, so the repeat was refused as another request.
TEST_CASE("the owner's repeat of an imported creation joins it") {
  SiteLab lab;
  lab.WaitReady();
  REQUIRE(lab.LinkNode().ok());
  const SandboxId pod = MintSandboxId();
  const ContainerId unit = MintContainerId();
  REQUIRE(lab.Run(pod, lab.PodBody("a")).ok());
  REQUIRE(lab.Create(pod, unit, lab.UnitBody("c")).ok());
  lab.Crash();
  lab.disk = SiteDisk();
  lab.Boot();
  lab.WaitReady();
  REQUIRE(lab.LinkNode().ok());

  CHECK(lab.Run(pod, lab.PodBody("other")).status().code() == Code::kAlreadyExists);
  CHECK(lab.Create(pod, unit, lab.UnitBody("other")).status().code() == Code::kAlreadyExists);
  const auto run = lab.Run(pod, lab.PodBody("a"));
  REQUIRE(run.ok());
  CHECK_FALSE(run->record.imported());
  CHECK(run->record.created_ns() == 1);
  const auto created = lab.Create(pod, unit, lab.UnitBody("c"));
  REQUIRE(created.ok());
  CHECK(created->record.seen() == SEEN_CREATED);

  CHECK(lab.Run(pod, lab.PodBody("a")).ok());
  CHECK(lab.StartUnit(pod, unit).ok());
  CHECK(lab.world.StartsOf(pod.str()) == 1);
}

// The start was refused with 409, and the node then ended what ran.
TEST_CASE("a start that the restored store has lost is joined when it is repeated") {
  SiteLab lab;
  lab.WaitReady();
  REQUIRE(lab.LinkNode().ok());
  const SandboxId pod = MintSandboxId();
  const ContainerId unit = MintContainerId();
  REQUIRE(lab.Run(pod, lab.PodBody("a")).ok());
  REQUIRE(lab.Create(pod, unit, lab.UnitBody("c")).ok());
  const SiteDisk backup = lab.disk;
  REQUIRE(lab.StartUnit(pod, unit).ok());

  lab.Crash();
  lab.disk = backup;
  lab.Boot();
  lab.WaitReady();
  REQUIRE(lab.LinkNode().ok());
  const auto started = lab.StartUnit(pod, unit);

  REQUIRE(started.ok());
  CHECK(started->record.seen() == SEEN_UP);
  CHECK(started->record.wanted() == WANTED_START);
  CHECK(lab.world.StartsOf(unit.str()) == 1);
}

TEST_CASE("until a backend is inventoried its handler takes no change") {
  SiteLab lab;
  lab.WaitReady();
  REQUIRE(lab.LinkNode().ok());
  lab.Crash();
  lab.world.Fail("Recover", Unavailable("the scheduler does not answer"));
  lab.Boot();
  REQUIRE(lab.LinkNode().ok());

  CHECK_FALSE(lab.site->Ready());
  CHECK(lab.Run(MintSandboxId(), lab.PodBody("a")).status().code() == Code::kUnavailable);
  lab.world.Fail("Recover", {});
  lab.WaitReady();
  CHECK(lab.Run(MintSandboxId(), lab.PodBody("a")).ok());
}

// The node takes NotFound for the log's end: what was not read by then was lost.
TEST_CASE("until a backend is inventoried no log of it ends") {
  SiteLab lab;
  lab.WaitReady();
  REQUIRE(lab.LinkNode().ok());
  const SandboxId pod = MintSandboxId();
  const ContainerId unit = MintContainerId();
  lab.RunAll(pod, unit);
  lab.Crash();
  const bool store_lost = GENERATE(false, true);
  if (store_lost) lab.disk = SiteDisk();
  lab.world.Fail("Recover", Unavailable("the scheduler does not answer"));
  lab.Boot();

  CHECK(lab.ReadLog(pod, unit).status().code() == Code::kUnavailable);
  lab.world.Fail("Recover", {});
  lab.WaitReady();
  CHECK(lab.ReadLog(pod, unit).ok());
  CHECK(lab.ReadLog(pod, MintContainerId()).status().code() == Code::kNotFound);
}

TEST_CASE("a site with a thousand silent pods answers, and all go when they are removed") {
  SiteLab lab;
  lab.WaitReady();
  REQUIRE(lab.LinkNode().ok());
  lab.world.SetSilent(true);
  std::vector<SandboxId> pods;
  for (int i = 0; i < 1000; ++i) {
    pods.push_back(MintSandboxId());
    REQUIRE(lab.Run(pods.back(), lab.PodBody("p" + std::to_string(i)), Duration::zero()).ok());
  }
  CHECK(lab.site->ListSandboxes(NodeId("n1")).size() == 1000);
  for (const SandboxId& pod : pods) REQUIRE(lab.RemovePod(pod, Duration::zero()).ok());

  CHECK(Eventually([&] { return lab.site->ListSandboxes(NodeId("n1")).empty(); }));
  MutexLock lock(lab.world.mutex);
  CHECK(lab.world.pods.empty());
}

}  // namespace
}  // namespace interlink::test
