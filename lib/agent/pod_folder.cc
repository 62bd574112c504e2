#include "agent/pod_folder.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <utility>

#include "base/file.h"
#include "base/utf8.h"

namespace interlink::agent {
namespace {

constexpr size_t kMaxTermFile = 64;
constexpr std::string_view kFileVersion = "1 ";
constexpr uint32_t kExitVersion = 1;
constexpr size_t kMaxRefusal = 500;
// Some sixty files of one block.
constexpr size_t kReserve = 256U << 10U;

// The full ids among the names of a folder; what a crash left half written is not one.
Result<std::set<std::string>> IdsIn(const std::string& folder) {
  std::set<std::string> ids;
  std::error_code error;
  std::filesystem::directory_iterator it(folder, error);
  for (; !error && it != std::filesystem::directory_iterator(); it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (IsFullId(name)) ids.insert(name);
  }
  if (error) return ErrnoStatus(error.value(), "list \"" + folder + "\"");
  return ids;
}

}  // namespace

Result<std::unique_ptr<PodFolder>> PodFolder::Open(const std::string& folder,
                                                   const SandboxId& sandbox,
                                                   const std::string& nonce) {
  std::unique_ptr<PodFolder> opened(new PodFolder(folder, sandbox, nonce));
  RETURN_IF_ERROR(opened->Load());
  return opened;
}

Status PodFolder::Load() {
  for (const char* name : {"/gone", "/exits"}) {
    RETURN_IF_ERROR(MakeDirectories(folder_ + name, 0700));
  }
  MutexLock lock(mutex_);
  ASSIGN_OR_RETURN(gone_, IdsIn(folder_ + "/gone"));
  ASSIGN_OR_RETURN(exits_, IdsIn(folder_ + "/exits"));
  const std::string path = folder_ + "/term";
  const auto text = ReadFile(path, kMaxTermFile);
  if (text.status().code() == Code::kNotFound) return {};
  if (!text.ok()) return text.status();
  const char* end = text->data() + text->size();
  const char* begin = text->data() + kFileVersion.size();
  if (!text->starts_with(kFileVersion) || !text->ends_with('\n')) {
    return DataLoss("\"" + path + "\" is damaged");
  }
  const auto parsed = std::from_chars(begin, end - 1, term_);
  if (parsed.ec != std::errc() || parsed.ptr != end - 1) {
    return DataLoss("\"" + path + "\" is damaged");
  }
  return {};
}

uint64_t PodFolder::highest_term() {
  MutexLock lock(mutex_);
  return term_;
}

Status PodFolder::StoreTerm(uint64_t term) {
  {
    MutexLock lock(mutex_);
    if (term == term_) return {};
  }
  RETURN_IF_ERROR(Write("/term", std::string(kFileVersion) + std::to_string(term) + "\n"));
  MutexLock lock(mutex_);
  term_ = term;
  return {};
}

void PodFolder::Refuse(const std::string& id) {
  MutexLock lock(mutex_);
  refused_.insert(id);
}

Status PodFolder::MarkGone(const std::string& id) {
  if (!IsFullId(id)) return InvalidArgument("the id is not 64 hex digits");
  Refuse(id);
  if (IsGone(id)) return {};
  RETURN_IF_ERROR(Write("/gone/" + id, std::string(kFileVersion)));
  MutexLock lock(mutex_);
  gone_.insert(id);
  return {};
}

bool PodFolder::IsGone(const std::string& id) {
  MutexLock lock(mutex_);
  return gone_.count(id) != 0;
}

bool PodFolder::IsRefused(const std::string& id) {
  MutexLock lock(mutex_);
  return refused_.count(id) != 0 || gone_.count(id) != 0;
}

Status PodFolder::Beat() {
  uint64_t number = 0;
  {
    MutexLock lock(mutex_);
    number = ++beats_;
  }
  RETURN_IF_ERROR(Write("/heartbeat/beat",
                        std::string(kFileVersion) + nonce_ + " " + std::to_string(number) + "\n"));
  KeepReserve();
  return {};
}

Status PodFolder::WriteLeft(bool ended) { return WriteWord("/left", ended); }

Status PodFolder::WriteRefusal(const std::string& why) {
  std::string words = Utf8Prefix(why, kMaxRefusal);
  std::replace(words.begin(), words.end(), '\n', ' ');
  return Write("/refusal", std::string(kFileVersion) + nonce_ + " " + words + "\n");
}

Status PodFolder::WriteFenced(bool ended) { return WriteWord("/fenced", ended); }

Status PodFolder::WriteWord(const std::string& name, bool ended) {
  return Write(name, std::string(kFileVersion) + nonce_ + (ended ? " ended\n" : " unsure\n"));
}

Status PodFolder::Write(const std::string& name, const std::string& bytes) {
  const Status written = WriteFileAtomically(folder_ + name, bytes, 0600);
  if (written.code() != Code::kResourceExhausted) return written;
  MutexLock lock(reserve_);
  // Gone already: another one has made room a moment ago, or there is none.
  unlink(ReservePath().c_str());
  return WriteFileAtomically(folder_ + name, bytes, 0600);
}

void PodFolder::KeepReserve() {
  MutexLock lock(reserve_);
  if (access(ReservePath().c_str(), F_OK) == 0) return;
  // Of bytes that a file system cannot leave out. Without room there is none for it either; it is
  // tried again.
  static_cast<void>(WriteFileAtomically(ReservePath(), RandomHex(kReserve / 2), 0600));
}

Status PodFolder::WriteExit(const v1::Fact& fact) {
  const std::string& id = fact.container_id();
  if (!IsFullId(id)) return InvalidArgument("the container id is not 64 hex digits");
  {
    MutexLock lock(mutex_);
    if (exits_.count(id) != 0) return {};
  }
  v1::ExitFile file;
  file.set_version(kExitVersion);
  file.set_sandbox_id(sandbox_.str());
  file.set_nonce(nonce_);
  *file.mutable_fact() = fact;
  RETURN_IF_ERROR(Write("/exits/" + id, file.SerializeAsString()));
  MutexLock lock(mutex_);
  exits_.insert(id);
  return {};
}

bool PodFolder::HasExit(const ContainerId& container) {
  MutexLock lock(mutex_);
  return exits_.count(container.str()) != 0;
}

}  // namespace interlink::agent
