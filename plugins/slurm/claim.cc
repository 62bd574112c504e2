#include "slurm/claim.h"

#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/file.h"
#include "base/id.h"
#include "slurm/numbers.h"

namespace interlink::slurm {
namespace {

constexpr size_t kClaimLimit = 4096;
constexpr size_t kNameLimit = 256;

std::string_view HostName(std::array<char, kNameLimit>& buffer) {
  if (gethostname(buffer.data(), buffer.size() - 1) != 0) return "unknown";
  return buffer.data();
}

// The site's file of PrepareClaim.
constexpr const char* kPrepared = "/site-claim";

Status WriteSitesOwn(const std::string& path, const std::string& nonce) {
  std::array<char, kNameLimit> buffer{};
  auto boot = ReadFile("/proc/sys/kernel/random/boot_id", kClaimLimit).value_or("unknown\n");
  return WriteFileAtomically(path,
                             "nonce=" + nonce + "\njob=0\nrestarts=0\nhost=" +
                                 std::string(HostName(buffer)) + "\nboot=" + boot,
                             0600);
}

}  // namespace

Result<Claim> ParseClaim(std::string_view text) {
  Claim claim;
  bool has_job = false;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    const size_t equals = text.substr(0, end).find('=');
    if (end == std::string_view::npos || equals == std::string_view::npos) {
      return DataLoss("the pod's claim is garbled");
    }
    const std::string_view key = text.substr(0, equals);
    const std::string_view value = text.substr(equals + 1, end - equals - 1);
    text.remove_prefix(end + 1);
    if (key == "nonce") {
      claim.nonce = value;
    } else if (key == "job") {
      const auto job = ParseDigits<uint64_t>(value);
      if (!job) return DataLoss("the pod's claim names no job");
      claim.job = *job;
      has_job = true;
    } else if (key == "restarts") {
      claim.restarts = ParseDigits<int>(value).value_or(0);
    } else if (key == "host") {
      claim.host = value;
    } else if (key == "boot") {
      claim.boot = value;
    }
  }
  if (claim.nonce.empty() || !has_job) return DataLoss("the pod's claim is incomplete");
  return claim;
}

Result<std::optional<Claim>> ReadClaim(const std::string& pod_folder) {
  const auto text = ReadPlainFile(pod_folder + "/claim", kClaimLimit);
  if (!text.ok()) {
    struct stat about {};
    // Absent claim of a folder that is there; anything else is not "nobody".
    if (text.status().code() == Code::kNotFound && stat(pod_folder.c_str(), &about) == 0) {
      return std::optional<Claim>();
    }
    return text.status();
  }
  ASSIGN_OR_RETURN(Claim claim, ParseClaim(*text));
  return std::optional<Claim>(std::move(claim));
}

Status PrepareClaim(const std::string& pod_folder) {
  return WriteSitesOwn(pod_folder + kPrepared, "site-" + RandomHex(16));
}

Result<Claim> TakeClaim(const std::string& pod_folder) {
  std::string own = pod_folder + kPrepared;
  const bool prepared = access(own.c_str(), F_OK) == 0;
  if (!prepared) {
    const std::string nonce = "site-" + RandomHex(16);
    own = pod_folder + "/own." + nonce;
    RETURN_IF_ERROR(WriteSitesOwn(own, nonce));
  }
  const std::string path = pod_folder + "/claim";
  const int error = link(own.c_str(), path.c_str()) == 0 ? 0 : errno;
  // Its name goes; the claim keeps the file when it is ours.
  if (!prepared) unlink(own.c_str());
  ASSIGN_OR_RETURN(const std::optional<Claim> claim, ReadClaim(pod_folder));
  if (!claim) {
    return ErrnoStatus(error != 0 ? error : EAGAIN, "link \"" + path + "\"");
  }
  RETURN_IF_ERROR(SyncDirectoryOf(path));
  return *claim;
}

}  // namespace interlink::slurm
