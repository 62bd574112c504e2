#include "streaming/tokens.h"

#include <utility>

#include "base/id.h"

namespace interlink::streaming {
namespace {

constexpr size_t kRandomBytes = 24;

unsigned Nibble(char digit) {
  return static_cast<unsigned>(digit <= '9' ? digit - '0' : digit - 'a' + 10);
}

// RFC 4648, 5. Three hex digits are two characters.
std::string Base64Url(const std::string& hex) {
  static constexpr char kAlphabet[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string text;
  for (size_t at = 0; at + 3 <= hex.size(); at += 3) {
    const unsigned bits = Nibble(hex[at]) << 8U | Nibble(hex[at + 1]) << 4U | Nibble(hex[at + 2]);
    text += kAlphabet[bits >> 6U];
    text += kAlphabet[bits & 63U];
  }
  return text;
}

}  // namespace

Result<std::string> Tokens::Mint(node::StreamRequest request) {
  std::string token = Base64Url(RandomHex(kRandomBytes));
  const SteadyTime now = clock_.Steady();
  MutexLock lock(mutex_);
  std::erase_if(entries_, [now](const auto& entry) { return entry.second.expires <= now; });
  if (entries_.size() >= kMaxUnused) {
    return ResourceExhausted(std::to_string(kMaxUnused) +
                             " streaming addresses are unused: connect to them, or ask again "
                             "within a minute");
  }
  entries_.emplace(token, Entry{std::move(request), now + kLife});
  return token;
}

Tokens::Entries::iterator Tokens::FindLocked(node::StreamRequest::Kind kind,
                                             const std::string& token) {
  const auto it = entries_.find(token);
  if (it == entries_.end() || it->second.request.kind != kind ||
      it->second.expires <= clock_.Steady()) {
    return entries_.end();
  }
  return it;
}

std::optional<node::StreamRequest> Tokens::Look(node::StreamRequest::Kind kind,
                                                const std::string& token) {
  MutexLock lock(mutex_);
  const auto it = FindLocked(kind, token);
  if (it == entries_.end()) return std::nullopt;
  return it->second.request;
}

std::optional<node::StreamRequest> Tokens::Take(node::StreamRequest::Kind kind,
                                                const std::string& token) {
  MutexLock lock(mutex_);
  const auto it = FindLocked(kind, token);
  if (it == entries_.end()) return std::nullopt;
  node::StreamRequest request = std::move(it->second.request);
  entries_.erase(it);
  return request;
}

}  // namespace interlink::streaming
