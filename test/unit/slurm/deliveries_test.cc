// Deliveries, and the words of their srun: with a fake srun that runs its step here.
#include "slurm/deliveries.h"

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>
#include <string>
#include <vector>

#include "base/file.h"
#include "support/eventually.h"
#include "support/temporary_folder.h"

namespace interlink::slurm {
namespace {

const SandboxId kBrought(std::string(64, 'd'));
constexpr const char* kJobsNonce = "00112233445566778899aabbccddeeff";
constexpr const char* kOtherNonce = "ffeeddccbbaa99887766554433221100";
constexpr const char* kToken = "the secret token\n";
constexpr const char* kCa = "-----CA-----\n";

struct DeliveriesLab {
  DeliveriesLab() {
    REQUIRE(MakeDirectories(folder.File("bin"), 0700).ok());
    REQUIRE(MakeDirectories(folder.File("states"), 0700).ok());
    // As srun: its options, then the step's command. `before` runs first.
    Script("bin/srun",
           "echo x >>'" + folder.File("runs") + "'\nprintf '%s ' \"$@\" >>'" +
               folder.File("words") + "'\n" +
               "while [ \"${1#--}\" != \"$1\" ]; do\n"
               "  case $1 in --jobid=*) export SLURM_JOB_ID=${1#--jobid=} ;; esac; shift\n"
               "done\n. '" +
               folder.File("before") + "'\nexec \"$@\"\n");
    Script("before", "");
    agent.assign(3'000'000, 'x');
    for (size_t i = 0; i < agent.size(); i += 997) agent[i] = static_cast<char>(i % 251);
    REQUIRE(WriteFileAtomically(folder.File("agent"), agent, 0700).ok());
    options.state_folder = folder.File("states");
    options.shortest_pause = std::chrono::milliseconds(10);
    options.longest_pause = std::chrono::milliseconds(50);
    options.limits.ends_within = std::chrono::milliseconds(300);
  }
  ~DeliveriesLab() { deliveries.reset(); }

  void Script(const std::string& name, const std::string& text) {
    REQUIRE(WriteFileAtomically(folder.File(name), "#!/bin/sh\n" + text, 0700).ok());
  }
  std::string State(const std::string& nonce = kJobsNonce) const {
    return folder.File("states") + "/interlink-" + nonce;
  }
  // As a job's script makes it.
  void MakeState(int job = 7, const std::string& nonce = kJobsNonce) {
    REQUIRE(MakeDirectories(State(nonce), 0700).ok());
    REQUIRE(WriteFileAtomically(State(nonce) + "/claim",
                                "nonce=" + nonce + "\njob=" + std::to_string(job) +
                                    "\nrestarts=0\nhost=n1\nboot=b\n",
                                0600)
                .ok());
  }
  void Start() {
    deliveries.reset();
    deliveries = std::make_unique<Deliveries>(
        Deliveries::Parts{
            commands, log,
            [this](const SandboxId& id, const Claim& claim) { return Take(id, claim); },
            [this](const SandboxId&) {
              return Parcel{folder.File("agent"), kCa, kToken};
            }},
        options);
    Want();
  }
  void Want(uint64_t job = 7, int64_t start = 1) {
    deliveries->Set({{kBrought, {{job, start, "n1"}}}}, true);
  }
  Status Take(const SandboxId& id, const Claim& claim) {
    const MutexLock lock(mutex);
    if (id != kBrought) return InternalError("the claim of another pod");
    taken.push_back(claim);
    // Not a byte before.
    for (const auto& one : std::filesystem::directory_iterator(State(claim.nonce))) {
      if (one.path().filename() != "claim" && one.file_size() > 0) empty_when_taken = false;
    }
    return refuse;
  }
  static size_t FilesIn(const std::string& path) {
    size_t files = 0;
    for (const auto& one : std::filesystem::directory_iterator(path)) {
      static_cast<void>(one);
      ++files;
    }
    return files;
  }
  size_t Taken() {
    const MutexLock lock(mutex);
    return taken.size();
  }
  std::string ViewState() { return deliveries->View(kBrought).state; }
  bool Brought() {
    return test::Eventually([&] { return ViewState() == "brought"; });
  }
  bool Fails(const std::string& words) {
    return test::Eventually(
        [&] { return deliveries->View(kBrought).trouble.find(words) != std::string::npos; });
  }
  size_t Runs() const {
    const std::string runs = ReadFile(folder.File("runs")).value_or("");
    return static_cast<size_t>(std::count(runs.begin(), runs.end(), '\n'));
  }
  static bool Present(const std::string& path) { return access(path.c_str(), F_OK) == 0; }
  static mode_t ModeOf(const std::string& path) {
    struct stat about {};
    REQUIRE(stat(path.c_str(), &about) == 0);
    return about.st_mode & 0777U;
  }
  void CheckWhole(const std::string& state) const {
    CHECK(ReadFile(state + "/interlink-agent", agent.size() + 1).value_or("") == agent);
    CHECK(ReadFile(state + "/ca.pem").value_or("") == kCa);
    CHECK(ReadFile(state + "/token").value_or("") == kToken);
    CHECK(Present(state + "/delivered"));
    CHECK(FilesIn(state) == 5);  // with the claim
  }

