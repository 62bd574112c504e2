// Jobs of users of their own: whose they are, what of the shared folder is theirs, and what others
// can do with their names. As root; "games" and "mail" are users of every Debian.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <fstream>

#include "base/file.h"
#include "base/log.h"
#include "slurm/job_name.h"
#include "slurm/job_user.h"
#include "slurm/user_layers.h"
#include "unit/slurm/provisioner_lab.h"
#include "unit/slurm/soon.h"

namespace interlink::slurm {
namespace {

const SandboxId kUsersPod(std::string(64, 'b'));

FileOwner Games() { return FindJobUser("games").value().id; }

struct stat StatOf(const std::string& path) {
  struct stat about {};
  INFO(path);
  REQUIRE(lstat(path.c_str(), &about) == 0);
  return about;
}

struct UsersLab : ProvisionerLab {
  UsersLab() {
    REQUIRE(geteuid() == 0);
    REQUIRE(chmod(folder.path().c_str(), 0711) == 0);
    options.mapped_users = true;
    sees_all = true;
  }
  void SubmitFor(const std::string& user) {
    Start();
    REQUIRE(Submit(kUsersPod, user).ok());
    REQUIRE(Until([&] { return Latest(kUsersPod).reason == "Resources"; }));
  }
  std::string JobName() const { return slurm::JobName(site.lineage(), kUsersPod); }
  std::vector<std::string> Submitted() const {
    for (const auto& ran : commands->calls()) {
      if (std::find(ran.argv.begin(), ran.argv.end(), "sbatch") != ran.argv.end()) return ran.argv;
    }
    return {};
  }
};

}  // namespace

TEST_CASE("A job is submitted as its pod's user, and what it reads of the pod is that user's") {
  UsersLab lab;
  lab.SubmitFor("games");
  const auto argv = lab.Submitted();
  const std::vector<std::string> as = {"setpriv",
                                       "--reuid=" + std::to_string(Games().uid),
                                       "--regid=" + std::to_string(Games().gid),
                                       "--init-groups",
                                       "--",
                                       "sbatch"};
  REQUIRE(argv.size() > as.size());
  CHECK(std::equal(as.begin(), as.end(), argv.begin()));
  const std::string pod = lab.PodFolder(kUsersPod);
  for (const std::string& path :
       {pod, pod + "/heartbeat", pod + "/token", pod + "/ca.pem", pod + "/site"}) {
    INFO(path);
    CHECK(StatOf(path).st_uid == Games().uid);
    CHECK(StatOf(path).st_gid == Games().gid);
    CHECK((StatOf(path).st_mode & 077U) == 0);
  }
  for (const std::string& path : {lab.job_folder, lab.job_folder + "/pods"}) {
    INFO(path);
    CHECK(StatOf(path).st_uid == 0);
    CHECK((StatOf(path).st_mode & 0777U) == 0711);
  }
  const auto user = lab.Record(kUsersPod).user;
  REQUIRE(user);
  CHECK(user->name == "games");
  CHECK(lab.provisioner->Describe().runs_as_users);
  CHECK(lab.provisioner->Inspect(Soon(), kUsersPod).value().find("\"user\":\"games\"") !=
        std::string::npos);
}

TEST_CASE("A pod without a user, with an unknown one, or with root is refused before anything") {
  UsersLab lab;
  lab.Start();
  const auto refusal = [&](const std::string& user) { return lab.Submit(kUsersPod, user); };
  CHECK(refusal("").code() == Code::kPermissionDenied);
  CHECK(refusal("").message().find("its policy (Users) names none for this pod") !=
        std::string::npos);
  CHECK(refusal("nobody-has-this-name").code() == Code::kFailedPrecondition);
  CHECK(refusal("root").code() == Code::kPermissionDenied);
  CHECK(lab.commands->calls().empty());
  CHECK(access(lab.PodFolder(kUsersPod).c_str(), F_OK) != 0);

  lab.options.mapped_users = false;
  lab.Start();
  CHECK(refusal("games").code() == Code::kFailedPrecondition);
  CHECK(refusal("").ok());
}

TEST_CASE("A JobFolder that others can write is not used for several users") {
  UsersLab lab;
  REQUIRE(MakeDirectories(lab.job_folder, 0755).ok());
  REQUIRE(chmod(lab.job_folder.c_str(), 01777) == 0);
  const Status refused = lab.TryStart();
  CHECK(refused.code() == Code::kPermissionDenied);
  CHECK(refused.message().find("can be written by others") != std::string::npos);
}

TEST_CASE("Jobs of other users under a pod's name are not the pod's") {
  UsersLab lab;
  lab.SubmitFor("games");
  const uint64_t forged = lab.AddJob(lab.JobName(), "FAILED", 8);
  lab.AddJob(lab.JobName(), "PENDING", 8);
  lab.Pass(std::chrono::seconds(60));
  CHECK_FALSE(lab.Ended(kUsersPod));
  CHECK(lab.Latest(kUsersPod).allocation != std::to_string(forged));
  CHECK(lab.Latest(kUsersPod).reason == "Resources");

  // Its end is cancelled for its user alone.
  REQUIRE(lab.provisioner->Release(Soon(), kUsersPod).ok());
  REQUIRE(lab.Until([&] { return lab.Ended(kUsersPod); }));
  for (const auto& job : lab.Jobs()) {
    CHECK((job.user == Games().uid) == (job.state == "CANCELLED"));
  }
}

TEST_CASE("Jobs that nobody knows are cancelled as whosever they are") {
  UsersLab lab;
  lab.Start();
  const uint64_t stranger =
      lab.AddJob(slurm::JobName(lab.site.lineage(), MintSandboxId()), "PENDING", 8);
  REQUIRE(lab.Until([&] {
    return lab.Jobs().front().id == stranger && lab.Jobs().front().state == "CANCELLED";
  }));
}

TEST_CASE("A user's pod comes to its end by what its user has written, also after a new start") {
  UsersLab lab;
  lab.SubmitFor("games");
  {
    const OwnersRights rights(Games());
    REQUIRE(lab.RunScript(kUsersPod, 7));
  }
  REQUIRE(lab.Until([&] { return lab.Latest(kUsersPod).state == Fact::State::kGranted; }));
  lab.Start();
  {
    const OwnersRights rights(Games());
    lab.Say(kUsersPod, "left", "ended");
  }
  lab.SetJob(7, "COMPLETED");
  CHECK(lab.End(kUsersPod).allocation == "7");
  REQUIRE(lab.provisioner->Remove(Soon(), kUsersPod).ok());
  CHECK(access(lab.PodFolder(kUsersPod).c_str(), F_OK) != 0);
}

TEST_CASE("A pod whose journal is lost is its user's still") {
  UsersLab lab;
  lab.SubmitFor("games");
  lab.provisioner.reset();
  REQUIRE(RemoveTree(lab.folder.File("site/jobs")).ok());
  lab.Start();
  REQUIRE(lab.provisioner->Release(Soon(), kUsersPod).ok());
  REQUIRE(lab.Until([&] { return lab.Ended(kUsersPod); }));
  const auto user = lab.Record(kUsersPod).user;
  REQUIRE(user);
  CHECK(*user == FindJobUser("games").value());
  CHECK(StatOf(lab.PodFolder(kUsersPod) + "/claim").st_uid == Games().uid);
}

TEST_CASE("What a user puts into his pod's folder leads nobody out of it, and holds nobody up") {
  UsersLab lab;
  lab.SubmitFor("games");
  const std::string pod = lab.PodFolder(kUsersPod);
  const std::string secret = lab.folder.File("secret");
  std::ofstream(secret) << "nonce=0123456789abcdef0123456789abcdef\njob=7\n";
  REQUIRE(chmod(secret.c_str(), 0600) == 0);
  {
    const OwnersRights rights(Games());
    const std::string claim = pod + "/claim";
    if (GENERATE(true, false)) {
      REQUIRE(symlink(secret.c_str(), claim.c_str()) == 0);
    } else {
      REQUIRE(mkfifo(claim.c_str(), 0600) == 0);
    }
  }
  lab.SetJob(7, "FAILED");
  lab.Pass(std::chrono::seconds(20));
  CHECK_FALSE(lab.Ended(kUsersPod));  // nobody can say whose it is
  CHECK(lab.Latest(kUsersPod).message.find("no regular file") != std::string::npos);
}

TEST_CASE("Files are made as another user without any group of this process") {
  const FileOwner games = Games();
  REQUIRE(CheckMayActAs(games).ok());
  std::vector<gid_t> before(64);
  before.resize(static_cast<size_t>(getgroups(64, before.data())));
  {
    const OwnersRights rights(games);
    CHECK(getgroups(0, nullptr) == 0);
  }
  std::vector<gid_t> after(64);
  after.resize(static_cast<size_t>(getgroups(64, after.data())));
  CHECK(after == before);
}

TEST_CASE("Each user has layers of his own, which a new start finds") {
  test::TemporaryFolder folder;
  REQUIRE(chmod(folder.path().c_str(), 0711) == 0);
  REQUIRE(MakeDirectories(folder.File("image/layer"), 0755).ok());
  std::ofstream(folder.File("image/layer/file")) << "text";
  sdk::UnpackedImage image;
  image.id = "sha256:a";
  image.layers = {folder.File("image/layer")};
  const ContainerId holder(std::string(64, 'c'));
  const SystemClock clock;
  NullLog log;
  {
    auto layers = UserLayers::Create(folder.File("layers"), clock, log);
    INFO(layers.status().ToString());
    REQUIRE(layers.ok());
    REQUIRE((*layers)->Prepare(Soon(), Games(), image).ok());
    const auto held = (*layers)->Hold(Games(), holder, image);
    REQUIRE(held.ok());
    CHECK(StatOf(held->layers.at(0) + "/file").st_uid == Games().uid);
    CHECK((*layers)->Hold(std::nullopt, holder, image).status().code() ==
          Code::kFailedPrecondition);
    CHECK((*layers)->Hold(FindJobUser("mail").value().id, holder, image).status().code() ==
          Code::kFailedPrecondition);
  }
  const std::string theirs = folder.File("layers-" + std::to_string(Games().uid));
  CHECK((StatOf(theirs).st_mode & 0777U) == 0700);
  REQUIRE(access((theirs + "/holders/" + holder.str()).c_str(), F_OK) == 0);
  auto again = UserLayers::Create(folder.File("layers"), clock, log);
  REQUIRE(again.ok());
  (*again)->Release(holder);
  CHECK(access((theirs + "/holders/" + holder.str()).c_str(), F_OK) != 0);
}

TEST_CASE("A user who has spoiled his layers keeps nobody else from theirs") {
  test::TemporaryFolder folder;
  REQUIRE(chmod(folder.path().c_str(), 0711) == 0);
  const SystemClock clock;
  NullLog log;
  sdk::UnpackedImage none;
  {
    auto layers = UserLayers::Create(folder.File("layers"), clock, log);
    REQUIRE(layers.ok());
    REQUIRE((*layers)->Prepare(Soon(), Games(), none).ok());
  }
  const std::string holders = folder.File("layers-" + std::to_string(Games().uid)) + "/holders/";
  REQUIRE(mkfifo((holders + std::string(64, 'd')).c_str(), 0600) == 0);
  REQUIRE(lchown((holders + std::string(64, 'd')).c_str(), Games().uid, Games().gid) == 0);
  auto again = UserLayers::Create(folder.File("layers"), clock, log);
  REQUIRE(again.ok());
  CHECK((*again)->Prepare(Soon(), std::nullopt, none).ok());
  CHECK((*again)->Prepare(Soon(), FindJobUser("mail").value().id, none).ok());
  CHECK((*again)->Prepare(Soon(), Games(), none).code() == Code::kDataLoss);
}

}  // namespace interlink::slurm
