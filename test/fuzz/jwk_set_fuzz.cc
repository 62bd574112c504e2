// Any text as an issuer's key set: it is refused, or has keys that can be asked about a token.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "auth/jwk_set.h"
#include "auth/jwt.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  using namespace interlink;
  const auto set = auth::JwkSet::Parse({reinterpret_cast<const char*>(bytes), size});
  if (!set.ok()) return 0;
  if (set->size() == 0 || set->size() > 100) abort();
  auth::Jwt token;
  token.signed_text = "never signed";
  for (const auto algorithm : {auth::SigningAlgorithm::kRs256, auth::SigningAlgorithm::kPs256,
                               auth::SigningAlgorithm::kEs256, auth::SigningAlgorithm::kEs384,
                               auth::SigningAlgorithm::kEdDsa}) {
    token.algorithm = algorithm;
    for (const size_t length : {64U, 96U, 256U}) {
      token.signature.assign(length, 'x');
      if (set->Verify(token).ok()) abort();
    }
  }
  return 0;
}
