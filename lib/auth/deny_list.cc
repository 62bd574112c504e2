#include "auth/deny_list.h"

#include <unistd.h>

#include <algorithm>

#include "auth/watched_file.h"
#include "base/mutex.h"

namespace interlink::auth {
namespace {

constexpr std::string_view kBlank = " \t\r";

std::string_view TakeWord(std::string_view* line) {
  line->remove_prefix(std::min(line->find_first_not_of(kBlank), line->size()));
  const size_t end = std::min(line->find_first_of(kBlank), line->size());
  const std::string_view word = line->substr(0, end);
  line->remove_prefix(end);
  return word;
}

std::string_view TakeRest(std::string_view line) {
  line.remove_prefix(std::min(line.find_first_not_of(kBlank), line.size()));
  return line.substr(0, line.find_last_not_of(kBlank) + 1);
}

Status ReadLine(std::string_view line, const std::string& where, DenyList::Names& names) {
  const std::string_view kind = TakeWord(&line);
  if (kind.empty() || kind.front() == '#') return {};
  if (kind == "subject") {
    const std::string_view issuer = TakeWord(&line);
    const std::string_view subject = TakeRest(line);
    if (subject.empty()) return InvalidArgument(where + ": a line is \"subject ISSUER SUBJECT\"");
    names.subjects.emplace(issuer, subject);
    return {};
  }
  if (kind != "node" && kind != "tenant") {
    return InvalidArgument(where +
                           ": a line begins with \"node\", \"subject\" or \"tenant\", this one "
                           "with \"" +
                           std::string(kind.substr(0, 32)) + "\"");
  }
  const std::string_view name = TakeRest(line);
  if (name.empty()) return InvalidArgument(where + ": which " + std::string(kind) + "?");
  // A name that no node can have would deny nobody.
  if (kind == "node") RETURN_IF_ERROR(CheckNodeName(name).WithContext(where));
  (kind == "node" ? names.nodes : names.tenants).emplace(name);
  return {};
}

// Whoever can write the list can let in whom it keeps out.
Result<DenyList::Names> ReadNames(const WatchedFile::Contents& contents, const std::string& path) {
  const struct stat& attributes = contents.attributes;
  if ((attributes.st_mode & 022U) != 0) {
    return PermissionDenied("\"" + path + "\" can be written by others: chmod go-w \"" + path +
                            "\"");
  }
  if (attributes.st_uid != geteuid() && attributes.st_uid != 0)
    return PermissionDenied("\"" + path + "\" belongs to another user: chown it to this one");
  return DenyList::Parse(contents.text, path);
}

}  // namespace

struct DenyList::State {
  std::string path;
  Log* log = nullptr;
  std::shared_ptr<WatchedFile> file;  // owners: this and the timer's next look
  Mutex mutex;
  std::shared_ptr<const Names> names GUARDED_BY(mutex);  // owners: this and who asks

  void Put(Names fresh) {
    auto made = std::make_shared<const Names>(std::move(fresh));
    MutexLock lock(mutex);
    names.swap(made);
  }
  std::shared_ptr<const Names> Get() {
    MutexLock lock(mutex);
    return names;
  }
  void Changed(const Result<WatchedFile::Contents>& contents) {
    auto fresh = contents.ok() ? ReadNames(*contents, path) : Result<Names>(contents.status());
    if (!fresh.ok()) {
      log->Error("the deny list cannot be used, the one of before stays in force",
                 {{"file", path}, {"reason", fresh.status().message()}});
      return;
    }
    const size_t count = fresh->size();
    Put(*std::move(fresh));
    log->Info("the deny list was read again", {{"file", path}, {"names", std::to_string(count)}});
  }
};

Result<DenyList::Names> DenyList::Parse(std::string_view text, const std::string& name) {
  Names names;
  for (size_t number = 1; !text.empty(); ++number) {
    const size_t end = text.find('\n');
    RETURN_IF_ERROR(
        ReadLine(text.substr(0, end), "\"" + name + "\":" + std::to_string(number), names));
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
  }
  return names;
}

Result<std::unique_ptr<DenyList>> DenyList::Open(std::string path, Timer& timer, Log& log) {
  auto state = std::make_shared<State>();
  state->path = path;
  state->log = &log;
  // The file's callback does not own the state, which owns the file: the destructor stops it first.
  state->file = std::make_shared<WatchedFile>(
      std::move(path), timer, [raw = state.get()](const Result<WatchedFile::Contents>& contents) {
        raw->Changed(contents);
      });
  const auto contents = state->file->Read();
  if (!contents.ok()) return contents.status().WithContext("deny list");
  ASSIGN_OR_RETURN(Names names, ReadNames(*contents, state->path));
  state->Put(std::move(names));
  state->file->Start(contents);
  return std::unique_ptr<DenyList>(new DenyList(std::move(state)));  // NOLINT: private constructor
}

DenyList::~DenyList() { state_->file->Stop(); }

Status DenyList::Check(const Identity& identity) const {
  const std::shared_ptr<const Names> names = state_->Get();
  if (names->nodes.contains(identity.node.str())) {
    return PermissionDenied("node \"" + identity.node.str() +
                            "\" is on this site's deny list (Auth.DenyFile)");
  }
  if (!identity.by_token) return {};
  if (names->subjects.contains({identity.token.issuer, identity.token.subject}))
    return PermissionDenied("the token's subject is on this site's deny list (Auth.DenyFile)");
  if (!identity.token.tenant.empty() && names->tenants.contains(identity.token.tenant)) {
    return PermissionDenied("tenant \"" + identity.token.tenant +
                            "\" is on this site's deny list (Auth.DenyFile)");
  }
  return {};
}

void DenyList::ReadSoon() { state_->file->ReadSoon(); }

}  // namespace interlink::auth
