// The real interlink-agent in a real job.
#include <catch2/catch.hpp>
#include <filesystem>

#include "base/file.h"
#include "slurm_site.h"
#include "support/certificates.h"

namespace interlink::slurm {

TEST_CASE("The real agent of a job without a site to reach leaves in order when the job is told") {
  SlurmSite site({}, INTERLINK_AGENT);
  const test::CertificateAuthority authority(site.folder.path(), "ca");
  site.site.ca_pem = ReadFile(authority.ca_file()).value_or("");
  site.site.token_prefix = "";
  const SandboxId pod = site.Submit();
  const auto log = [&] { return ReadFile(site.PodFolder(pod) + "/job.log").value_or(""); };
  const bool beats =
      site.Await([&] { return std::filesystem::exists(site.PodFolder(pod) + "/heartbeat/beat"); });
  INFO(log());
  REQUIRE(beats);

  REQUIRE(site.provisioner->Release(Soon(), pod).ok());
  REQUIRE(site.Await([&] { return site.Ended(pod); }));

  INFO(log());
  const auto claim = ReadClaim(site.PodFolder(pod));
  REQUIRE(claim.ok());
  CHECK(ReadFile(site.PodFolder(pod) + "/left").value_or("") ==
        "1 " + (*claim)->nonce + " ended\n");
  CHECK(std::filesystem::is_empty(site.options.state_folder));
}

}  // namespace interlink::slurm
