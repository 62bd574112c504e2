// The layers of jobs: what a copy is, that it is made once, who keeps it, what a crash leaves.
#include "slurm/job_layers.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <fstream>
#include <thread>

#include "base/file.h"
#include "base/unique_fd.h"
#include "slurm/copy_layer.h"
#include "soon.h"
#include "support/eventually.h"
#include "support/manual_clock.h"
#include "support/temporary_folder.h"

namespace interlink::slurm {
namespace {

namespace fs = std::filesystem;

const ContainerId kFirst(std::string(64, 'c'));
const ContainerId kSecond(std::string(64, 'd'));

// Of an ordinary user, where root runs the tests; else the one who does.
FileOwner JobUser() {
  return geteuid() == 0 ? FileOwner{12345, 12346} : FileOwner{geteuid(), getegid()};
}

void Write(const std::string& path, const std::string& text, mode_t mode = 0644) {
  REQUIRE(MakeDirectories(fs::path(path).parent_path(), 0755).ok());
  std::ofstream(path) << text;
  REQUIRE(chmod(path.c_str(), mode) == 0);
}

struct stat About(const std::string& path) {
  struct stat about {};
  INFO(path);
  REQUIRE(lstat(path.c_str(), &about) == 0);
  return about;
}

mode_t ModeOf(const std::string& path) { return About(path).st_mode & 07777U; }

std::string Attribute(const std::string& path, const char* name) {
  std::string value(256, '\0');
  const ssize_t size = lgetxattr(path.c_str(), name, value.data(), value.size());
  value.resize(size < 0 ? 0 : static_cast<size_t>(size));
  return value;
}

bool Exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

size_t CountIn(const std::string& folder) {
  return static_cast<size_t>(std::distance(fs::directory_iterator(folder), {}));
}

// A site with two layers, and jobs of another user.
struct Lab {
  Lab() {
    REQUIRE(chmod(folder.path().c_str(), 0755) == 0);
    Write(store + "/1/fs/etc/base", "base");
    Write(store + "/2/fs/etc/top", "top");
    image.id = "sha256:image";
    image.layers = {store + "/1/fs", store + "/2/fs"};
    Start();
  }
  void Start() {
    layers.reset();
    auto made = JobLayers::Create({folder.File("layers"), JobUser()}, clock, log);
    INFO(made.status().ToString());
    REQUIRE(made.ok());
    layers = *std::move(made);
  }
  sdk::UnpackedImage Held(const ContainerId& holder) {
    REQUIRE(layers->Prepare(Soon(), image).ok());
    const auto held = layers->Hold(holder, image);
    INFO(held.status().ToString());
    REQUIRE(held.ok());
    return *held;
  }
  // Of copies that are whole.
  size_t Copies() const {
    size_t count = 0;
    for (const auto& entry : fs::directory_iterator(folder.File("layers")))
      count += entry.path().filename().string().starts_with("v1-") ? 1U : 0U;
    return count;
  }

