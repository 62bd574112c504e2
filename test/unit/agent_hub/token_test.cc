#include "agent_hub/token.h"

#include <catch2/catch.hpp>

namespace interlink::agent_hub {
namespace {

const std::string kKey(64, 'a');
const SandboxId kTokenPod(std::string(64, '1'));
const SandboxId kOther(std::string(64, '2'));

TEST_CASE("a token is the HMAC of its purpose and the sandbox id") {
  // printf 'interlink agent token 1\n%s' 1111... | openssl dgst -sha256 -hmac aaaa...
  CHECK(PodToken(kKey, kTokenPod) ==
        "6f503c9da906c2eded95d197a7e8269f806d3c6ab70ba04425654d21adde95d5");
}

TEST_CASE("a token opens its own sandbox and nothing else") {
  const std::string token = PodToken(kKey, kTokenPod);

  CHECK(IsAuthorized(kKey, kTokenPod, "Bearer " + token));
  CHECK_FALSE(IsAuthorized(kKey, kOther, "Bearer " + token));
  CHECK_FALSE(IsAuthorized(std::string(64, 'b'), kTokenPod, "Bearer " + token));
}

TEST_CASE("what is not a whole token is refused") {
  const std::string token = PodToken(kKey, kTokenPod);
  std::string forged = token;
  forged.back() = forged.back() == '0' ? '1' : '0';
  std::string upper = token;
  for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  const auto text = GENERATE_COPY(
      as<std::string>{}, "", "Bearer ", "Bearer", token, "bearer " + token, "Bearer  " + token,
      "Bearer " + token + " ", "Bearer " + token.substr(1), "Bearer " + forged, "Bearer " + upper);

  CAPTURE(text);
  CHECK_FALSE(IsAuthorized(kKey, kTokenPod, text));
}

}  // namespace
}  // namespace interlink::agent_hub
