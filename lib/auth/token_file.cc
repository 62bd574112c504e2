#include "auth/token_file.h"

#include "base/secret.h"

namespace interlink::auth {
namespace {

constexpr size_t kMinListed = 16;
constexpr size_t kMaxListed = 4096;

bool Equal(const Sha256Digest& a, const Sha256Digest& b) {
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

}  // namespace

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
    const Sha256Digest digest = Sha256(token);
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
  const auto read = [path](const WatchedFile::Contents& contents) -> Result<Entries> {
    RETURN_IF_ERROR(CheckNobodyElseReads(contents, path));
    return Parse(contents.text, path);
  };
  ASSIGN_OR_RETURN(
      auto value,
      WatchedValue<Entries>::Open(
          path,
          {.what = "token file",
           .refused = "the token file cannot be used, the tokens of before stay in force",
           .taken = "the token file was read again",
           .counted = "tokens"},
          {.read = read, .count = [](const Entries& entries) { return entries.size(); }}, timer,
          log));
  return std::unique_ptr<TokenFile>(
      new TokenFile(std::move(value)));  // NOLINT: private constructor
}

Result<TokenIdentity> TokenFile::Verify(std::string_view token) const {
  const Sha256Digest digest = Sha256(token);
  const auto entries = value_->Get();
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
