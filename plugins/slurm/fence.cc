#include "slurm/fence.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "base/file.h"

namespace interlink::slurm {
namespace {

constexpr size_t kMaxWord = 256;
constexpr size_t kMaxRefusal = 1024;
constexpr auto kBesideLeave = std::chrono::seconds(65);
constexpr auto kShortestAfterLease = std::chrono::seconds(90);

}  // namespace

AgentWord ParseAgentWord(std::string_view text, std::string_view nonce) {
  const std::string of = "1 " + std::string(nonce);
  if (nonce.empty()) return AgentWord::kNone;
  if (text == of + " ended\n") return AgentWord::kEnded;
  return text == of + " unsure\n" ? AgentWord::kUnsure : AgentWord::kNone;
}

Result<AgentWord> ReadAgentWord(const std::string& pod_folder, const std::string& nonce) {
  AgentWord word = AgentWord::kNone;
  for (const char* name : {"/left", "/fenced"}) {
    const auto text = ReadPlainFile(pod_folder + name, kMaxWord);
    if (text.status().code() == Code::kNotFound) continue;
    if (!text.ok()) return text.status();
    word = std::max(word, ParseAgentWord(*text, nonce));
  }
  return word;
}

Result<std::string> ReadRefusal(const std::string& pod_folder, const std::string& nonce) {
  const auto text = ReadPlainFile(pod_folder + "/refusal", kMaxRefusal);
  if (text.status().code() == Code::kNotFound) return std::string();
  if (!text.ok()) return text.status();
  const std::string of = "1 " + nonce + " ";
  if (nonce.empty() || !text->starts_with(of) || !text->ends_with('\n')) return std::string();
  return text->substr(of.size(), text->size() - of.size() - 1);
}

Status RaiseFence(const std::string& pod_folder) {
  const std::string from = pod_folder + "/heartbeat";
  const std::string to = pod_folder + "/given-up";
  if (rename(from.c_str(), to.c_str()) != 0 && errno != ENOENT) {
    return ErrnoStatus(errno, "rename \"" + from + "\"");
  }
  struct stat about {};
  if (stat(from.c_str(), &about) == 0) return Unavailable("\"" + from + "\" is still there");
  if (errno != ENOENT) return ErrnoStatus(errno, "stat \"" + from + "\"");
  return SyncDirectoryOf(to);
}

Duration AfterLease(std::chrono::seconds leave_within) {
  return std::max(kShortestAfterLease, leave_within + kBesideLeave);
}

bool LeaseIsOver(SteadyTime now, SteadyTime raised, std::optional<Duration> silence, Duration lease,
                 Duration after_lease) {
  if (lease == Duration::zero()) return false;
  const Duration since_raised = now - raised;
  const Duration quiet = silence ? std::min(*silence, since_raised) : since_raised;
  return quiet > lease + after_lease;
}

}  // namespace interlink::slurm
