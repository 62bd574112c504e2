// Relays, and the words of their srun: with a fake srun that runs its step here, and a hub that a
// test plays.
#include "slurm/relays.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/spawn.h"
#include "support/eventually.h"
#include "support/manual_clock.h"
#include "support/provisioner_site.h"
#include "support/temporary_folder.h"
#include "unit/slurm/soon.h"

namespace interlink::slurm {
namespace {

constexpr const char* kNonceOfPod = "0123456789abcdef0123456789abcdef";
const SandboxId kRelayed(std::string(64, 'a'));

// A relay of an agent that says "hi" and repeats what it is told.
constexpr const char* kEcho = R"sh(echo "$5"; printf hi; exec cat)sh";

struct RelaysLab {
  RelaysLab() {
    REQUIRE(MakeDirectories(folder.File("bin"), 0700).ok());
    REQUIRE(MakeDirectories(PodFolder(), 0700).ok());
    WriteClaim(7);
    // Its options, then the step's command, as srun has them. SLURM's own variables are there.
    Script("bin/srun",
           "echo x >>'" + folder.File("runs") + "'\n" +
               "while [ \"${1#--}\" != \"$1\" ]; do\n"
               "  case $1 in --jobid=*) export SLURM_JOB_ID=${1#--jobid=} ;; esac; shift\n"
               "done\n. '" +
               folder.File("before") + "'\nexec \"$@\"\n");
    Script("before", "");
    Agent(kEcho);
    site.SetCarry([this](UniqueFd relay, std::function<void()> over) -> Status {
      const MutexLock lock(mutex);
      carried.push_back({std::move(relay), std::move(over)});
      return {};
    });
    options.state_folder = folder.File("state");
    options.ends_within = std::chrono::milliseconds(300);
    options.shortest_pause = std::chrono::milliseconds(10);
    options.longest_pause = std::chrono::milliseconds(50);
  }
  ~RelaysLab() {
    relays.reset();
    HangUp();
  }

  std::string PodFolder() const { return folder.File("pod"); }
  void Script(const std::string& name, const std::string& text) {
    REQUIRE(WriteFileAtomically(folder.File(name), "#!/bin/sh\n" + text, 0700).ok());
  }
  // "$1" is relay, "$5" the greeting.
  void Agent(const std::string& text) { Script("agent", text); }
  void WriteClaim(int job, const std::string& nonce = kNonceOfPod) {
    REQUIRE(WriteFileAtomically(PodFolder() + "/claim",
                                "nonce=" + nonce + "\njob=" + std::to_string(job) + "\nhost=n1\n",
                                0600)
                .ok());
  }
  RelayTarget Target(uint64_t job = 7) const {
    return {job, "n1", kNonceOfPod, PodFolder(), folder.File("agent"), true};
  }

