#include "images/credentials.h"

#include <openssl/evp.h>

#include <string_view>
#include <vector>

namespace interlink::images {
namespace {

Result<std::string> DecodeBase64(std::string_view text) {
  const Status bad = InvalidArgument("\"auth.auth\" is not base64 of \"user:password\"");
  std::string padded(text);
  while (!padded.empty() && (padded.back() == '\n' || padded.back() == '=')) padded.pop_back();
  const size_t cut = (4 - padded.size() % 4) % 4;
  if (cut == 3) return bad;
  padded.append(cut, '=');
  std::vector<unsigned char> out(padded.size() / 4 * 3 + 1);
  const int size =
      EVP_DecodeBlock(out.data(), reinterpret_cast<const unsigned char*>(padded.data()),
                      static_cast<int>(padded.size()));
  if (size < static_cast<int>(cut)) return bad;
  return std::string(out.begin(), out.begin() + size - static_cast<int>(cut));
}

// "https://index.docker.io/v1/" -> "docker.io"
std::string HostOf(std::string_view server) {
  for (const std::string_view scheme : {"https://", "http://"})
    if (server.substr(0, scheme.size()) == scheme) server.remove_prefix(scheme.size());
  server = server.substr(0, server.find('/'));
  if (server == "index.docker.io" || server == "registry-1.docker.io") return "docker.io";
  return std::string(server);
}

}  // namespace

std::string Credentials::BasicHeader() const {
  const std::string plain = user + ":" + password;
  std::vector<unsigned char> out(plain.size() * 4 / 3 + 8);
  const int size = EVP_EncodeBlock(out.data(), reinterpret_cast<const unsigned char*>(plain.data()),
                                   static_cast<int>(plain.size()));
  return "Basic " + std::string(out.begin(), out.begin() + size);
}

Result<Credentials> ParseAuth(const runtime::v1::AuthConfig& auth, const std::string& host) {
  Credentials out;
  if (!auth.server_address().empty() && HostOf(auth.server_address()) != HostOf(host)) return out;
  out.registry_token = auth.registry_token();
  out.identity_token = auth.identity_token();
  if (!auth.username().empty()) {
    out.user = auth.username();
    out.password = auth.password();
  } else if (!auth.auth().empty()) {
    ASSIGN_OR_RETURN(const std::string plain, DecodeBase64(auth.auth()));
    const size_t colon = plain.find(':');
    if (colon == std::string::npos)
      return InvalidArgument("\"auth.auth\" is not base64 of \"user:password\"");
    out.user = plain.substr(0, colon);
    out.password = plain.substr(colon + 1);
    // docker login pads some of them.
    while (!out.password.empty() && out.password.back() == '\0') out.password.pop_back();
  }
  // Tokens go into a header line as they are.
  for (const std::string* text : {&out.registry_token, &out.identity_token, &out.user}) {
    for (const char c : *text)
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
        return InvalidArgument("the pull's credentials hold a control character");
  }
  return out;
}

}  // namespace interlink::images
