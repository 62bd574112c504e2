// The rules of a record's state, as pure functions (DESIGN 6). Nothing here locks, stores or calls.
//
//   sandbox:    NOTHING -> PENDING -> UP -> DOWN -> GONE          a failed start: PENDING -> DOWN
//   with `failure` container:  NOTHING -> CREATED -> UP -> DOWN -> GONE          a failed creation:
//   NOTHING -> DOWN with `failure`
//
// wanted (CREATE < START < STOP < REMOVE) only rises, seen only rises.
#ifndef INTERLINK_SITE_STATE_H_
#define INTERLINK_SITE_STATE_H_

#include <string>
#include <string_view>

#include "base/status.h"
#include "interlink/v1/record.pb.h"
#include "sdk/observation.h"

namespace interlink::site {

using interlink::v1::ContainerRecord;
using interlink::v1::SandboxRecord;
using interlink::v1::Seen;
using interlink::v1::Wanted;

// Exit code, reason and text of a container whose end is proven while its exit record is lost.
inline constexpr int kLostExitCode = 255;
inline constexpr int kStartErrorExitCode = 128;
inline constexpr size_t kMaxTerminationMessage = 4096;
inline constexpr size_t kMaxText = 16384;  // of every other text of a backend
inline constexpr size_t kMaxRetryText = 1024;

// A backend's text as a record may hold it: valid UTF-8, bounded. What is not valid could be stored
// and sent and never be read again.
std::string Text(std::string_view text);

// What `retrying` of a record says of a call that failed and is repeated.
std::string RetryText(std::string_view what, const Status& why);

// The rank of an observation as a Seen. REQUIRES: state is not kAbsent.
Seen SeenOf(const sdk::Observation& fact);

// Merges a fact into a record. False: the record has a higher rank already and nothing changed. The
// caller stamps epoch and revision. A fact of the same rank updates texts (queue reason), never an
// exit.
bool ApplyFact(const sdk::Observation& fact, SandboxRecord& record);
bool ApplyFact(const sdk::Observation& fact, ContainerRecord& record);

// Raises wanted; false when it is that high already. What was retried was for less.
template <typename Record>
bool RaiseWanted(Wanted wanted, Record& record) {
  if (record.wanted() >= wanted) return false;
  record.set_wanted(wanted);
  record.clear_retrying();
  return true;
}

// What `asked` wanted is reached: nothing more will come of it.
bool Settled(const SandboxRecord& record, Wanted asked);
bool Settled(const ContainerRecord& record, Wanted asked);

// The end of a container or sandbox that is proven to be gone without an exit record.
void MarkLost(const std::string& why, int64_t now_ns, ContainerRecord& record);
void MarkLost(const std::string& why, int64_t now_ns, SandboxRecord& record);

// A refusal before anything started: DOWN with `failure`.
void MarkFailed(const Status& why, int64_t now_ns, ContainerRecord& record);
void MarkFailed(const Status& why, int64_t now_ns, SandboxRecord& record);

// OK, or the failure of the record as a Status.
template <typename Record>
Status FailureOf(const Record& record) {
  if (!record.has_failure()) return {};
  const auto code = static_cast<Code>(record.failure().code());
  return {code == Code::kOk ? Code::kInternal : code, record.failure().message()};
}

// Errors of a backend that mean "refused before anything started": they are final. All else is
// repeated.
bool IsRefusal(Code code);

}  // namespace interlink::site

#endif  // INTERLINK_SITE_STATE_H_
