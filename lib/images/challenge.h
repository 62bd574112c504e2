// What a registry asks for when it answers 401 (RFC 9110 11.6.1, and the distribution token
// protocol). Pure.
#ifndef INTERLINK_IMAGES_CHALLENGE_H_
#define INTERLINK_IMAGES_CHALLENGE_H_

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace interlink::images {

struct Challenge {
  std::string scheme;                             // lower case: "bearer", "basic"
  std::map<std::string, std::string> parameters;  // names in lower case
};

// The challenges of a WWW-Authenticate header. What cannot be read ends the list.
std::vector<Challenge> ParseChallenges(std::string_view header);

// The token of a token server's answer ("token" or "access_token"). kUnauthenticated: there is
// none, or it could not be put into a header.
Result<std::string> ParseTokenAnswer(std::string_view body);

}  // namespace interlink::images

#endif  // INTERLINK_IMAGES_CHALLENGE_H_
