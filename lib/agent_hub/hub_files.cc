#include "agent_hub/hub_files.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <optional>
#include <system_error>
#include <vector>

#include "base/file.h"

namespace interlink::agent_hub {
namespace {

constexpr size_t kKeyBytes = 32;
constexpr size_t kMaxHubFile = 256;
constexpr std::string_view kHubFileVersion = "1 ";
constexpr int64_t kNanosPerSecond = 1'000'000'000;

bool IsHex(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

// The text after the version; nothing: there is no such file.
Result<std::optional<std::string>> ReadVersioned(const std::string& path) {
  auto bytes = ReadFile(path, kMaxHubFile);
  if (bytes.status().code() == Code::kNotFound) return std::optional<std::string>();
  if (!bytes.ok()) return bytes.status();
  if (!bytes->starts_with(kHubFileVersion) || !bytes->ends_with('\n')) {
    return DataLoss("\"" + path + "\" is damaged, or of a newer version of interlink-api");
  }
  return std::optional(bytes->substr(2, bytes->size() - kHubFileVersion.size() - 1));
}

std::string Versioned(const std::string& text) {
  return std::string(kHubFileVersion) + text + "\n";
}

Result<std::string> LoadKey(const std::string& path) {
  struct stat about {};
  if (stat(path.c_str(), &about) != 0) {
    if (errno != ENOENT) return ErrnoStatus(errno, "stat \"" + path + "\"");
    std::string key = RandomHex(kKeyBytes);
    RETURN_IF_ERROR(WriteFileAtomically(path, key, 0600));
    return key;
  }
  if ((about.st_mode & 077U) != 0) {
    return PermissionDenied("\"" + path + "\" can be read by others: its mode must be 0600");
  }
  ASSIGN_OR_RETURN(std::string key, ReadFile(path, kMaxHubFile));
  if (key.size() != 2 * kKeyBytes || !IsHex(key)) {
    return DataLoss("\"" + path + "\" is damaged: restore it, or the agents that run are lost");
  }
  return key;
}

Result<uint64_t> RaiseTerm(const std::string& path, const Clock& clock) {
  ASSIGN_OR_RETURN(const auto stored, ReadVersioned(path));
  uint64_t term = 0;
  if (stored) {
    const char* end = stored->data() + stored->size();
    const auto parsed = std::from_chars(stored->data(), end, term);
    if (parsed.ec != std::errc() || parsed.ptr != end) {
      return DataLoss("\"" + path + "\" is damaged: it must hold \"1 \" and a number");
    }
  }
  const auto seconds =
      static_cast<uint64_t>(std::max<int64_t>(0, clock.WallNanos() / kNanosPerSecond));
  term = std::max(term + 1, seconds);
  RETURN_IF_ERROR(WriteFileAtomically(path, Versioned(std::to_string(term)), 0600));
  return term;
}

// What a crash has left of writes.
Status RemoveCutWrites(const std::string& folder) {
  std::vector<std::string> cut;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    if (entry.path().filename().string().find(".tmp-") != std::string::npos)
      cut.push_back(entry.path());
  }
  for (const char* of_pods : {"/bound", "/left"}) {
    for (const auto& entry : std::filesystem::directory_iterator(folder + of_pods, error)) {
      if (!IsFullId(entry.path().filename().string())) cut.push_back(entry.path());
    }
  }
  if (error) return ErrnoStatus(error.value(), "look through \"" + folder + "\"");
  for (const std::string& path : cut) {
    if (unlink(path.c_str()) != 0 && errno != ENOENT)
      return ErrnoStatus(errno, "remove \"" + path + "\"");
  }
  return {};
}

}  // namespace

Result<HubFiles> HubFiles::Open(const std::string& folder, const Clock& clock) {
  RETURN_IF_ERROR(MakeDirectories(folder + "/bound", 0700));
  RETURN_IF_ERROR(MakeDirectories(folder + "/left", 0700));
  RETURN_IF_ERROR(RemoveCutWrites(folder));
  ASSIGN_OR_RETURN(std::string key, LoadKey(folder + "/agent.key"));
  ASSIGN_OR_RETURN(const uint64_t term, RaiseTerm(folder + "/term", clock));
  return HubFiles(folder, std::move(key), term);
}

std::string HubFiles::BindingFile(const SandboxId& id) const {
  return folder_ + "/bound/" + id.str();
}

std::string HubFiles::LeftFile(const SandboxId& id) const { return folder_ + "/left/" + id.str(); }

Result<std::string> HubFiles::BoundTo(const SandboxId& id) const {
  if (!IsFullId(id.str())) return InvalidArgument("the sandbox id is not 64 hex digits");
  const std::string path = BindingFile(id);
  ASSIGN_OR_RETURN(const auto bound, ReadVersioned(path));
  if (!bound) return std::string();
  if (*bound != kNobody && !IsNonce(*bound)) return DataLoss("\"" + path + "\" is damaged");
  return *bound;
}

Result<std::string> HubFiles::Bind(const SandboxId& id, const std::string& nonce) const {
  if (nonce != kNobody && !IsNonce(nonce)) {
    return InvalidArgument("the nonce is not 32 to 64 lower-case hex digits");
  }
  ASSIGN_OR_RETURN(const std::string bound, BoundTo(id));
  if (!bound.empty()) return bound;
  const std::string path = BindingFile(id);
  const std::string made = path + "." + RandomHex(8);
  RETURN_IF_ERROR(WriteFileAtomically(made, Versioned(nonce), 0600));
  const int linked = link(made.c_str(), path.c_str());
  const int error = errno;
  unlink(made.c_str());
  if (linked != 0 && error != EEXIST) return ErrnoStatus(error, "link \"" + path + "\"");
  RETURN_IF_ERROR(SyncDirectoryOf(path));
  return BoundTo(id);
}

Status HubFiles::WriteLeft(const SandboxId& id, const std::string& nonce) const {
  ASSIGN_OR_RETURN(const std::string bound, BoundTo(id));
  if (bound != nonce || !IsNonce(nonce)) {
    return FailedPrecondition("the agent does not speak for this sandbox");
  }
  return WriteFileAtomically(LeftFile(id), Versioned(nonce), 0600);
}

Result<bool> HubFiles::HasLeft(const SandboxId& id) const {
  ASSIGN_OR_RETURN(const std::string bound, BoundTo(id));
  ASSIGN_OR_RETURN(const auto left, ReadVersioned(LeftFile(id)));
  if (left && !IsNonce(*left)) return DataLoss("\"" + LeftFile(id) + "\" is damaged");
  return left && *left == bound;
}

// The word goes first: without the binding it would be nobody's.
Status HubFiles::Forget(const SandboxId& id) const {
  if (!IsFullId(id.str())) return InvalidArgument("the sandbox id is not 64 hex digits");
  for (const std::string& path : {LeftFile(id), BindingFile(id)}) {
    if (unlink(path.c_str()) != 0) {
      if (errno == ENOENT) continue;
      return ErrnoStatus(errno, "remove \"" + path + "\"");
    }
    RETURN_IF_ERROR(SyncDirectoryOf(path));
  }
  return {};
}

bool IsNonce(std::string_view text) {
  return text.size() >= 32 && text.size() <= 64 && IsHex(text);
}

}  // namespace interlink::agent_hub
