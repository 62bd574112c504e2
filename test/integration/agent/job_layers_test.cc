// Layers as the slurm plugin gives them to jobs, in the overlay of an ordinary user's agent, which
// reads them in a shared folder or gets them sent: what the container sees is what the image means.
#include "slurm/job_layers.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "agent_backend/layer_sender.h"
#include "rootless_job.h"
#include "support/eventually.h"

namespace interlink::test {
namespace {

namespace fs = std::filesystem;

void Put(const std::string& path, const std::string& text, mode_t mode = 0644) {
  fs::create_directories(fs::path(path).parent_path());
  std::ofstream(path) << text;
  REQUIRE(chmod(path.c_str(), mode) == 0);
}

// What the image store makes of whiteouts.
void Hide(const std::string& path) {
  fs::create_directories(fs::path(path).parent_path());
  REQUIRE(mknod(path.c_str(), S_IFCHR, makedev(0, 0)) == 0);
}
void HideBelow(const std::string& folder) {
  fs::create_directories(folder);
  const char* name = geteuid() == 0 ? "trusted.overlay.opaque" : "user.overlay.opaque";
  REQUIRE(setxattr(folder.c_str(), name, "y", 1, 0) == 0);
}

// What its agent calls the image's layers, when it has them.
sdk::UnpackedImage Sent(AgentLab& lab, const Job& job, const sdk::UnpackedImage& image) {
  agent_backend::LayerSender sender(agent_backend::AgentsOf(*lab.hub), lab.log, lab.clock);
  sdk::UnpackedImage sent;
  Status why;
  const bool there = Eventually([&] {
    const auto brought =
        sender.Bring(Call::WithTimeout(std::chrono::seconds(10)), lab.pod, image, "");
    why = brought.status();
    if (brought.ok()) sent = *brought;
    return brought.ok();
  });
  INFO(why.ToString() << job.Said());
  REQUIRE(there);
  return sent;
}

TEST_CASE("a job's container sees the layers of its image as they are meant") {
  const bool shared = GENERATE(true, false);
  INFO((shared ? "shared" : "sent"));
  AgentLab lab;
  Job job(lab);
  // Of the site, closed to the job's user.
  const std::string store = lab.folder.File("store");
  Put(store + "/low/etc/gone", "x");
  Put(store + "/low/etc/kept", "low");
  Put(store + "/low/hidden/old", "x");
  Put(store + "/low/shadow", "secret", geteuid() == 0 ? 0 : 0400);
  Put(store + "/low/closed/in", "inside");
  REQUIRE(chmod((store + "/low/closed").c_str(), 0555) == 0);
  Put(store + "/low/program", "x", 04755);
  Hide(store + "/top/etc/gone");
  Put(store + "/top/etc/kept", "top");
  HideBelow(store + "/top/hidden");
  Put(store + "/top/hidden/new", "y");
  fs::create_hard_link(store + "/top/etc/kept", store + "/top/etc/same");
  REQUIRE(chmod(store.c_str(), 0700) == 0);
  sdk::UnpackedImage image;
  image.id = "sha256:test";
  image.layers = {job.layer(), store + "/low", store + "/top"};
  const slurm::FileOwner owner = geteuid() == 0 ? slurm::FileOwner{kJobUser, kJobUser}
                                                : slurm::FileOwner{geteuid(), getegid()};
  NullLog log;
  const SystemClock clock;
  REQUIRE(mkdir(lab.folder.File("jobs").c_str(), 0755) == 0);
  auto layers = slurm::JobLayers::Create({lab.folder.File("jobs/layers"), owner}, clock, log);
  INFO(layers.status().ToString());
  REQUIRE(layers.ok());
  REQUIRE((*layers)->Prepare(Call::WithTimeout(std::chrono::minutes(1)), image).ok());
  const auto held = (*layers)->Hold(kFirst, image);
  REQUIRE(held.ok());

  // Who cannot read them has to get them.
  if (!shared && geteuid() == 0) REQUIRE(chown(lab.folder.File("jobs/layers").c_str(), 0, 0) == 0);
  job.layers = held->layers;
  job.Start();
  job.RunPod();
  if (!shared) job.layers = Sent(lab, job, *held).layers;
  job.RunContainer(kFirst, kReady);
  REQUIRE(job.Logs(kFirst, "ready"));
  const auto sh_in = [&](const ContainerId& id, const std::string& script) {
    const SessionOutput output = lab.Exec(id, {"/bin/sh", "-c", script});
    return output.out + output.err + "=" + std::to_string(output.code.value_or(-1));
  };
  const auto sh = [&](const std::string& script) { return sh_in(kFirst, script); };

  CHECK(sh("cat /etc/kept /etc/same") == "toptop=0");
  CHECK(sh("echo /etc/gone*") == "/etc/gone*\n=0");
  CHECK(sh("echo /hidden/*") == "/hidden/new\n=0");
  CHECK(sh("cat /shadow") == "secret=0");
  // Copied up, from files and folders that nobody could write.
  CHECK(sh("echo more >> /shadow && cat /shadow") == "secretmore\n=0");
  CHECK(sh("echo x > /closed/new && cat /closed/new /closed/in") == "x\ninside=0");
  CHECK(sh("busybox rm /hidden/new && echo /hidden/*") == "/hidden/*\n=0");
  CHECK(sh("busybox rm -r /closed && echo /closed*") == "/closed*\n=0");
  CHECK(sh("busybox stat -c '%a %u %g' /program /bin/busybox") == "755 0 0\n755 0 0\n=0");
  // The same as a volume.
  auto create = job.Create(kSecond, kReady);
  auto& mount = *create.mutable_create_container()->mutable_config()->add_mounts();
  mount.set_container_path("/data");
  mount.set_readonly(true);
  mount.mutable_image()->set_image("volume:1");
  auto& volume = (*create.mutable_create_container()->mutable_volume_images())["volume:1"];
  volume.set_id("sha256:volume");
  for (const std::string& layer : job.layers) volume.add_layers(layer);
  lab.Ask(create);
  lab.Ask(StartCommand(kSecond));
  REQUIRE(job.Logs(kSecond, "ready"));
  CHECK(sh_in(kSecond, "cat /data/etc/same; echo /data/hidden/* /data/etc/gone*") ==
        "top/data/hidden/new /data/etc/gone*\n=0");
  CHECK(sh_in(kSecond, "echo x > /data/new").ends_with("Read-only file system\n=1"));
  // Nothing of it went into the layers.
  CHECK(access((held->layers[1] + "/closed/in").c_str(), F_OK) == 0);
  CHECK(fs::file_size(held->layers[1] + "/shadow") == 6);
}

TEST_CASE("a job of root is sent layers with their owners, modes and capabilities") {
  if (geteuid() != 0) return;
  AgentLab lab;
  Job job(lab);
  job.of_root = true;
  const std::string store = lab.folder.File("store");
  Put(store + "/low/owned", "x");
  REQUIRE(chown((store + "/low/owned").c_str(), 1234, 5678) == 0);
  REQUIRE(chmod((store + "/low/owned").c_str(), 04711) == 0);
  Put(store + "/low/able", "x", 0755);
  // cap_net_raw.
  constexpr unsigned char kCapability[20] = {1, 0, 0, 2, 0, 0x20};
  REQUIRE(setxattr((store + "/low/able").c_str(), "security.capability", kCapability, 20, 0) == 0);
  sdk::UnpackedImage image;
  image.id = "sha256:test";
  image.layers = {job.layer(), store + "/low"};
  NullLog log;
  const SystemClock clock;
  REQUIRE(mkdir(lab.folder.File("jobs").c_str(), 0755) == 0);
  auto layers = slurm::JobLayers::Create(
      {lab.folder.File("jobs/layers"), {0, 0}, slurm::LayerOwners::kKept}, clock, log);
  REQUIRE(layers.ok());
  REQUIRE((*layers)->Prepare(Call::WithTimeout(std::chrono::minutes(1)), image).ok());
  const auto held = (*layers)->Hold(kFirst, image);
  REQUIRE(held.ok());

  job.Start({"--allow-root"});
  job.RunPod();
  job.layers = Sent(lab, job, *held).layers;
  job.RunContainer(kFirst, kReady);
  REQUIRE(job.Logs(kFirst, "ready"));

  const std::string asked = "busybox stat -c '%a %u %g' /owned";
  CHECK(lab.Exec(kFirst, {"/bin/sh", "-c", asked}).out == "4711 1234 5678\n");
  const std::string able = job.home() + "/state/layers/" + job.layers[1] + "/able";
  unsigned char value[64] = {};
  REQUIRE(getxattr(able.c_str(), "security.capability", value, sizeof value) >= 20);
  CHECK(value[5] == 0x20);
}

}  // namespace
}  // namespace interlink::test
