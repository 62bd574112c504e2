#include "agent_hub/token.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <array>
#include <cstdlib>

#include "base/secret.h"

namespace interlink::agent_hub {
namespace {

// So that the key can never make a text that means something elsewhere.
constexpr std::string_view kTokenPurpose = "interlink agent token 1\n";
constexpr std::string_view kBearer = "Bearer ";

}  // namespace

std::string PodToken(std::string_view agent_key, const SandboxId& id) {
  static constexpr char kDigits[] = "0123456789abcdef";
  const std::string text = std::string(kTokenPurpose) + id.str();
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  const auto* made =
      HMAC(EVP_sha256(), agent_key.data(), static_cast<int>(agent_key.size()),
           reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data(), &size);
  // Only without memory; going on would let everybody in who guesses the empty token.
  if (made == nullptr) std::abort();
  std::string token;
  for (unsigned int i = 0; i < size; ++i) {
    token += kDigits[digest[i] >> 4U];
    token += kDigits[digest[i] & 15U];
  }
  return token;
}

bool IsAuthorized(std::string_view agent_key, const SandboxId& id, std::string_view authorization) {
  if (!authorization.starts_with(kBearer)) return false;
  return EqualSecrets(PodToken(agent_key, id), authorization.substr(kBearer.size()));
}

}  // namespace interlink::agent_hub
