#include "auth/audit_chain.h"

#include <array>
#include <charconv>
#include <cstdio>

#include "auth/sha256.h"
#include "base/clock.h"

namespace interlink::auth {
namespace {

constexpr std::string_view kFileBegin = "audit-";
constexpr std::string_view kFileEnd = ".jsonl";

}  // namespace

std::string AuditHex(std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string hex;
  hex.reserve(bytes.size() * 2);
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    hex.push_back(kDigits[byte >> 4U]);
    hex.push_back(kDigits[byte & 15U]);
  }
  return hex;
}

std::string AuditHash(std::string_view bytes) {
  const Sha256Digest digest = Sha256(bytes);
  return AuditHex({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

std::string AuditChain::Begin(int64_t wall_nanos, std::string_view members) const {
  std::string line = "{\"n\":" + std::to_string(next) + ",\"prev\":\"" + last + "\",\"time\":\"" +
                     FormatRfc3339(wall_nanos) + "\",";
  line += members;
  return line;
}

std::string AuditChain::End(std::string line) {
  line += "}";
  last = AuditHash(line);
  ++next;
  line += "\n";
  return line;
}

std::string AuditChain::Add(int64_t wall_nanos, std::string_view members) {
  return End(Begin(wall_nanos, members));
}

Result<std::string> AuditChain::AddSigned(int64_t wall_nanos, std::string_view members,
                                          const AuditKey& key) {
  std::string line = Begin(wall_nanos, members) + ",\"key\":\"" + key.id() + "\"";
  ASSIGN_OR_RETURN(const std::string signature, key.Sign(line));
  return End(line + ",\"signature\":\"" + signature + "\"");
}

std::string AuditFileName(uint64_t number) {
  std::array<char, 32> digits{};
  std::snprintf(digits.data(), digits.size(), "%08llu", static_cast<unsigned long long>(number));
  return std::string(kFileBegin) + digits.data() + std::string(kFileEnd);
}

uint64_t AuditFileNumber(std::string_view name) {
  if (!name.starts_with(kFileBegin) || !name.ends_with(kFileEnd)) return 0;
  name.remove_prefix(kFileBegin.size());
  name.remove_suffix(kFileEnd.size());
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  const bool whole = error == std::errc() && end == name.data() + name.size();
  return whole && name.size() >= 8 ? number : 0;
}

}  // namespace interlink::auth
