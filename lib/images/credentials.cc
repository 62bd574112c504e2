#include "images/credentials.h"

#include <string_view>

#include "net/base64.h"

namespace interlink::images {
namespace {

// docker login leaves the padding out, or ends the line.
Result<std::string> DecodeAuth(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '=')) text.remove_suffix(1);
  std::string padded(text);
  padded.append((4 - padded.size() % 4) % 4, '=');
  auto plain = net::DecodeBase64(padded);
  if (!plain.ok()) return InvalidArgument("\"auth.auth\" is not base64 of \"user:password\"");
  return plain;
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
  return "Basic " + net::EncodeBase64(plain);
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
    ASSIGN_OR_RETURN(const std::string plain, DecodeAuth(auth.auth()));
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
