#include "agent_lab.h"

#include <sys/socket.h>

#include <array>
#include <fstream>
#include <sstream>

#include "shim/client.h"
#include "shim/frames.h"
#include "shim/messages.h"
#include "support/eventually.h"

namespace interlink::test {

using agent::v1::Command;

Status HeardEvents::MayCome(const SandboxId&, const agent_hub::AgentPlace&) {
  MutexLock lock(mutex_);
  return refuse_;
}
void HeardEvents::CameIn(const SandboxId&, const agent_hub::AgentPlace& place) {
  MutexLock lock(mutex_);
  came_.push_back(place);
}
void HeardEvents::WentAway(const SandboxId&, const Status&) {
  MutexLock lock(mutex_);
  ++went_;
}
Status HeardEvents::Reported(const SandboxId&, std::vector<sdk::Observation> facts, bool complete) {
  MutexLock lock(mutex_);
  RETURN_IF_ERROR(refuse_reports_);
  if (complete) ++complete_;
  for (sdk::Observation& fact : facts) {
    sdk::Observation& known = latest_[fact.container];
    if (fact.state >= known.state) known = std::move(fact);
  }
  return {};
}
void HeardEvents::LogGrew(const SandboxId&, const ContainerId&) {
  MutexLock lock(mutex_);
  ++log_wakes_;
}
void HeardEvents::Refuse(const Status& why) {
  MutexLock lock(mutex_);
  refuse_ = why;
}
void HeardEvents::RefuseReports(const Status& why) {
  MutexLock lock(mutex_);
  refuse_reports_ = why;
}
size_t HeardEvents::came(const std::string& nonce) {
  MutexLock lock(mutex_);
  size_t count = 0;
  for (const auto& place : came_) count += nonce.empty() || place.nonce == nonce ? 1U : 0U;
  return count;
}
size_t HeardEvents::went() {
  MutexLock lock(mutex_);
  return went_;
}
size_t HeardEvents::complete_reports() {
  MutexLock lock(mutex_);
  return complete_;
}
size_t HeardEvents::log_wakes() {
  MutexLock lock(mutex_);
  return log_wakes_;
}
sdk::Observation HeardEvents::Latest(const ContainerId& container) {
  MutexLock lock(mutex_);
  return latest_[container];
}

AgentLab::AgentLab() {
  certificate = authority.Issue(
      "site", {.common_name = "site", .alternative_names = "DNS:localhost,IP:127.0.0.1"});
  options.folder = folder.File("hub");
  options.address = "127.0.0.1";
  options.cert_file = certificate.cert;
  options.key_file = certificate.key;
  options.site = "test";
  options.heartbeat = std::chrono::seconds(30);  // a caller that says nothing is not hung up on
  StartHub();
}

AgentLab::~AgentLab() { hub.reset(); }

void AgentLab::StartHub() {
  options.port = port_;
  auto started = agent_hub::AgentHub::Start(options, events, io, log, clock);
  INFO(started.status().ToString());
  REQUIRE(started.ok());
  hub = *std::move(started);
  port_ = hub->port();
}

agent::ChannelOptions AgentLab::ChannelOf(const SandboxId& id) const {
  std::ostringstream ca;
  ca << std::ifstream(authority.ca_file()).rdbuf();
  return {address(), "", ca.str(), hub->TokenOf(id), id};
}

Result<agent::v1::Answer> AgentLab::Try(const Command& command) {
  return hub->Ask(Call::WithTimeout(std::chrono::seconds(20)), pod, command);
}

agent::v1::Answer AgentLab::Ask(const Command& command) {
  auto answer = Try(command);
  INFO(answer.status().ToString());
  REQUIRE(answer.ok());
  return *answer;
}

void AgentLab::RunPod() {
  Ask(RunSandboxCommand());
  REQUIRE(Eventually(
      [this] { return events.Latest(ContainerId()).state == sdk::Observation::State::kUp; }));
}

SessionOutput AgentLab::Exec(const ContainerId& id, const std::vector<std::string>& argv,
                             const std::string& input) {
  agent::v1::OpenStream request;
  auto* exec = request.mutable_exec();
  exec->set_session_id(RandomHex(32));
  exec->set_container_id(id.str());
  for (const auto& word : argv) exec->add_argv(word);
  exec->set_in(!input.empty());
  exec->set_out(true);
  exec->set_err(true);
  const Call call = Call::WithTimeout(std::chrono::seconds(20));
  const auto end = hub->Open(call, pod, request);
  INFO(end.status().ToString());
  REQUIRE(end.ok());
  const int64_t limit = shim::MonotonicMs() + 20'000;
  if (!input.empty()) {
    REQUIRE(shim::SendFrame(end->get(), shim::FrameType::kStdin, input, limit) == 0);
    const char which = static_cast<char>(shim::FrameType::kStdin);
    REQUIRE(shim::SendFrame(end->get(), shim::FrameType::kClose, {&which, 1}, limit) == 0);
  }
  SessionOutput output;
  const auto buffer = std::make_unique<std::array<char, shim::kMaxFrame>>();
  shim::Frame frame{};
  while (shim::ReceiveFrame(end->get(), buffer->data(), buffer->size(), frame, limit) == 0) {
    if (frame.type == shim::FrameType::kStdout) output.out += frame.text();
    if (frame.type == shim::FrameType::kStderr) output.err += frame.text();
    shim::ExitStatus status;
    if (frame.type == shim::FrameType::kStatus && status.Decode(frame.text())) {
      output.code = status.code;
      break;
    }
  }
  return output;
}

std::string AgentLab::Log(const ContainerId& id) {
  Command command;
  command.mutable_read_log()->set_container_id(id.str());
  command.mutable_read_log()->set_max(1 << 20);
  return Ask(command).log().bytes();
}

Command RunSandboxCommand() {
  Command command;
  auto* run = command.mutable_run_sandbox();
  run->set_node_id("node");
  run->set_handler("test");
  auto* config = run->mutable_config();
  config->mutable_metadata()->set_name("pod");
  config->mutable_metadata()->set_namespace_("default");
  config->mutable_metadata()->set_uid("uid");
  config->mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_pid(
      runtime::v1::CONTAINER);
  return command;
}

Command CreateCommand(const ContainerId& id, const std::vector<std::string>& argv) {
  Command command;
  auto* create = command.mutable_create_container();
  create->set_node_id("node");
  create->set_container_id(id.str());
  create->mutable_image()->set_id("sha256:test");
  *create->mutable_sandbox_config() = RunSandboxCommand().run_sandbox().config();
  auto* config = create->mutable_config();
  config->mutable_metadata()->set_name("container");
  for (const auto& word : argv) config->add_command(word);
  config->mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_pid(
      runtime::v1::CONTAINER);
  return command;
}

Command StartCommand(const ContainerId& id) {
  Command command;
  command.mutable_start_container()->set_container_id(id.str());
  return command;
}

Command StopCommand(const ContainerId& id, int64_t grace_seconds) {
  Command command;
  command.mutable_stop_container()->set_container_id(id.str());
  command.mutable_stop_container()->set_grace_seconds(grace_seconds);
  return command;
}

}  // namespace interlink::test
