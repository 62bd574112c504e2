#include "auth/jwt.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "auth/strict_json.h"
#include "base/base64url.h"

namespace interlink::auth {
namespace {

using nlohmann::json;

constexpr size_t kMostKeyId = 256;
// The year 9999: what is later is a mistake, or meant to overflow.
constexpr int64_t kLastSecond = 253'402'300'799;

constexpr std::array<std::pair<std::string_view, SigningAlgorithm>, 7> kAlgorithms = {
    {{"RS256", SigningAlgorithm::kRs256},
     {"RS384", SigningAlgorithm::kRs384},
     {"RS512", SigningAlgorithm::kRs512},
     {"PS256", SigningAlgorithm::kPs256},
     {"ES256", SigningAlgorithm::kEs256},
     {"ES384", SigningAlgorithm::kEs384},
     {"EdDSA", SigningAlgorithm::kEdDsa}}};

Status BadToken(const std::string& why) { return Unauthenticated("the token: " + why); }

struct Parts {
  std::string_view header;
  std::string_view claims;
  std::string_view signature;
};

std::optional<Parts> Split(std::string_view token) {
  const size_t first = token.find('.');
  const size_t second = first == std::string_view::npos ? first : token.find('.', first + 1);
  if (second == std::string_view::npos) return {};
  if (token.find('.', second + 1) != std::string_view::npos) return {};
  return Parts{token.substr(0, first), token.substr(first + 1, second - first - 1),
               token.substr(second + 1)};
}

Result<std::string> Decoded(std::string_view part, const char* what) {
  auto bytes = DecodeBase64Url(part);
  if (!bytes.ok()) return BadToken(std::string(what) + " is " + bytes.status().message());
  return bytes;
}

// Fills what the header says.
Status ReadHeader(const json& header, Jwt& token) {
  for (const char* name : {"crit", "b64"}) {
    if (header.contains(name))
      return BadToken(std::string("its header has \"") + name +
                      "\", which nobody here understands");
  }
  if (header.contains("cty")) return BadToken("a token in a token is not taken");
  const auto algorithm = header.find("alg");
  if (algorithm == header.end() || !algorithm->is_string())
    return BadToken("its header names no algorithm");
  const auto taken = SigningAlgorithmOf(algorithm->get_ref<const std::string&>());
  if (!taken) {
    return BadToken(
        "its algorithm is not taken: an issuer must sign with RS256, RS384, RS512, PS256, ES256, "
        "ES384 or EdDSA");
  }
  token.algorithm = *taken;
  const auto key = header.find("kid");
  if (key == header.end()) return {};
  if (!key->is_string() || key->get_ref<const std::string&>().size() > kMostKeyId)
    return BadToken("its key id is no string of at most 256 bytes");
  token.key_id = key->get<std::string>();
  return {};
}

std::string Quoted(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "\"" : ", \"") + word + "\"";
  return text;
}

}  // namespace

std::optional<SigningAlgorithm> SigningAlgorithmOf(std::string_view name) {
  for (const auto& [known, algorithm] : kAlgorithms)
    if (name == known) return algorithm;
  return {};
}

struct JwtClaims::Tree {
  json top;

  const json* At(const std::vector<std::string>& path) const {
    const json* node = &top;
    for (const std::string& name : path) {
      if (!node->is_object()) return nullptr;
      const auto found = node->find(name);
      if (found == node->end()) return nullptr;
      node = &*found;
    }
    return node;
  }
};

Result<JwtClaims> JwtClaims::Parse(std::string_view text) {
  ASSIGN_OR_RETURN(json top, ParseStrictJson(text));
  JwtClaims claims;
  claims.tree_ = std::make_shared<const Tree>(Tree{std::move(top)});
  return claims;
}

std::optional<std::string> JwtClaims::String(const std::vector<std::string>& path) const {
  const json* found = tree_ ? tree_->At(path) : nullptr;
  if (found == nullptr || !found->is_string()) return {};
  return found->get<std::string>();
}

std::optional<std::vector<std::string>> JwtClaims::Strings(
    const std::vector<std::string>& path) const {
  const json* found = tree_ ? tree_->At(path) : nullptr;
  if (found == nullptr) return {};
  if (found->is_string()) return std::vector<std::string>{found->get<std::string>()};
  const bool list =
      found->is_array() &&
      std::all_of(found->begin(), found->end(), [](const json& one) { return one.is_string(); });
  if (!list) return {};
  return found->get<std::vector<std::string>>();
}

std::optional<int64_t> JwtClaims::Seconds(const std::string& name) const {
  const json* found = tree_ ? tree_->At({name}) : nullptr;
  if (found == nullptr || !found->is_number()) return {};
  const double value = found->get<double>();
  if (!(value >= 0 && value <= static_cast<double>(kLastSecond))) return {};
  return static_cast<int64_t>(std::floor(value));
}

bool JwtClaims::Has(const std::string& name) const { return tree_ && tree_->At({name}) != nullptr; }

Result<Jwt> ParseJwt(std::string_view token) {
  if (token.size() > kMostTokenBytes) {
    return BadToken("it has " + std::to_string(token.size()) + " bytes, the limit is " +
                    std::to_string(kMostTokenBytes));
  }
  const auto parts = Split(token);
  if (!parts) return BadToken("it has not the three parts of a signed token");
  ASSIGN_OR_RETURN(const std::string header, Decoded(parts->header, "its header"));
  ASSIGN_OR_RETURN(const std::string claims, Decoded(parts->claims, "its second part"));
  Jwt parsed;
  ASSIGN_OR_RETURN(parsed.signature, Decoded(parts->signature, "its signature"));
  const auto object = ParseStrictJson(header);
  if (!object.ok()) return BadToken("its header: " + object.status().message());
  RETURN_IF_ERROR(ReadHeader(*object, parsed));
  auto told = JwtClaims::Parse(claims);
  if (!told.ok()) return BadToken("its claims: " + told.status().message());
  parsed.claims = *std::move(told);
  parsed.signed_text = token.substr(0, token.size() - parts->signature.size() - 1);
  return parsed;
}

Status CheckClaims(const JwtClaims& claims, const ClaimRules& rules, int64_t now_seconds) {
  if (claims.String({"iss"}) != rules.issuer)
    return BadToken("its issuer (iss) is not \"" + rules.issuer + "\"");
  const auto audiences = claims.Strings({"aud"});
  const bool ours =
      audiences && std::any_of(audiences->begin(), audiences->end(), [&](const auto& a) {
        return std::find(rules.audiences.begin(), rules.audiences.end(), a) !=
               rules.audiences.end();
      });
  if (!ours) return BadToken("its audience (aud) must have one of " + Quoted(rules.audiences));
  const auto expires = claims.Seconds("exp");
  if (!expires) return BadToken("it has no time of its end (exp)");
  if (*expires + rules.leeway_seconds <= now_seconds) {
    return BadToken("it has expired (exp) " + std::to_string(now_seconds - *expires) +
                    " s ago: is it renewed, and are the clocks right");
  }
  for (const char* name : {"nbf", "iat"}) {
    if (!claims.Has(name)) continue;
    const auto begins = claims.Seconds(name);
    if (!begins) return BadToken(std::string("its ") + name + " is no time");
    if (*begins - rules.leeway_seconds > now_seconds) {
      return BadToken(std::string("it is valid (") + name + ") in " +
                      std::to_string(*begins - now_seconds) + " s only: are the clocks right");
    }
  }
  return {};
}

}  // namespace interlink::auth
