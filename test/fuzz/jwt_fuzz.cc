// Any text as a bearer token: it is refused, unless it is one of those that these keys have signed
// (corpus/jwt; nobody has the private halves any more). Input: a token, or, with line ends in it,
// its header, claims and signature before they are encoded.
#include <array>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "auth/jwk_set.h"
#include "auth/jwt.h"
#include "base/base64url.h"
#include "net/base64.h"

namespace interlink::auth {
namespace {

constexpr std::string_view kKeys =
    R"({"keys":[{"crv":"P-256","kid":"ES256","kty":"EC","use":"sig","x":"k2htRL_NJFoiNOGugzRAc4ZKhhZrEe166M2E3aItfX8","y":"WFaLzvJwmXrBuxxe4CZIOC8wDv9OpbEeWz9dx5i9oWQ"},{"crv":"Ed25519","kid":"EdDSA","kty":"OKP","use":"sig","x":"N87YaU072qtaw8p2nvd9m_MdImyimxoRElH3YUDXKYI"},{"alg":"RS256","e":"AQAB","kid":"RS256","kty":"RSA","n":"t_3g3oVzahPI_dlCoqD3zUIVyWFJdsdz_HJiFNRPeqfxBx---7a_vCwE5mSgTDPATTRJTRPPCSZdsBdNt39LnIgJVFxZBGJ39E_y75eZumjOOX_8S0_BBnl_e55PQLDGSzw-X-w0tFYx20iGnAXnEh3aU3kq1dQchPKJMxi4LVXADZCXOo7vk3eoITOIA8WGNTk2f4-TUkReRlXVMECAOYzxmIwKiPPg6Fhv29oCtUHlh-_7Tshxd3xu5SvPDj6_queFSeyn95slAu0rkimkI_M_r_ad4W_JuORIM8JgosWdI-QVs2K4IGooPw7LsVtSsE2MhfuZtXlvBoqy0QdzVQ","use":"sig"}]})";
constexpr std::array<std::string_view, 3> kSigned = {
    "eyJhbGciOiJSUzI1NiIsImtpZCI6IlJTMjU2IiwidHlwIjoiSldUIn0."
    "eyJhdWQiOlsiaW50ZXJsaW5rIl0sImV4cCI6MiwiaWF0IjoxLCJpc3MiOiJodHRwczovL2kiLCJzdWIiOiJuIn0",
    "eyJhbGciOiJFUzI1NiIsImtpZCI6IkVTMjU2IiwidHlwIjoiSldUIn0."
    "eyJhdWQiOlsiaW50ZXJsaW5rIl0sImV4cCI6MiwiaWF0IjoxLCJpc3MiOiJodHRwczovL2kiLCJzdWIiOiJuIn0",
    "eyJhbGciOiJFZERTQSIsImtpZCI6IkVkRFNBIiwidHlwIjoiSldUIn0."
    "eyJhdWQiOlsiaW50ZXJsaW5rIl0sImV4cCI6MiwiaWF0IjoxLCJpc3MiOiJodHRwczovL2kiLCJzdWIiOiJuIn0"};

std::string Encode(std::string_view bytes) {
  std::string text = net::EncodeBase64(bytes);
  while (text.ends_with('=')) text.pop_back();
  for (char& c : text) c = c == '+' ? '-' : c == '/' ? '_' : c;
  if (DecodeBase64Url(text).value_or("") != bytes) abort();
  return text;
}

void TakeToken(std::string_view text) {
  static const JwkSet kSet = JwkSet::Parse(kKeys).value_or(JwkSet());
  if (kSet.size() != kSigned.size()) abort();
  const auto token = ParseJwt(text);
  if (!token.ok()) return;
  static_cast<void>(CheckClaims(token->claims, {"https://i", {"interlink"}, 30}, 1));
  if (!kSet.Verify(*token).ok()) return;
  for (const std::string_view one : kSigned)
    if (token->signed_text == one) return;
  abort();
}

}  // namespace
}  // namespace interlink::auth

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(bytes), size);
  interlink::auth::TakeToken(input);
  const size_t first = input.find('\n');
  const size_t second = first == std::string_view::npos ? first : input.find('\n', first + 1);
  if (second == std::string_view::npos) return 0;
  using interlink::auth::Encode;
  interlink::auth::TakeToken(Encode(input.substr(0, first)) + "." +
                             Encode(input.substr(first + 1, second - first - 1)) + "." +
                             Encode(input.substr(second + 1)));
  return 0;
}
