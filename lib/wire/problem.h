// Errors on the wire: RFC 9457 problem bodies <-> Status, and the one table between codes and HTTP.
// Pure.
#ifndef INTERLINK_WIRE_PROBLEM_H_
#define INTERLINK_WIRE_PROBLEM_H_

#include <string>
#include <string_view>

#include "base/status.h"

namespace interlink::wire {

// {"type", "title", "status", "code", "detail", "retryable", "site", "requestId"}
struct Problem {
  Status status;        // `code` (gRPC name) and `detail`
  int http_status = 0;  // 0: HttpStatusOf(status.code())
  std::string site;     // who answers
  std::string request_id;
};

// Never 200 for an error. Several codes share a number: `code` in the body tells them apart.
int HttpStatusOf(Code code);

// "Not Found". "Unknown" for numbers that nobody uses here.
std::string_view ReasonPhrase(int http_status);

// What a caller may expect of a repeat: true when the same request can succeed later without
// anybody changing it.
bool IsRetryable(Code code);

// The body, to be sent as kMediaProblem. REQUIRES: !problem.status.ok(). Never fails: bytes of
// `detail` that are not UTF-8 are replaced.
std::string EncodeProblem(const Problem& problem);

// The Status of an answer that is not 2xx. A problem body decides by its `code`, whatever the HTTP
// status. Without one (a proxy, or something else that listens there) only the HTTP status is left,
// and nothing is known of the request: the code is chosen so that "unknown whether it happened"
// (kUnavailable) is never mistaken for an answer of the site. The text is one line of at most 4
// KiB, control characters replaced. REQUIRES: http_status is not 2xx.
Status StatusOfAnswer(int http_status, std::string_view content_type, std::string_view body);

}  // namespace interlink::wire

#endif  // INTERLINK_WIRE_PROBLEM_H_
