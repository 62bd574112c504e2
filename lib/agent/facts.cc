#include "agent/facts.h"

#include "base/utf8.h"

namespace interlink::agent {
namespace {

using State = sdk::Observation::State;

constexpr size_t kMaxText = 4096;

v1::Fact::State StateTo(State state) {
  switch (state) {
    case State::kPending:
      return v1::Fact::PENDING;
    case State::kCreated:
      return v1::Fact::CREATED;
    case State::kUp:
      return v1::Fact::UP;
    case State::kDown:
      return v1::Fact::DOWN;
    case State::kFailed:
      return v1::Fact::FAILED;
    case State::kAbsent:
      return v1::Fact::ABSENT;
  }
  return v1::Fact::PENDING;
}

}  // namespace

v1::Fact ToFact(const sdk::Observation& seen) {
  v1::Fact fact;
  fact.set_container_id(seen.container.str());
  fact.set_state(StateTo(seen.state));
  fact.set_revision(seen.revision);
  fact.set_exit_code(seen.exit_code);
  fact.set_log_end(seen.log_end);
  fact.set_started_ns(seen.started_ns);
  fact.set_finished_ns(seen.finished_ns);
  fact.set_reason(Utf8Prefix(seen.reason, kMaxText));
  fact.set_message(Utf8Prefix(seen.message, kMaxText));
  for (const std::string& ip : seen.ips) fact.add_ips(ip);
  fact.set_termination_message(seen.termination_message);
  fact.set_user_known(seen.user_known);
  fact.set_uid(seen.uid);
  fact.set_gid(seen.gid);
  for (const int64_t group : seen.supplemental_groups) fact.add_supplemental_groups(group);
  fact.set_config(seen.config);
  fact.set_handler(seen.handler);
  fact.set_image_id(seen.image_id);
  fact.set_node_id(seen.node.str());
  return fact;
}

}  // namespace interlink::agent
