// Status and Result<T>: errors are values. Value types; const access is thread-safe.
//
// The codes are the 16 of gRPC (and OK), because CRI clients see them. Choose one for what the
// caller must do: retry = kUnavailable, fix the request = kInvalidArgument, gone = kNotFound, wrong
// state = kFailedPrecondition. Nobody parses a message.
#ifndef INTERLINK_BASE_STATUS_H_
#define INTERLINK_BASE_STATUS_H_

#include <cassert>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace interlink {

// Numbers are those of the gRPC specification.
enum class Code : int {
  kOk = 0,
  kCancelled = 1,
  kUnknown = 2,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kAlreadyExists = 6,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kAborted = 10,
  kOutOfRange = 11,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kDataLoss = 15,
  kUnauthenticated = 16,
};

// The gRPC name, e.g. "INVALID_ARGUMENT". Never null.
std::string_view CodeName(Code code);
// The inverse of CodeName; nothing for an unknown name.
std::optional<Code> CodeFromName(std::string_view name);

class [[nodiscard]] Status {
 public:
  Status() = default;  // OK
  // REQUIRES: code != kOk. `message`: lower case, no full stop, ids in quotes, what would be right.
  Status(Code code, std::string message) : code_(code), message_(std::move(message)) {
    assert(code != Code::kOk);
  }

  static Status Ok() { return {}; }

  bool ok() const { return code_ == Code::kOk; }
  Code code() const { return code_; }
  const std::string& message() const { return message_; }

  // Adds what the caller was doing in front: "context: message". Does nothing to OK.
  Status WithContext(std::string_view context) const;
  // "OK" or "NOT_FOUND: message".
  std::string ToString() const;

  friend bool operator==(const Status& a, const Status& b) = default;

 private:
  Code code_ = Code::kOk;
  std::string message_;
};

inline Status CancelledError(std::string m) { return {Code::kCancelled, std::move(m)}; }
inline Status UnknownError(std::string m) { return {Code::kUnknown, std::move(m)}; }
inline Status InvalidArgument(std::string m) { return {Code::kInvalidArgument, std::move(m)}; }
inline Status DeadlineExceeded(std::string m) { return {Code::kDeadlineExceeded, std::move(m)}; }
inline Status NotFound(std::string m) { return {Code::kNotFound, std::move(m)}; }
inline Status AlreadyExists(std::string m) { return {Code::kAlreadyExists, std::move(m)}; }
inline Status PermissionDenied(std::string m) { return {Code::kPermissionDenied, std::move(m)}; }
inline Status ResourceExhausted(std::string m) { return {Code::kResourceExhausted, std::move(m)}; }
inline Status FailedPrecondition(std::string m) {
  return {Code::kFailedPrecondition, std::move(m)};
}
inline Status Aborted(std::string m) { return {Code::kAborted, std::move(m)}; }
inline Status OutOfRange(std::string m) { return {Code::kOutOfRange, std::move(m)}; }
inline Status Unimplemented(std::string m) { return {Code::kUnimplemented, std::move(m)}; }
inline Status InternalError(std::string m) { return {Code::kInternal, std::move(m)}; }
inline Status Unavailable(std::string m) { return {Code::kUnavailable, std::move(m)}; }
inline Status DataLoss(std::string m) { return {Code::kDataLoss, std::move(m)}; }
inline Status Unauthenticated(std::string m) { return {Code::kUnauthenticated, std::move(m)}; }

// kUnavailable, kNotFound, ... chosen by errno, with the text of strerror: "open \"/x\": no such
// file". `what` says what was tried. Thread-safe.
Status ErrnoStatus(int error, std::string_view what);

// A T or the reason why there is none.
template <typename T>
class [[nodiscard]] Result {
 public:
  using value_type = T;

  Result(T value) : value_(std::move(value)) {}  // NOLINT(google-explicit-constructor)
  // REQUIRES: !status.ok()
  Result(Status status) : status_(std::move(status)) {  // NOLINT(google-explicit-constructor)
    assert(!status_.ok());
  }

  bool ok() const { return value_.has_value(); }
  explicit operator bool() const { return ok(); }
  // OK when there is a value.
  const Status& status() const { return status_; }

  // REQUIRES: ok()
  T& value() & { return *value_; }
  const T& value() const& { return *value_; }
  T&& value() && { return *std::move(value_); }
  T& operator*() & { return *value_; }
  const T& operator*() const& { return *value_; }
  T&& operator*() && { return *std::move(value_); }
  T* operator->() { return &*value_; }
  const T* operator->() const { return &*value_; }

  T value_or(T other) const& { return ok() ? *value_ : std::move(other); }

 private:
  Status status_;
  std::optional<T> value_;
};

}  // namespace interlink

#define INTERLINK_CONCAT_INNER(a, b) a##b
#define INTERLINK_CONCAT(a, b) INTERLINK_CONCAT_INNER(a, b)

// Returns from the enclosing function when `expression` (a Status) is not OK.
#define RETURN_IF_ERROR(expression)                                                               \
  do {                                                                                            \
    if (::interlink::Status status_macro = (expression); !status_macro.ok()) return status_macro; \
  } while (false)

// ASSIGN_OR_RETURN(auto x, F()): x is the value of a Result, or the enclosing function returns its
// Status.
#define ASSIGN_OR_RETURN(target, expression) \
  ASSIGN_OR_RETURN_INNER(INTERLINK_CONCAT(result_macro_, __LINE__), target, expression)
#define ASSIGN_OR_RETURN_INNER(result, target, expression) \
  auto result = (expression);                              \
  if (!result.ok()) return result.status();                \
  target = std::move(result).value()

// The same in a coroutine (they live in lib/net, lib/rest, lib/streaming and lib/site_client only).
#define CO_RETURN_IF_ERROR(expression)                                       \
  do {                                                                       \
    if (::interlink::Status status_macro = (expression); !status_macro.ok()) \
      co_return status_macro;                                                \
  } while (false)
#define CO_ASSIGN_OR_RETURN(target, expression) \
  CO_ASSIGN_OR_RETURN_INNER(INTERLINK_CONCAT(result_macro_, __LINE__), target, expression)
#define CO_ASSIGN_OR_RETURN_INNER(result, target, expression) \
  auto result = (expression);                                 \
  if (!result.ok()) co_return result.status();                \
  target = std::move(result).value()

#endif  // INTERLINK_BASE_STATUS_H_
