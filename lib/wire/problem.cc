#include "wire/problem.h"

#include <nlohmann/json.hpp>
#include <optional>

#include "base/utf8.h"
#include "wire/media_type.h"

namespace interlink::wire {
namespace {

struct CodeEntry {
  Code code;
  int http_status;
  bool retryable;
};

// The one table of codes on the wire.
constexpr CodeEntry kCodes[] = {
    {Code::kOk, 200, false},
    {Code::kInvalidArgument, 400, false},
    {Code::kOutOfRange, 400, false},
    {Code::kUnauthenticated, 401, false},
    {Code::kPermissionDenied, 403, false},
    {Code::kNotFound, 404, false},
    // All three say "not in this state": the record exists already, it is in the wrong state, or
    // the link is stale.
    {Code::kAlreadyExists, 409, false},
    {Code::kFailedPrecondition, 409, false},
    {Code::kAborted, 409, false},
    {Code::kResourceExhausted, 429, true},
    {Code::kCancelled, 499, true},  // as nginx writes it: the client went away
    {Code::kUnknown, 500, false},
    {Code::kInternal, 500, false},
    {Code::kDataLoss, 500, false},
    {Code::kUnimplemented, 501, false},
    {Code::kUnavailable, 503, true},
    {Code::kDeadlineExceeded, 504, true},
};

struct Reason {
  int http_status;
  std::string_view phrase;
};

// Every number that interlink-api sends.
constexpr Reason kReasons[] = {
    {101, "Switching Protocols"},
    {200, "OK"},
    {202, "Accepted"},
    {204, "No Content"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {411, "Length Required"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {417, "Expectation Failed"},
    {426, "Upgrade Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {499, "Client Closed Request"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
};

constexpr size_t kMaxDetail = 4096;

// The Status in a problem body, or nothing when there is none.
std::optional<Status> StatusInBody(std::string_view body) {
  const auto json = nlohmann::json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return std::nullopt;
  const auto text = [&json](const char* key) -> std::string {
    const auto it = json.find(key);
    return it != json.end() && it->is_string() ? it->get<std::string>() : std::string();
  };
  const auto code = CodeFromName(text("code"));
  if (!code || *code == Code::kOk) return std::nullopt;
  std::string detail = OneLine(text("detail"), kMaxDetail);
  if (detail.empty()) detail = "no detail was given";
  return Status(*code, std::move(detail));
}

// For an answer that nobody of ours wrote. Refused before it reached the site is an answer; all
// else leaves open whether the request was carried out, and a 404 of a proxy must never read as
// "gone".
Code CodeOfStranger(int http_status) {
  switch (http_status) {
    case 401:
      return Code::kUnauthenticated;
    case 403:
      return Code::kPermissionDenied;
    case 400:
    case 411:
    case 413:
    case 414:
    case 415:
    case 417:
    case 431:
      return Code::kInvalidArgument;
    default:
      return Code::kUnavailable;
  }
}

}  // namespace

int HttpStatusOf(Code code) {
  for (const CodeEntry& entry : kCodes) {
    if (entry.code == code) return entry.http_status;
  }
  return 500;
}

bool IsRetryable(Code code) {
  for (const CodeEntry& entry : kCodes) {
    if (entry.code == code) return entry.retryable;
  }
  return false;
}

std::string_view ReasonPhrase(int http_status) {
  for (const Reason& reason : kReasons) {
    if (reason.http_status == http_status) return reason.phrase;
  }
  return "Unknown";
}

std::string EncodeProblem(const Problem& problem) {
  const Code code = problem.status.code();
  const int http_status = problem.http_status != 0 ? problem.http_status : HttpStatusOf(code);
  nlohmann::ordered_json json;
  json["type"] = "about:blank";
  json["title"] = ReasonPhrase(http_status);
  json["status"] = http_status;
  json["code"] = CodeName(code);
  json["detail"] = problem.status.message();
  json["retryable"] = IsRetryable(code);
  json["site"] = problem.site;
  json["requestId"] = problem.request_id;
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

Status StatusOfAnswer(int http_status, std::string_view content_type, std::string_view body) {
  if (IsProblem(content_type)) {
    if (auto status = StatusInBody(body)) return *std::move(status);
  }
  return {CodeOfStranger(http_status), "HTTP " + std::to_string(http_status) + " " +
                                           std::string(ReasonPhrase(http_status)) +
                                           " without a problem body: this is not an answer of "
                                           "interlink-api (a proxy between, or another service?)"};
}

}  // namespace interlink::wire
