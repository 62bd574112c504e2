// Layers as the slurm plugin gives them to jobs, in the overlay of an ordinary user's agent: what
// the container sees is what the image means.
#include "slurm/job_layers.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "rootless_job.h"

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

TEST_CASE("a job's container sees the layers of its image as they are meant") {
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

  job.layers = held->layers;
  job.Start();
  job.RunPod();
  job.RunContainer(kFirst, kReady);
  REQUIRE(job.Logs(kFirst, "ready"));
  const auto sh = [&](const std::string& script) {
    const SessionOutput output = lab.Exec(kFirst, {"/bin/sh", "-c", script});
    return output.out + output.err + "=" + std::to_string(output.code.value_or(-1));
  };

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
  // Nothing of it went into the layers.
  CHECK(access((held->layers[1] + "/closed/in").c_str(), F_OK) == 0);
  CHECK(fs::file_size(held->layers[1] + "/shadow") == 6);
}

}  // namespace
}  // namespace interlink::test
