#include "site/state.h"

#include <algorithm>

#include "base/utf8.h"

namespace interlink::site {
namespace {

using State = sdk::Observation::State;

void CopyTexts(const sdk::Observation& fact, SandboxRecord& record) {
  record.set_reason(Text(fact.reason));
  record.set_message(Text(fact.message));
  if (!fact.allocation.empty()) record.set_allocation(Text(fact.allocation));
  record.set_expected_start_ns(fact.expected_start_ns);
  record.set_granted(fact.granted);
}

}  // namespace

std::string Text(std::string_view text) { return Utf8Prefix(text, kMaxText); }

std::string RetryText(std::string_view what, const Status& why) {
  return OneLine(std::string(what) + " has failed and is tried again: " + why.message(),
                 kMaxRetryText);
}

Seen SeenOf(const sdk::Observation& fact) {
  switch (fact.state) {
    case State::kPending:
      // A container that is being created has no rank of its own: it is NOTHING until it is
      // CREATED.
      return fact.container.empty() ? interlink::v1::SEEN_PENDING : interlink::v1::SEEN_NOTHING;
    case State::kCreated:
      return interlink::v1::SEEN_CREATED;
    case State::kUp:
      return interlink::v1::SEEN_UP;
    case State::kDown:
    case State::kFailed:
      return interlink::v1::SEEN_DOWN;
    case State::kAbsent:
      return interlink::v1::SEEN_GONE;
  }
  return interlink::v1::SEEN_NOTHING;
}

bool ApplyFact(const sdk::Observation& fact, SandboxRecord& record) {
  const Seen seen = SeenOf(fact);
  if (seen < record.seen()) return false;
  if (seen == record.seen()) {
    // Only the queue's words may change within a rank; an end is told once.
    if (seen != interlink::v1::SEEN_PENDING) return false;
    const bool same_allocation =
        fact.allocation.empty() || record.allocation() == Text(fact.allocation);
    if (record.reason() == Text(fact.reason) && record.message() == Text(fact.message) &&
        record.expected_start_ns() == fact.expected_start_ns && record.granted() == fact.granted &&
        same_allocation) {
      return false;
    }
    CopyTexts(fact, record);
    return true;
  }
  record.set_seen(seen);
  record.set_held(false);
  record.clear_retrying();
  CopyTexts(fact, record);
  if (fact.started_ns != 0) record.set_up_ns(fact.started_ns);
  if (fact.state == State::kUp) {
    record.clear_ips();
    for (const std::string& ip : fact.ips) record.add_ips(Text(ip));
  }
  if (seen == interlink::v1::SEEN_DOWN) record.set_down_ns(fact.finished_ns);
  if (fact.state == State::kFailed) {
    record.mutable_failure()->set_code(static_cast<int>(Code::kUnknown));
    record.mutable_failure()->set_message(Text(fact.message.empty() ? fact.reason : fact.message));
  }
  return true;
}

bool ApplyFact(const sdk::Observation& fact, ContainerRecord& record) {
  const Seen seen = SeenOf(fact);
  if (seen < record.seen()) return false;
  if (seen == record.seen()) {
    // Only the words of one that runs may change: it is shown before its allocation has started.
    if (seen != interlink::v1::SEEN_UP || record.message() == Text(fact.message)) return false;
    record.set_message(Text(fact.message));
    if (fact.started_ns != 0) record.set_started_ns(fact.started_ns);
    return true;
  }
  record.set_seen(seen);
  record.set_held(false);
  record.clear_retrying();
  if (seen == interlink::v1::SEEN_UP) record.set_message(Text(fact.message));
  if (fact.started_ns != 0) record.set_started_ns(fact.started_ns);
  if (fact.user_known) {
    auto* user = record.mutable_user()->mutable_linux();
    user->set_uid(fact.uid);
    user->set_gid(fact.gid);
    user->mutable_supplemental_groups()->Assign(fact.supplemental_groups.begin(),
                                                fact.supplemental_groups.end());
  }
  if (seen == interlink::v1::SEEN_DOWN) {
    record.set_finished_ns(fact.finished_ns);
    record.set_exit_code(fact.exit_code);
    record.set_reason(Text(fact.reason));
    record.set_message(Text(fact.message));
    record.set_log_end(fact.log_end);
    record.set_termination_message(Utf8Prefix(fact.termination_message, kMaxTerminationMessage));
  }
  return true;
}

bool Settled(const SandboxRecord& record, Wanted asked) {
  switch (asked) {
    case interlink::v1::WANTED_STOP:
      return record.seen() >= interlink::v1::SEEN_DOWN;
    case interlink::v1::WANTED_REMOVE:
      return record.seen() == interlink::v1::SEEN_GONE;
    default:
      return record.seen() >= interlink::v1::SEEN_UP;
  }
}

bool Settled(const ContainerRecord& record, Wanted asked) {
  switch (asked) {
    case interlink::v1::WANTED_START:
      return record.seen() >= interlink::v1::SEEN_UP;
    case interlink::v1::WANTED_STOP:
      return record.seen() >= interlink::v1::SEEN_DOWN;
    case interlink::v1::WANTED_REMOVE:
      return record.seen() == interlink::v1::SEEN_GONE;
    default:
      return record.seen() >= interlink::v1::SEEN_CREATED;
  }
}

void MarkLost(const std::string& why, int64_t now_ns, ContainerRecord& record) {
  record.set_seen(interlink::v1::SEEN_DOWN);
  record.clear_retrying();
  record.set_held(false);
  record.set_exit_code(kLostExitCode);
  record.set_reason("Error");
  record.set_message(Text("lost: " + why));
  record.set_finished_ns(now_ns);
}

void MarkLost(const std::string& why, int64_t now_ns, SandboxRecord& record) {
  record.set_seen(interlink::v1::SEEN_DOWN);
  record.clear_retrying();
  record.set_held(false);
  record.set_message(Text("lost: " + why));
  record.set_down_ns(now_ns);
}

void MarkFailed(const Status& why, int64_t now_ns, ContainerRecord& record) {
  record.set_seen(interlink::v1::SEEN_DOWN);
  record.clear_retrying();
  record.set_exit_code(kStartErrorExitCode);
  record.set_reason("StartError");
  record.set_message(Text(why.message()));
  record.set_finished_ns(now_ns);
  record.mutable_failure()->set_code(static_cast<int>(why.code()));
  record.mutable_failure()->set_message(Text(why.message()));
}

void MarkFailed(const Status& why, int64_t now_ns, SandboxRecord& record) {
  record.set_seen(interlink::v1::SEEN_DOWN);
  record.clear_retrying();
  record.set_message(Text(why.message()));
  record.set_down_ns(now_ns);
  record.mutable_failure()->set_code(static_cast<int>(why.code()));
  record.mutable_failure()->set_message(Text(why.message()));
}

bool IsRefusal(Code code) {
  switch (code) {
    case Code::kInvalidArgument:
    case Code::kUnimplemented:
    case Code::kPermissionDenied:
    case Code::kFailedPrecondition:
    case Code::kNotFound:
    case Code::kOutOfRange:
    case Code::kAlreadyExists:
      return true;
    default:
      return false;
  }
}

}  // namespace interlink::site