  test::TemporaryFolder folder;
  NullLog log;
  SystemCommands commands{{folder.File("bin"), ""}};
  DeliveriesOptions options;
  std::string agent;
  Mutex mutex;
  std::vector<Claim> taken;
  bool empty_when_taken = true;
  Status refuse;
  std::unique_ptr<Deliveries> deliveries;
};

}  // namespace

TEST_CASE("An agent is brought whole, for its user only, after its claim was stored") {
  DeliveriesLab lab;
  lab.MakeState();
  lab.Start();
  REQUIRE(lab.Brought());
  lab.CheckWhole(lab.State());
  CHECK(lab.ModeOf(lab.State() + "/interlink-agent") == 0700);
  CHECK(lab.ModeOf(lab.State() + "/token") == 0600);
  CHECK(lab.ModeOf(lab.State() + "/ca.pem") == 0600);
  REQUIRE(lab.Taken() == 1);
  CHECK(lab.taken[0].nonce == kJobsNonce);
  CHECK(lab.taken[0].job == 7);
  CHECK(lab.taken[0].host == "n1");
  CHECK(lab.empty_when_taken);
  CHECK(lab.Runs() == 1);
  // Whoever lists processes or jobs learns no secret.
  const std::string words = ReadFile(lab.folder.File("words")).value_or("");
  CHECK(words.find("--jobid=7") != std::string::npos);
  CHECK(words.find("secret") == std::string::npos);
}

TEST_CASE("A claim that cannot be stored gets not a byte") {
  DeliveriesLab lab;
  lab.MakeState();
  lab.refuse = Unavailable("the disk is full");
  lab.Start();
  CHECK(lab.Fails("the disk is full"));
  CHECK(lab.empty_when_taken);
  lab.deliveries.reset();
  CHECK(lab.FilesIn(lab.State()) == 1);
}

TEST_CASE("A delivery that is cut leaves nothing that looks done, and the next one is whole") {
  DeliveriesLab lab;
  const char* cut = GENERATE(R"(head -c 1000 | "$@"; exit $?)",             // in the agent
                             R"(head -c 3000005 | "$@"; exit $?)",          // in the CA
                             R"(head -c 3000020 | "$@"; exit $?)",          // in the token
                             R"("$@" & sleep 0.1; kill -9 $!; exit 137)");  // its step is killed
  CAPTURE(cut);
  lab.MakeState();
  lab.Script("before", cut);
  lab.Start();
  REQUIRE(test::Eventually([&] { return lab.Runs() > 3; }));
  CHECK_FALSE(lab.Present(lab.State() + "/delivered"));
  CHECK_FALSE(lab.Present(lab.State() + "/token"));
  lab.Script("before", "");
  REQUIRE(lab.Brought());
  CHECK(ReadFile(lab.State() + "/token").value_or("") == kToken);
  CHECK(ReadFile(lab.State() + "/interlink-agent", lab.agent.size() + 1).value_or("") == lab.agent);
}

TEST_CASE("Only the folder of that very job is taken") {
  DeliveriesLab lab;
  SECTION("it is of another job") { lab.MakeState(8); }
  SECTION("one job's number begins with the other's") { lab.MakeState(77); }
  SECTION("its script has made none yet") {}
  SECTION("it is somebody's link") {
    lab.MakeState(7, "elsewhere");
    std::filesystem::rename(lab.State("elsewhere"), lab.folder.File("elsewhere"));
    std::filesystem::create_directory_symlink(lab.folder.File("elsewhere"), lab.State());
  }
  lab.Start();
  CHECK(lab.Fails("has made no folder"));
  CHECK(lab.Taken() == 0);
  if (lab.Present(lab.State())) CHECK(lab.FilesIn(lab.State()) == 1);
}

TEST_CASE("Of two folders of one job the newest is taken") {
  DeliveriesLab lab;
  lab.MakeState(7, kOtherNonce);
  const auto past = std::filesystem::last_write_time(lab.State(kOtherNonce) + "/claim");
  std::filesystem::last_write_time(lab.State(kOtherNonce) + "/claim", past - std::chrono::hours(1));
  lab.MakeState();
  lab.Start();
  REQUIRE(lab.Brought());
  CHECK(lab.taken[0].nonce == kJobsNonce);
  CHECK_FALSE(lab.Present(lab.State(kOtherNonce) + "/delivered"));
}

TEST_CASE("A claim that is none of a job's script brings nothing") {
  DeliveriesLab lab;
  lab.MakeState();
  const std::string text = GENERATE(as<std::string>(), "job=7\n", "nonce=../../x\njob=7\n",
                                    "nonce=0123\njob=7\n", "job=7\nrubbish\n");
  REQUIRE(WriteFileAtomically(lab.State() + "/claim", text, 0600).ok());
  lab.Start();
  CHECK(lab.Fails("claim"));
  CHECK(lab.Taken() == 0);
  CHECK(lab.FilesIn(lab.State()) == 1);
}

TEST_CASE("The next start of the site finds everything there, and sends nothing again") {
  DeliveriesLab lab;
  lab.MakeState();
  lab.Start();
  REQUIRE(lab.Brought());
  const auto before = std::filesystem::last_write_time(lab.State() + "/interlink-agent");
  lab.Start();
  REQUIRE(lab.Brought());
  CHECK(lab.Runs() == 2);
  CHECK(lab.Taken() == 2);  // told again: the first start may have died before it was stored
  CHECK(std::filesystem::last_write_time(lab.State() + "/interlink-agent") == before);
  lab.CheckWhole(lab.State());
}

TEST_CASE("What was brought is not brought again, but to another run of the job") {
  DeliveriesLab lab;
  lab.MakeState();
  lab.Start();
  REQUIRE(lab.Brought());
  lab.Want();
  poll(nullptr, 0, 200);
  CHECK(lab.Runs() == 1);
  lab.MakeState(7, kOtherNonce);
  lab.Want(7, 2);
  REQUIRE(test::Eventually([&] { return lab.Present(lab.State(kOtherNonce) + "/delivered"); }));
  REQUIRE(lab.Brought());
  lab.CheckWhole(lab.State(kOtherNonce));
}

TEST_CASE("What a prolog prints is passed over, and a step that only prints is ended") {
  DeliveriesLab lab;
  lab.MakeState();
  SECTION("a few lines") {
    lab.Script("before", "echo module loaded; echo interlink-delivery-forged send nonce=x\n");
    lab.Start();
    REQUIRE(lab.Brought());
    lab.CheckWhole(lab.State());
  }
  SECTION("without end") {
    lab.Script("before", "exec yes\n");
    lab.Start();
    CHECK(lab.Fails("prints what is no delivery's"));
  }
}

TEST_CASE(
    "A delivery whose srun fails is repeated with SLURM's words, and waits for a controller") {
  DeliveriesLab lab;
  lab.MakeState();
  lab.Script("before",
             "echo 'srun: error: Unable to create step for job 7: Job/step already "
             "completing or completed' >&2; exit 1\n");
  lab.Start();
  CHECK(lab.Fails("srun: Unable to create step for job 7"));
  lab.deliveries->Set({{kBrought, {{7, 1, "n1"}}}}, false);
  REQUIRE(test::Eventually([&] { return lab.ViewState() == "waiting"; }));
  const size_t runs = lab.Runs();
  poll(nullptr, 0, 200);
  CHECK(lab.Runs() <= runs + 1);
  lab.Script("before", "");
  lab.Want();
  CHECK(lab.Brought());
}

TEST_CASE("A step that does not get on is given up in time") {
  DeliveriesLab lab;
  lab.MakeState();
  SECTION("it never begins") {
    lab.options.limits.greets_within = std::chrono::milliseconds(100);
    lab.Script("before", "sleep 1000\n");
  }
  SECTION("it takes nothing") {
    lab.options.limits.moves_within = std::chrono::milliseconds(100);
    lab.Script("before",
               "while [ $# -gt 4 ]; do shift; done\n"
               "echo \"$1 send nonce=" +
                   std::string(kJobsNonce) + " job=7 restarts=0 host=n1 boot=b \"; sleep 1000\n");
  }
  lab.Start();
  CHECK(lab.Fails("does not get on"));
  lab.options.limits.greets_within = std::chrono::seconds(30);
  lab.Script("before", "");
  CHECK(test::Eventually([&] { return lab.Runs() > 3; }));
}

TEST_CASE("The end of the site ends every delivery, also one that is deaf") {
  DeliveriesLab lab;
  lab.MakeState();
  lab.Script("before", "trap '' TERM; echo $$ >'" + lab.folder.File("pid") +
                           "'; while :; do sleep 1; done\n");
  lab.Start();
  REQUIRE(test::Eventually([&] { return lab.Present(lab.folder.File("pid")); }));
  REQUIRE(test::Eventually([&] { return !ReadFile(lab.folder.File("pid")).value_or("").empty(); }));
  const int pid = std::stoi(ReadFile(lab.folder.File("pid")).value_or("0"));
  const SteadyTime begin = std::chrono::steady_clock::now();
  lab.deliveries.reset();
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(10));
  CHECK(kill(pid, 0) != 0);
}

