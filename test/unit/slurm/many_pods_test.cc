// Many pods at once: what is made for one is never another's.
#include <sys/stat.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <regex>
#include <set>

#include "support/eventually.h"
#include "unit/slurm/provisioner_lab.h"

namespace interlink::slurm {

// The clock stands still: no name can be made of the time.
TEST_CASE("A hundred pods in the same moment: each script, name and folder is its own pod's") {
  constexpr size_t kPods = 100;
  const size_t id_size = MintSandboxId().str().size();
  ProvisionerLab lab;
  lab.Start();
  std::set<std::string> ids;
  while (ids.size() < kPods) ids.insert(MintSandboxId().str());
  for (const std::string& id : ids) REQUIRE(lab.Submit(SandboxId(id)).ok());
  REQUIRE(test::Eventually([&] { return lab.Count("sbatch") == kPods; }));

  std::set<std::string> submitted;
  for (const auto& ran : lab.commands->calls()) {
    if (ran.argv.front() != "sbatch") continue;
    const auto name = std::find_if(ran.argv.begin(), ran.argv.end(), [](const std::string& word) {
      return word.starts_with("--job-name=");
    });
    REQUIRE(name != ran.argv.end());
    const std::string id = name->substr(name->size() - id_size);
    submitted.insert(id);
    const bool own =
        ran.input.find("pod='" + lab.PodFolder(SandboxId(id)) + "'\n") != std::string::npos;
    // Its folder and its agent's words, and no other id.
    const std::regex any_id("[0-9a-f]{64}");
    bool others = false;
    for (auto it = std::sregex_iterator(ran.input.begin(), ran.input.end(), any_id);
         it != std::sregex_iterator(); ++it) {
      others = others || it->str() != id;
    }
    if (!own || others) FAIL(ran.input);
    struct stat token {};
    REQUIRE(stat((lab.PodFolder(SandboxId(id)) + "/token").c_str(), &token) == 0);
    if ((token.st_mode & 0777U) != 0600) FAIL(id);
  }
  CHECK(submitted == ids);
}

}  // namespace interlink::slurm
