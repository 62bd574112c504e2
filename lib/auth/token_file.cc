#include "auth/token_file.h"

#include <openssl/evp.h>
#include <unistd.h>

#include "auth/watched_file.h"
#include "base/mutex.h"
#include "base/secret.h"

namespace interlink::auth {
namespace {

constexpr size_t kMinListed = 16;
constexpr size_t kMaxListed = 4096;

TokenFile::Digest DigestOf(std::string_view token) {
  TokenFile::Digest digest{};
  unsigned size = 0;
  // Cannot fail: SHA-256 is built in and the memory is ours.
  EVP_Digest(token.data(), token.size(), digest.data(), &size, EVP_sha256(), nullptr);
  return digest;
}

bool Equal(const TokenFile::Digest& a, const TokenFile::Digest& b) {
  return EqualSecrets({reinterpret_cast<const char*>(a.data()), a.size()},
                      {reinterpret_cast<const char*>(b.data()), b.size()});
}

std::string_view Trim(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r";
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

Status CheckToken(std::string_view token, const std::string& where) {
  if (token.size() < kMinListed || token.size() > kMaxListed) {
    return InvalidArgument(where + ": a token has 16 to 4096 characters, this one has " +
                           std::to_string(token.size()));
  }
  for (const char c : token) {
    if (c <= 0x20 || c >= 0x7f)
      return InvalidArgument(where + ": a token consists of visible ASCII characters");
  }
  return {};
}

Result<std::vector<TokenFile::Entry>> Accept(const WatchedFile::Contents& contents,
                                             const std::string& path) {
  const struct stat& attributes = contents.attributes;
  if ((attributes.st_mode & 077U) != 0) {
    return PermissionDenied("\"" + path + "\" holds secrets and others may read it: chmod 600 \"" +
                            path + "\"");
  }
  if (attributes.st_uid != geteuid() && attributes.st_uid != 0)
    return PermissionDenied("\"" + path + "\" belongs to another user: chown it to this one");
  return TokenFile::Parse(contents.text, path);
}

}  // namespace

struct TokenFile::State {
  std::string path;
  Log* log = nullptr;
  std::shared_ptr<WatchedFile> file;  // owners: this and the timer's next look
  Mutex mutex;
  std::shared_ptr<const std::vector<Entry>> entries GUARDED_BY(mutex);  // owners: this, readers

  void Put(std::vector<Entry> fresh) {
    auto made = std::make_shared<const std::vector<Entry>>(std::move(fresh));
    MutexLock lock(mutex);
    entries.swap(made);
  }
  std::shared_ptr<const std::vector<Entry>> Get() {
    MutexLock lock(mutex);
    return entries;
  }
  void Changed(const Result<WatchedFile::Contents>& contents) {
    auto fresh =
        contents.ok() ? Accept(*contents, path) : Result<std::vector<Entry>>(contents.status());
    if (!fresh.ok()) {
      log->Error("the token file cannot be used, the tokens of before stay in force",
                 {{"reason", fresh.status().message()}});
      return;
    }
    const size_t count = fresh->size();
    Put(*std::move(fresh));
    log->Info("the token file was read again", {{"file", path}, {"tokens", std::to_string(count)}});
  }
};

Result<std::vector<TokenFile::Entry>> TokenFile::Parse(std::string_view text,
                                                       const std::string& name) {
  std::vector<Entry> entries;
  size_t number = 0;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    const std::string_view line = Trim(text.substr(0, end));
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    ++number;
    if (line.empty() || line.front() == '#') continue;
    const std::string where = "\"" + name + "\":" + std::to_string(number);
    const size_t comma = line.find(',');
    if (comma == std::string_view::npos)
      return InvalidArgument(where + ": a line is \"token,node-name\"");
    const std::string_view token = Trim(line.substr(0, comma));
    const std::string_view node = Trim(line.substr(comma + 1));
    RETURN_IF_ERROR(CheckToken(token, where));
    RETURN_IF_ERROR(CheckNodeName(node).WithContext(where));
    const Digest digest = DigestOf(token);
    for (const Entry& entry : entries) {
      if (Equal(entry.digest, digest))
        return InvalidArgument(where + ": this token is in the file already, for node \"" +
                               entry.node.str() + "\"");
    }
    entries.push_back({digest, NodeId(node)});
  }
  return entries;
}

Result<std::unique_ptr<TokenFile>> TokenFile::Open(std::string path, Timer& timer, Log& log) {
  auto state = std::make_shared<State>();
  state->path = path;
  state->log = &log;
  // The file's callback does not own the state, which owns the file: the destructor stops it first.
  state->file = std::make_shared<WatchedFile>(
      std::move(path), timer, [raw = state.get()](const Result<WatchedFile::Contents>& contents) {
        raw->Changed(contents);
      });
  const auto contents = state->file->Read();
  if (!contents.ok()) return contents.status().WithContext("token file");
  ASSIGN_OR_RETURN(auto entries, Accept(*contents, state->path));
  state->Put(std::move(entries));
  state->file->Start(contents);
  return std::unique_ptr<TokenFile>(
      new TokenFile(std::move(state)));  // NOLINT: private constructor
}

TokenFile::~TokenFile() { state_->file->Stop(); }

Result<TokenIdentity> TokenFile::Verify(std::string_view token) const {
  const Digest digest = DigestOf(token);
  const auto entries = state_->Get();
  // All are compared, so that the time says nothing about which one fits.
  const Entry* found = nullptr;
  for (const Entry& entry : *entries) {
    if (Equal(entry.digest, digest)) found = &entry;
  }
  if (found == nullptr) return Unauthenticated("the bearer token is not known here");
  TokenIdentity identity;
  identity.node = found->node;
  return identity;
}

}  // namespace interlink::auth