TEST_CASE("Only so many deliveries run at once, and all get their turn") {
  DeliveriesLab lab;
  lab.options.at_once = 2;
  lab.MakeState();
  // Each says that it runs, and how many others do.
  lab.Script("before", "mkdir '" + lab.folder.File("now-") + "'$$; ls -d '" +
                           lab.folder.File("now-") + "'* | wc -l >>'" + lab.folder.File("most") +
                           "'; sleep 0.1; rmdir '" + lab.folder.File("now-") + "'$$\n");
  std::atomic<int> taken = 0;
  lab.deliveries = std::make_unique<Deliveries>(
      Deliveries::Parts{lab.commands, lab.log,
                        [&](const SandboxId&, const Claim&) {
                          ++taken;
                          return Status();
                        },
                        [&](const SandboxId&) {
                          return Parcel{lab.folder.File("agent"), kCa, kToken};
                        }},
      lab.options);
  std::map<SandboxId, std::vector<DeliveryTarget>> many;
  for (char c = '0'; c < '8'; ++c) many[SandboxId(std::string(64, c))] = {{7, 1, "n1"}};
  lab.deliveries->Set(many, true);
  REQUIRE(test::Eventually([&] {
    return std::all_of(many.begin(), many.end(), [&](const auto& one) {
      return lab.deliveries->View(one.first).state == "brought";
    });
  }));
  CHECK(taken == 8);
  const std::string most = ReadFile(lab.folder.File("most")).value_or("");
  CHECK(most.find_first_not_of("12 \n") == std::string::npos);
}

TEST_CASE("A delivery's step takes nothing of the job, and is bound to the job's machine") {
  DeliveryCommand command;
  command.job = 42;
  command.host = "node-1.x";
  command.state_folder = "/tmp";
  command.greeting = "hello";
  const auto words = DeliveryCommandWords(command);
  REQUIRE(words.ok());
  for (const char* word : {"--jobid=42", "--overlap", "--unbuffered", "--immediate=1", "--nodes=1",
                           "--ntasks=1", "--nodelist=node-1.x", "--gres=none", "--export=NONE"}) {
    CAPTURE(word);
    CHECK(std::find(words->begin(), words->end(), word) != words->end());
  }
  command.host = GENERATE(as<std::string>(), "", "-w", "a/b", "a,b", "$(id)", "a\nb");
  CHECK(DeliveryCommandWords(command).status().code() == Code::kDataLoss);
}

}  // namespace interlink::slurm