  void Start() {
    relays = std::make_unique<Relays>(Relays::Parts{commands, site, log}, options);
    relays->Set({{kRelayed, Target()}}, true);
  }
  std::string State() { return relays->View(kRelayed).state; }
  std::string Trouble() { return relays->View(kRelayed).trouble; }
  bool Becomes(const std::string& state) {
    return test::Eventually([&] { return State() == state; });
  }
  bool Fails(const std::string& words) {
    return test::Eventually([&] { return Trouble().find(words) != std::string::npos; });
  }
  size_t Runs() const {
    const std::string runs = ReadFile(folder.File("runs")).value_or("");
    return static_cast<size_t>(std::count(runs.begin(), runs.end(), '\n'));
  }
  size_t Carried() {
    const MutexLock lock(mutex);
    return carried.size();
  }
  // What the relay said to the hub so far, at least one byte.
  std::string Hear() {
    int fd = -1;
    {
      const MutexLock lock(mutex);
      fd = carried.back().first.get();
    }
    std::array<char, 256> buffer{};
    pollfd item{fd, POLLIN, 0};
    if (poll(&item, 1, 10'000) <= 0) return "";
    const ssize_t n = read(fd, buffer.data(), buffer.size());
    return {buffer.data(), n > 0 ? static_cast<size_t>(n) : 0};
  }
  void Say(const std::string& text) {
    const MutexLock lock(mutex);
    REQUIRE(write(carried.back().first.get(), text.data(), text.size()) ==
            static_cast<ssize_t>(text.size()));
  }
  // The hub ends what it carries.
  void HangUp() {
    std::vector<std::pair<UniqueFd, std::function<void()>>> ended;
    {
      const MutexLock lock(mutex);
      ended.swap(carried);
    }
    for (auto& [fd, over] : ended) {
      fd.Reset();
      over();
    }
  }

  test::TemporaryFolder folder;
  test::ManualClock clock;
  test::ProvisionerSite site{folder.File("site"), clock};
  NullLog log;
  SystemCommands commands{{folder.File("bin"), ""}};
  RelaysOptions options;
  Mutex mutex;
  std::vector<std::pair<UniqueFd, std::function<void()>>> carried;
  std::unique_ptr<Relays> relays;
};

// A zombie does not: whoever inherits it need not reap it at once.
bool Lives(int pid) {
  const std::string stat = ReadFile("/proc/" + std::to_string(pid) + "/stat").value_or("");
  const size_t name_end = stat.rfind(')');
  return name_end != std::string::npos && stat.compare(name_end + 2, 1, "Z") != 0;
}

RelayCommand GoodCommand() {
  return {42, "node-1.x", kNonceOfPod, "/shared/pods/a", "/shared/agent", "/tmp", "hello", false};
}

}  // namespace

TEST_CASE("A relay's step takes nothing of the job, and is bound to the job's machine") {
  const auto words = RelayCommandWords(GoodCommand());
  REQUIRE(words.ok());
  const auto has = [&](const std::string& word) {
    return std::find(words->begin(), words->end(), word) != words->end();
  };
  CHECK(words->front() == "srun");
  for (const char* word : {"--jobid=42", "--overlap", "--unbuffered", "--immediate=1", "--nodes=1",
                           "--ntasks=1", "--nodelist=node-1.x", "--gres=none", "--export=NONE"}) {
    CAPTURE(word);
    CHECK(has(word));
  }
  CHECK(!has("--runtime=none"));
  RelayCommand wrapped = GoodCommand();
  wrapped.runtime_none = true;
  const auto more = RelayCommandWords(wrapped);
  REQUIRE(more.ok());
  CHECK(std::find(more->begin(), more->end(), "--runtime=none") != more->end());
}

TEST_CASE("A claim that no job script has written starts no step") {
  const std::string host = GENERATE(as<std::string>(), "", "-w", "a/b", "a b", "a,b", "$(id)",
                                    "a\nb", std::string(256, 'a'));
  RelayCommand command = GoodCommand();
  command.host = host;
  CHECK(RelayCommandWords(command).status().code() == Code::kDataLoss);
  command = GoodCommand();
  command.nonce = host;
  CHECK(RelayCommandWords(command).status().code() == Code::kDataLoss);
  command.nonce = "../../../0123456789abcdef0123456";
  CHECK(RelayCommandWords(command).status().code() == Code::kDataLoss);
}

TEST_CASE("A relay is given to the hub when its agent speaks, with every byte") {
  RelaysLab lab;
  lab.Start();
  REQUIRE(lab.Becomes("carrying"));
  CHECK(lab.Hear() == "hi");
  lab.Say("more");
  CHECK(lab.Hear() == "more");
  CHECK(lab.relays->View(kRelayed).carrying);
  CHECK(lab.Runs() == 1);
}

TEST_CASE("What is printed before the greeting is none of the hub's") {
  RelaysLab lab;
  lab.Script("before", "echo module loaded; echo interlink-relay-forged\n");
  lab.Start();
  REQUIRE(lab.Becomes("carrying"));
  CHECK(lab.Hear() == "hi");
}

TEST_CASE("A step that only prints is ended, and told") {
  RelaysLab lab;
  lab.Agent("exec yes");
  lab.Start();
  CHECK(lab.Fails("prints what is no relay's"));
  CHECK(lab.Carried() == 0);
}

TEST_CASE("Nothing passes in a job that has not the pod's claim") {
  RelaysLab lab;
  SECTION("the job's id was handed out again") { lab.WriteClaim(8); }
  SECTION("another run has the pod") { lab.WriteClaim(7, std::string(32, 'f')); }
  SECTION("its folder is gone") { std::filesystem::remove_all(lab.PodFolder()); }
  lab.Start();
  CHECK(lab.Fails("interlink: job 7 on "));
  CHECK(lab.Carried() == 0);
}

TEST_CASE("A relay that ends is followed by another") {
  RelaysLab lab;
  lab.Start();
  REQUIRE(lab.Becomes("carrying"));
  SECTION("the hub has ended it") { lab.HangUp(); }
  SECTION("its step was killed") {
    lab.Agent("exit 1");
    lab.HangUp();
    REQUIRE(test::Eventually([&] { return lab.Runs() > 1; }));
    lab.Agent(kEcho);
  }
  REQUIRE(test::Eventually([&] { return lab.Carried() == 1; }));
  CHECK(lab.Hear() == "hi");
  CHECK(lab.Runs() > 1);
}

TEST_CASE("An srun that fails is repeated with SLURM's words, and a controller away starts none") {
  RelaysLab lab;
  lab.Script("before",
             "echo 'srun: error: Unable to create step for job 7: Job/step already "
             "completing or completed' >&2; exit 1\n");
  lab.Start();
  CHECK(lab.Fails("srun: Unable to create step for job 7"));
  CHECK(test::Eventually([&] { return lab.Runs() > 2; }));

  lab.relays->Set({{kRelayed, lab.Target()}}, false);
  REQUIRE(lab.Becomes("idle"));
  REQUIRE(test::Eventually([&] {
    const size_t runs = lab.Runs();
    poll(nullptr, 0, 200);
    return lab.Runs() == runs;
  }));
  lab.Script("before", "");
  lab.relays->Set({{kRelayed, lab.Target()}}, true);
  CHECK(lab.Becomes("carrying"));
}

TEST_CASE("A job that does not run starts no relay, and what there is goes on") {
  RelaysLab lab;
  lab.Start();
  REQUIRE(lab.Becomes("carrying"));
  RelayTarget ending = lab.Target();
  ending.runs = false;
  lab.relays->Set({{kRelayed, ending}}, true);
  lab.Say("still here");
  CHECK(lab.Hear().find("hi") == 0);
  lab.HangUp();
  CHECK(lab.Becomes("idle"));
  poll(nullptr, 0, 300);
  CHECK(lab.Runs() == 1);
}

TEST_CASE("A relay that is not wanted any more ends, whatever it does") {
  RelaysLab lab;
  SECTION("it carries") {}
  SECTION("it waits for its agent") { lab.Agent("echo \"$5\"; exec cat"); }
  SECTION("it is deaf") { lab.Agent("trap '' TERM; echo \"$5\"; printf hi; sleep 1000"); }
  SECTION("srun has not begun it") { lab.Script("before", "sleep 1000\n"); }
  lab.Start();
  REQUIRE(test::Eventually([&] { return lab.Runs() == 1 && lab.State() != "idle"; }));

  lab.relays->Set({}, true);

  CHECK(lab.Becomes(""));
  CHECK(lab.Runs() == 1);
}

TEST_CASE("The end of the site ends every srun, also one that is deaf") {
  RelaysLab lab;
  lab.Agent("trap '' TERM; echo $$ >'" + lab.folder.File("pid") +
            "'; echo \"$5\"; printf hi; while :; do sleep 1; done");
  lab.Start();
  REQUIRE(lab.Becomes("carrying"));
  const int pid = std::stoi(ReadFile(lab.folder.File("pid")).value_or("0"));
  REQUIRE(Lives(pid));

  const SteadyTime begin = std::chrono::steady_clock::now();
  lab.relays.reset();

  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(10));
  CHECK(test::Eventually([&] { return !Lives(pid); }));
}

TEST_CASE("A relay that greets and then says nothing is given up in time") {
  RelaysLab lab;
  SECTION("without a greeting") {
    lab.options.greets_within = std::chrono::milliseconds(100);
    lab.Script("before", "sleep 1000\n");
    lab.Start();
    CHECK(lab.Fails("srun has begun no relay in time"));
  }
  SECTION("without an agent") {
    lab.options.agent_within = std::chrono::milliseconds(100);
    lab.Agent("echo \"$5\"; exec sleep 1000");
    lab.Start();
    CHECK(lab.Fails("the relay has told nothing in time"));
  }
  CHECK(test::Eventually([&] { return lab.Runs() > 1; }));
}

TEST_CASE("Another run of the pod has a relay of its own") {
  RelaysLab lab;
  lab.Start();
  REQUIRE(lab.Becomes("carrying"));
  lab.WriteClaim(9);
  lab.relays->Set({{kRelayed, lab.Target(9)}}, true);
  REQUIRE(test::Eventually([&] { return lab.Carried() == 2; }));
  CHECK(lab.Becomes("carrying"));
}

TEST_CASE("Only so many sruns begin at once, and all get their turn") {
  RelaysLab lab;
  lab.options.most_starting = 2;
  lab.Start();
  std::map<SandboxId, RelayTarget> many;
  for (char c = 'a'; c < 'k'; ++c) many[SandboxId(std::string(64, c))] = lab.Target();
  lab.relays->Set(many, true);
  CHECK(test::Eventually([&] { return lab.Carried() == 10; }));
}

TEST_CASE("A hub that takes no relay is asked again") {
  RelaysLab lab;
  lab.site.SetCarry([](UniqueFd, const std::function<void()>&) -> Status {
    return ResourceExhausted("the site has 1 relays already");
  });
  lab.Start();
  CHECK(lab.Fails("the site has 1 relays already"));
  CHECK(test::Eventually([&] { return lab.Runs() > 1; }));
}

}  // namespace interlink::slurm