  test::TemporaryFolder folder;
  const std::string store = folder.File("store");
  test::ManualClock clock;
  NullLog log;
  sdk::UnpackedImage image;
  std::unique_ptr<JobLayers> layers;
};

std::string Copied(const std::string& from) {
  static int count = 0;
  const std::string parent = fs::path(from).parent_path();
  REQUIRE(chmod(parent.c_str(), 0777) == 0);
  std::string to = parent + "/copy-" + std::to_string(++count);
  const Status copied = CopyLayer(Soon(), from, to, JobUser(), LayerOwners::kOne);
  INFO(copied.ToString());
  REQUIRE(copied.ok());
  return to;
}

TEST_CASE("A copy is the job user's and has contents, modes, times and links of the layer") {
  const test::TemporaryFolder folder;
  const std::string from = folder.File("fs");
  Write(from + "/usr/bin/tool", std::string(3'000'000, 'x'), 04755);
  // A site that is no root could not read it itself.
  Write(from + "/etc/shadow", "secret", geteuid() == 0 ? 0 : 0400);
  Write(from + "/tmp/x", "");
  REQUIRE(chmod((from + "/tmp").c_str(), 01777) == 0);
  REQUIRE(symlink("/outside/../of", (from + "/link").c_str()) == 0);
  REQUIRE(link((from + "/usr/bin/tool").c_str(), (from + "/etc/same").c_str()) == 0);
  REQUIRE(mkfifo((from + "/fifo").c_str(), 0640) == 0);
  REQUIRE(chmod((from + "/usr/bin").c_str(), 0555) == 0);
  const timespec times[2] = {{1, 0}, {1'000'000'000, 5}};
  for (const char* name : {"/usr/bin/tool", "/link", "/usr/bin", "/usr", ""})
    REQUIRE(utimensat(AT_FDCWD, (from + name).c_str(), times, AT_SYMLINK_NOFOLLOW) == 0);

  const std::string to = Copied(from);

  for (const auto& entry : fs::recursive_directory_iterator(to)) {
    CHECK(About(entry.path()).st_uid == JobUser().uid);
    CHECK(About(entry.path()).st_gid == JobUser().gid);
  }
  CHECK(ReadFile(to + "/usr/bin/tool").value() == std::string(3'000'000, 'x'));
  CHECK(ModeOf(to + "/usr/bin/tool") == 0755);  // no door to the job's user for others
  CHECK(ModeOf(to + "/etc/shadow") == 0400);    // on NFS its owner could not read it else
  CHECK(ModeOf(to + "/tmp") == 01777);
  CHECK(ModeOf(to + "/usr/bin") == 0555);
  CHECK(ModeOf(to + "/fifo") == 0640);
  CHECK(S_ISFIFO(About(to + "/fifo").st_mode));
  CHECK(fs::read_symlink(to + "/link") == "/outside/../of");
  CHECK(About(to + "/etc/same").st_ino == About(to + "/usr/bin/tool").st_ino);
  for (const char* name : {"/usr/bin/tool", "/link", "/usr/bin", "/usr", ""}) {
    CHECK(About(to + name).st_mtim.tv_sec == 1'000'000'000);
    CHECK(About(to + name).st_mtim.tv_nsec == 5);
  }
}

TEST_CASE("A copy keeps whiteouts and user.* and has marks that an ordinary user's overlay sees") {
  const test::TemporaryFolder folder;
  const std::string from = folder.File("fs");
  Write(from + "/opaque/new", "new");
  Write(from + "/file", "x");
  const char* opaque = geteuid() == 0 ? "trusted.overlay.opaque" : "user.overlay.opaque";
  REQUIRE(setxattr((from + "/opaque").c_str(), opaque, "y", 1, 0) == 0);
  REQUIRE(setxattr((from + "/file").c_str(), "user.note", "kept", 4, 0) == 0);
  REQUIRE(setxattr((from + "/file").c_str(), "user.overlay.redirect", "/x", 2, 0) == 0);
  REQUIRE(mknod((from + "/gone").c_str(), S_IFCHR, makedev(0, 0)) == 0);
  REQUIRE(link((from + "/gone").c_str(), (from + "/gone-too").c_str()) == 0);
  if (geteuid() == 0) {
    REQUIRE(mknod((from + "/null").c_str(), S_IFCHR | 0666, makedev(1, 3)) == 0);
    const char* capability = "\1\0\0\2\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    REQUIRE(setxattr((from + "/file").c_str(), "security.capability", capability, 20, 0) == 0);
  }

  const std::string to = Copied(from);

  CHECK(Attribute(to + "/opaque", "user.overlay.opaque") == "y");
  CHECK(Attribute(to, "user.overlay.opaque").empty());
  CHECK(Attribute(to + "/file", "user.note") == "kept");
  CHECK(Attribute(to + "/file", "user.overlay.redirect").empty());
  CHECK(Attribute(to + "/file", "security.capability").empty());
  for (const char* name : {"/gone", "/gone-too"}) {
    CHECK(S_ISCHR(About(to + name).st_mode));
    CHECK(About(to + name).st_rdev == makedev(0, 0));
  }
  CHECK_FALSE(Exists(to + "/null"));
}

TEST_CASE("A copy for root's jobs keeps owners, groups, rights and file capabilities") {
  if (geteuid() != 0) return;
  const test::TemporaryFolder folder;
  const std::string from = folder.File("fs");
  Write(from + "/bin/tool", "x", 0755);
  Write(from + "/bin/plain", "x", 0);
  REQUIRE(symlink("tool", (from + "/bin/link").c_str()) == 0);
  REQUIRE(mkfifo((from + "/bin/fifo").c_str(), 0640) == 0);
  for (const char* name : {"", "/bin", "/bin/tool", "/bin/plain", "/bin/link", "/bin/fifo"})
    REQUIRE(lchown((from + name).c_str(), 1000, 2000) == 0);
  REQUIRE(chmod((from + "/bin/tool").c_str(), 06755) == 0);
  REQUIRE(chmod((from + "/bin").c_str(), 03511) == 0);
  const std::string capability("\1\0\0\2\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
  REQUIRE(setxattr((from + "/bin/tool").c_str(), "security.capability", capability.data(), 20, 0) ==
          0);
  REQUIRE(setxattr((from + "/bin").c_str(), "trusted.overlay.opaque", "y", 1, 0) == 0);

  const std::string to = folder.File("to");
  const Status copied = CopyLayer(Soon(), from, to, {0, 0}, LayerOwners::kKept);
  INFO(copied.ToString());
  REQUIRE(copied.ok());

  for (const char* name : {"", "/bin", "/bin/tool", "/bin/plain", "/bin/link", "/bin/fifo"}) {
    INFO(name);
    CHECK(About(to + name).st_uid == 1000);
    CHECK(About(to + name).st_gid == 2000);
  }
  CHECK(ModeOf(to + "/bin/tool") == 06755);
  CHECK(ModeOf(to + "/bin/plain") == 0);
  CHECK(ModeOf(to + "/bin/fifo") == 0640);
  CHECK(ModeOf(to + "/bin") == 03511);
  CHECK(Attribute(to + "/bin/tool", "security.capability") == capability);
  CHECK(Attribute(to + "/bin", "user.overlay.opaque") == "y");
}

TEST_CASE("Holes stay holes") {
  const test::TemporaryFolder folder;
  const std::string from = folder.File("fs");
  Write(from + "/sparse", "begin");
  const UniqueFd file(open((from + "/sparse").c_str(), O_WRONLY | O_CLOEXEC));
  REQUIRE(pwrite(file.get(), "middle", 6, 40 << 20) == 6);
  REQUIRE(ftruncate(file.get(), 80 << 20) == 0);

  const std::string to = Copied(from);

  CHECK(About(to + "/sparse").st_size == 80 << 20);
  CHECK(About(to + "/sparse").st_blocks < 1000);
  CHECK(ReadFile(to + "/sparse", 80U << 20U).value() ==
        ReadFile(from + "/sparse", 80U << 20U).value());
}

TEST_CASE("A link in the place of a layer's folder is not followed") {
  const test::TemporaryFolder folder;
  Write(folder.File("elsewhere/secret"), "x");
  REQUIRE(symlink(folder.File("elsewhere").c_str(), folder.File("fs").c_str()) == 0);

  CHECK_FALSE(
      CopyLayer(Soon(), folder.File("fs"), folder.File("to"), JobUser(), LayerOwners::kOne).ok());
}

TEST_CASE("Layers are copied once and held under their own path") {
  Lab lab;
  const auto held = lab.Held(kFirst);
  const auto again = lab.Held(kFirst);

  REQUIRE(held.layers.size() == 2);
  CHECK(held.layers == again.layers);
  CHECK(held.id == lab.image.id);
  CHECK(lab.Copies() == 2);
  CHECK(ReadFile(held.layers[0] + "/etc/base").value() == "base");
  CHECK(ReadFile(held.layers[1] + "/etc/top").value() == "top");
  CHECK(ModeOf(lab.folder.File("layers")) == 0700);
  CHECK(CountIn(lab.folder.File("layers/temp")) == 0);
}

TEST_CASE("What is not prepared cannot be held") {
  Lab lab;
  CHECK(lab.layers->Hold(kFirst, lab.image).status().code() == Code::kFailedPrecondition);
  CHECK(lab.layers->Hold(ContainerId("../x"), lab.image).status().code() == Code::kInvalidArgument);
  lab.layers->Release(kFirst);
  CHECK(CountIn(lab.folder.File("layers/holders")) == 0);
}

TEST_CASE("A held layer stays, also after a restart; ten minutes after its release it goes") {
  Lab lab;
  lab.Held(kFirst);
  lab.clock.Advance(std::chrono::hours(1));
  lab.layers->Sweep();
  CHECK(lab.Copies() == 2);
  lab.Start();
  lab.clock.Advance(std::chrono::hours(1));
  lab.layers->Sweep();
  CHECK(lab.Copies() == 2);

  lab.layers->Release(kFirst);
  lab.layers->Release(kFirst);
  lab.clock.Advance(std::chrono::minutes(9));
  lab.layers->Sweep();
  CHECK(lab.Copies() == 2);
  lab.clock.Advance(std::chrono::minutes(2));
  lab.layers->Sweep();

  CHECK(lab.Copies() == 0);
  CHECK(CountIn(lab.folder.File("layers/holders")) == 0);
  CHECK(test::Eventually([&] { return CountIn(lab.folder.File("layers/trash")) == 0; }));
  CHECK(lab.layers->Hold(kFirst, lab.image).status().code() == Code::kFailedPrecondition);
  CHECK(lab.Held(kFirst).layers.size() == 2);
}

TEST_CASE("Who releases and who sweeps is done when the call returns, also beside another sweep") {
  Lab lab;
  std::jthread sweeper([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) lab.layers->Sweep();
  });
  for (int i = 0; i < 30; ++i) {
    lab.Held(kFirst);
    lab.layers->Release(kFirst);
    REQUIRE(CountIn(lab.folder.File("layers/holders")) == 0);
    lab.clock.Advance(std::chrono::minutes(11));
    lab.layers->Sweep();
    REQUIRE(lab.Copies() == 0);
  }
}

TEST_CASE("A layer of two holders goes with the last") {
  Lab lab;
  lab.Held(kFirst);
  lab.Held(kSecond);
  lab.layers->Release(kFirst);
  lab.clock.Advance(std::chrono::hours(1));
  lab.layers->Sweep();
  CHECK(lab.Copies() == 2);

  lab.layers->Release(kSecond);
  lab.clock.Advance(std::chrono::hours(1));
  lab.layers->Sweep();

  CHECK(lab.Copies() == 0);
}

TEST_CASE("A holder of two images keeps the layers of both") {
  Lab lab;
  Write(lab.store + "/3/fs/volume", "v");
  sdk::UnpackedImage volume;
  volume.id = "sha256:volume";
  volume.layers = {lab.store + "/3/fs"};
  lab.Held(kFirst);
  REQUIRE(lab.layers->Prepare(Soon(), volume).ok());
  REQUIRE(lab.layers->Hold(kFirst, volume).ok());

  lab.Start();
  lab.clock.Advance(std::chrono::hours(1));
  lab.layers->Sweep();

  CHECK(lab.Copies() == 3);
}

// The image store counts anew when its last layer was deleted and it was started again.
TEST_CASE("Another layer at the path of an old one is another layer") {
  Lab lab;
  const auto before = lab.Held(kFirst);
  fs::rename(lab.store + "/2/fs", lab.store + "/old");
  Write(lab.store + "/2/fs/etc/top", "other");

  const auto after = lab.Held(kSecond);

  CHECK(after.layers[0] == before.layers[0]);
  CHECK(after.layers[1] != before.layers[1]);
  CHECK(ReadFile(after.layers[1] + "/etc/top").value() == "other");
  CHECK(ReadFile(before.layers[1] + "/etc/top").value() == "top");
}

TEST_CASE("Many calls at once make one copy of each layer") {
  Lab lab;
  for (int i = 0; i < 500; ++i)
    Write(lab.store + "/1/fs/many/" + std::to_string(i), std::string(1000, 'x'));
  std::vector<Status> ends(6);
  {
    std::vector<std::jthread> threads;
    for (Status& end : ends)
      threads.emplace_back([&] { end = lab.layers->Prepare(Soon(), lab.image); });
  }

  for (const Status& end : ends) CHECK(end.ToString() == "OK");
  CHECK(lab.Copies() == 2);
  CHECK(CountIn(lab.folder.File("layers/temp")) == 0);
}

TEST_CASE("A call that nobody waits for leaves no layer, and the next one makes it") {
  Lab lab;
  const Call late = Call::WithTimeout(std::chrono::seconds(0));
  CHECK(lab.layers->Prepare(late, lab.image).code() == Code::kDeadlineExceeded);
  const Call cancelled = Soon();
  cancelled.Cancel();
  CHECK(lab.layers->Prepare(cancelled, lab.image).code() == Code::kCancelled);
  CHECK(lab.Copies() == 0);
  lab.layers->Sweep();
  CHECK(test::Eventually([&] { return CountIn(lab.folder.File("layers/temp")) == 0; }));

  CHECK(lab.Held(kFirst).layers.size() == 2);
}

TEST_CASE("What a crash left half made goes at the next start") {
  Lab lab;
  lab.Held(kFirst);
  lab.layers.reset();
  const std::string root = lab.folder.File("layers");
  Write(root + "/temp/v1-1-1.1-abc/usr/bin/x", "half", 0400);
  REQUIRE(chmod((root + "/temp/v1-1-1.1-abc/usr/bin").c_str(), 0555) == 0);
  Write(root + "/trash/v1-2-2.2-abc/x", "old");
  Write(root + "/holders/" + kSecond.str() + ".tmp-123", "1\n");
  if (geteuid() == 0) {
    for (const auto& entry : fs::recursive_directory_iterator(root))
      REQUIRE(lchown(entry.path().c_str(), JobUser().uid, JobUser().gid) == 0);
  }

  lab.Start();

  lab.layers->Sweep();
  CHECK(CountIn(root + "/temp") == 0);
  CHECK(CountIn(root + "/trash") == 0);
  CHECK(CountIn(root + "/holders") == 1);
  CHECK(lab.Copies() == 2);
}

TEST_CASE("A damaged record of a holder is named, not forgotten") {
  Lab lab;
  lab.Held(kFirst);
  lab.layers.reset();
  const std::string path = lab.folder.File("layers/holders/") + kFirst.str();
  std::ofstream(path, std::ios::trunc) << GENERATE("", "2\n", "1\nv1-1");

  const auto made = JobLayers::Create({lab.folder.File("layers"), JobUser()}, lab.clock, lab.log);

  CHECK(made.status().code() == Code::kDataLoss);
  CHECK(made.status().message().find(path) != std::string::npos);
}

TEST_CASE("A folder of somebody else, and a user who cannot be acted for, are refused") {
  const test::TemporaryFolder folder;
  test::ManualClock clock;
  NullLog log;
  if (geteuid() != 0) {
    const auto made =
        JobLayers::Create({folder.File("layers"), {geteuid() + 1, getegid()}}, clock, log);
    CHECK(made.status().code() == Code::kPermissionDenied);
    return;
  }
  REQUIRE(mkdir(folder.File("layers").c_str(), 0700) == 0);
  const auto made = JobLayers::Create({folder.File("layers"), JobUser()}, clock, log);
  CHECK_FALSE(made.ok());
  REQUIRE(chmod(folder.path().c_str(), 0755) == 0);
  const auto seen = JobLayers::Create({folder.File("layers"), JobUser()}, clock, log);
  CHECK(seen.status().code() == Code::kFailedPrecondition);
  CHECK(seen.status().message().find("12345") != std::string::npos);
}

// A shared folder of a project often hands its group down.
TEST_CASE("A folder that hands its group down still gives files of the job's group") {
  if (geteuid() != 0) return;
  const test::TemporaryFolder folder;
  REQUIRE(chown(folder.path().c_str(), 0, 777) == 0);
  REQUIRE(chmod(folder.path().c_str(), 02777) == 0);
  test::ManualClock clock;
  NullLog log;

  const auto made = JobLayers::Create({folder.File("layers"), JobUser()}, clock, log);

  INFO(made.status().ToString());
  REQUIRE(made.ok());
  CHECK(About(folder.File("layers/temp")).st_gid == JobUser().gid);
}

}  // namespace
}  // namespace interlink::slurm
