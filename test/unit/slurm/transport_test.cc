// Which agents get a relay, when, and for which job: the provisioner's half of Transport.
#include <poll.h>

#include <algorithm>
#include <catch2/catch.hpp>

#include "slurm/agent_command.h"
#include "support/eventually.h"
#include "unit/slurm/provisioner_lab.h"
#include "unit/slurm/soon.h"

namespace interlink::slurm {
namespace {

const SandboxId kPodOfRelay(std::string(64, 'b'));

struct TransportLab : ProvisionerLab {
  explicit TransportLab(Transport transport, Duration heartbeat = std::chrono::seconds(10)) {
    site.heartbeat = heartbeat;
    options.transport = transport;
    Start();
    REQUIRE(Submit(kPodOfRelay).ok());
    REQUIRE(Until([&] { return Jobs().size() == 1; }));
    job = Jobs().at(0).id;
  }
  // Its job runs and has the claim; the agent has not been heard of.
  void RunJob() {
    SetJob(job, "RUNNING");
    REQUIRE(RunScript(kPodOfRelay, job));
  }
  bool Relayed() {
    return Until([&] { return Count("srun") > 0; }, std::chrono::seconds(1));
  }
  std::vector<std::string> Srun() const {
    for (const auto& ran : commands->calls()) {
      if (ran.argv.front() == "srun") return ran.argv;
    }
    return {};
  }
  bool Has(const std::string& word) const {
    const auto words = Srun();
    return std::find(words.begin(), words.end(), word) != words.end();
  }
  uint64_t job = 0;
};

}  // namespace

TEST_CASE("Agents that reach the hub by themselves get no relay") {
  TransportLab lab(Transport::kDirect);
  lab.RunJob();
  lab.Pass(std::chrono::minutes(2));
  CHECK(lab.Count("srun") == 0);
}

TEST_CASE("With srun a job has a relay as soon as it runs and has the claim, and not before") {
  TransportLab lab(Transport::kSrun);
  lab.Pass(std::chrono::seconds(5));
  CHECK(lab.Count("srun") == 0);
  lab.SetJob(lab.job, "RUNNING");
  lab.Pass(std::chrono::seconds(5));
  CHECK(lab.Count("srun") == 0);

  lab.RunJob();

  REQUIRE(lab.Relayed());
  CHECK(lab.Has("--jobid=" + std::to_string(lab.job)));
  CHECK(lab.Has(ProvisionerLab::kNonce));
  CHECK(lab.Has(lab.PodFolder(kPodOfRelay)));
}

TEST_CASE("Why no relay is of use is part of what the site is told") {
  TransportLab lab(Transport::kSrun);
  lab.commands->start = [](const std::vector<std::string>&) -> Result<Started> {
    return Unavailable("no srun here");
  };
  lab.RunJob();
  CHECK(lab.Until([&] {
    return lab.Latest(kPodOfRelay).message.find("its agent is not reached: no srun here") !=
           std::string::npos;
  }));
}

TEST_CASE("A job that is over has no relay any more") {
  TransportLab lab(Transport::kSrun);
  lab.RunJob();
  REQUIRE(lab.Relayed());
  lab.Say(kPodOfRelay, "left", "ended");
  lab.SetJob(lab.job, "COMPLETED");
  lab.End(kPodOfRelay);
  lab.Pass(std::chrono::seconds(2));

  size_t before = 0;
  REQUIRE(test::Eventually([&] {
    before = lab.Count("srun");
    poll(nullptr, 0, 400);  // longer than any pause of a relay that has failed once or twice
    return lab.Count("srun") == before;
  }));
  lab.Pass(std::chrono::minutes(2));

  CHECK(lab.Count("srun") == before);
}

TEST_CASE("After a restart of the site a job that runs has a relay again") {
  TransportLab lab(Transport::kSrun);
  lab.RunJob();
  REQUIRE(lab.Relayed());
  lab.Start();
  CHECK(lab.Relayed());
}

TEST_CASE("With auto an agent that is heard of gets no relay, one that is silent does") {
  TransportLab lab(Transport::kAuto);
  lab.site.SetSilence(std::chrono::seconds(2));
  lab.RunJob();
  lab.Pass(std::chrono::minutes(2));
  CHECK(lab.Count("srun") == 0);

  lab.site.SetSilence(std::chrono::seconds(21));

  CHECK(lab.Relayed());
}

TEST_CASE("With auto rare heartbeats are no silence") {
  TransportLab lab(Transport::kAuto, std::chrono::seconds(60));
  lab.site.SetSilence(std::chrono::seconds(100));
  lab.RunJob();
  lab.Pass(std::chrono::minutes(2));
  CHECK(lab.Count("srun") == 0);

  lab.site.SetSilence(std::chrono::seconds(121));

  CHECK(lab.Relayed());
}

TEST_CASE("With auto an agent has some seconds for its first word") {
  TransportLab lab(Transport::kAuto);
  lab.RunJob();
  lab.Pass(std::chrono::seconds(10));
  CHECK(lab.Count("srun") == 0);
  CHECK(lab.Relayed());
}

TEST_CASE("What an agent is told of its way follows the option") {
  AgentCommand command;
  command.sandbox = kPodOfRelay;
  const auto says = [](const AgentCommand& of) {
    const auto words = AgentCommandWords(of);
    const auto found = std::find(words.begin(), words.end(), "--transport");
    return found == words.end() ? std::string("nothing") : *(found + 1);
  };
  CHECK(says(command) == "nothing");
  command.transport = "relay";
  CHECK(says(command) == "relay");
}

}  // namespace interlink::slurm
