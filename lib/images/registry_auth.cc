// Authorization of Registry: Basic, and the token protocol of distribution.
#include <algorithm>

#include "images/challenge.h"
#include "images/json.h"
#include "images/registry.h"

namespace interlink::images {
namespace {

constexpr size_t kMaxTokenAnswer = 1U << 20U;

std::string Parameter(const std::map<std::string, std::string>& parameters, const char* name) {
  const auto found = parameters.find(name);
  return found == parameters.end() ? "" : found->second;
}

}  // namespace

// The Authorization header that answers the challenge; empty when there is none to give.
Result<std::string> Registry::Authorize(const Call& call, size_t endpoint,
                                        const std::string& challenge) {
  const Endpoint& place = endpoints_[endpoint];
  std::string header;
  for (const Challenge& one : ParseChallenges(challenge)) {
    if (one.scheme == "bearer") {
      ASSIGN_OR_RETURN(const std::string token, FetchToken(call, place, one.parameters));
      header = "Bearer " + token;
      break;
    }
    if (one.scheme == "basic" && place.origin && credentials_.HasPassword()) {
      header = credentials_.BasicHeader();
      break;
    }
  }
  MutexLock lock(mutex_);
  authorization_[endpoint] = header;
  return header;
}

Result<std::string> Registry::FetchToken(const Call& call, const Endpoint& endpoint,
                                         const std::map<std::string, std::string>& parameters) {
  const std::string realm = Parameter(parameters, "realm");
  auto url = net::ParseUrl(realm);
  if (!url.ok())
    return Unauthenticated("the registry's token server \"" + Printable(realm) +
                           "\": " + url.status().message());
  RETURN_IF_ERROR(CheckHop(endpoint.url, *url));
  std::string scope = Parameter(parameters, "scope");
  if (scope.empty()) scope = "repository:" + path_ + ":pull";
  const std::string service = Parameter(parameters, "service");
  std::string query = "scope=" + net::PercentEncode(scope);
  if (!service.empty()) query += "&service=" + net::PercentEncode(service);
  TransportRequest request;
  request.url = *std::move(url);
  if (endpoint.origin && !credentials_.identity_token.empty()) {
    request.method = "POST";
    request.headers.emplace_back("Content-Type", "application/x-www-form-urlencoded");
    request.body = "grant_type=refresh_token&client_id=interlink&refresh_token=" +
                   net::PercentEncode(credentials_.identity_token) + "&" + query;
  } else {
    request.url.target += (request.url.target.find('?') == std::string::npos ? "?" : "&") + query;
    if (endpoint.origin && credentials_.HasPassword())
      request.headers.emplace_back("Authorization", credentials_.BasicHeader());
  }
  int status = 0;
  std::string body;
  RETURN_IF_ERROR(transport_.Fetch(
      call, request,
      [&](const TransportHead& head) -> Status {
        status = head.status;
        return {};
      },
      [&](std::string_view bytes) -> Status {
        if (body.size() + bytes.size() > kMaxTokenAnswer)
          return Unauthenticated("the token server's answer is too large");
        body += bytes;
        return {};
      }));
  const std::string server = "the token server \"" + Printable(request.url.host) + "\"";
  if (status >= 500 || status == 429)
    return Unavailable(server + " fails (" + std::to_string(status) + ")");
  if (status != 200)
    return Unauthenticated(server + " refuses the credentials (" + std::to_string(status) + ")");
  return ParseTokenAnswer(body);
}

}  // namespace interlink::images
