#include "contract/contract_lab.h"

#include <catch2/catch.hpp>

#include "shim/client.h"
#include "support/eventually.h"

namespace interlink::contract {

using test::Eventually;

ContractLab::ContractLab() : subject_(MakeSubject()), backend_(subject_->Make()) {
  REQUIRE(backend_->Recover(call(), {}).ok());
}

ContractLab::~ContractLab() {
  for (const SandboxId& id : sandboxes_) {
    CHECK(Eventually([&] { return Remove(id).ok(); }));
  }
  CHECK(Eventually([&] { return subject_->Remains().empty(); }, std::chrono::seconds(10)));
  for (const std::string& what : subject_->Remains()) FAIL_CHECK("left behind: " << what);
  for (const std::string& what : host().Violations()) FAIL_CHECK(what);
  CHECK(host().HeldImages() == 0);
}

std::vector<sdk::Observation> ContractLab::Restart() {
  backend_.reset();
  host().Forget();
  backend_ = subject_->Make();
  auto facts = backend_->Recover(call(), {});
  REQUIRE(facts.ok());
  host().Report(*facts);
  return *facts;
}

SandboxId ContractLab::Run(runtime::v1::PodSandboxConfig config) {
  const SandboxId id = MintSandboxId();
  auto* metadata = config.mutable_metadata();
  metadata->set_name("pod-" + std::to_string(next_++));
  metadata->set_namespace_("test");
  metadata->set_uid(id.str().substr(0, 8));
  const Status status = backend_->RunSandbox(call(), {id, node_, subject_->handler(), config});
  INFO(status.ToString());
  REQUIRE(status.ok());
  sandboxes_.push_back(id);
  return id;
}

SandboxId ContractLab::RunUp() {
  const SandboxId id = Run();
  const auto fact = Await(id, State::kUp);
  INFO(fact.message);
  REQUIRE(fact.state == State::kUp);
  return id;
}

Status ContractLab::Create(const SandboxId& sandbox, const ContainerId& id, const Words& command,
                           runtime::v1::ContainerConfig config) {
  const std::string image = subject_->image();
  config.mutable_metadata()->set_name("c" + id.str().substr(0, 6));
  config.mutable_image()->set_image(image);
  for (const std::string& word : command) config.add_command(word);
  const Status prepared = backend_->PrepareImage(call(), sandbox, image);
  if (!prepared.ok()) return prepared;
  runtime::v1::PodSandboxConfig pod;
  pod.mutable_metadata()->set_name("pod");
  return backend_->CreateContainer(call(), {id, sandbox, node_, image, config, pod});
}

ContainerId ContractLab::CreateOk(const SandboxId& sandbox, const Words& command) {
  const ContainerId id = MintContainerId();
  const Status status = Create(sandbox, id, command);
  INFO(status.ToString());
  REQUIRE(status.ok());
  return id;
}

ContainerId ContractLab::StartOk(const SandboxId& sandbox, const Words& command) {
  const ContainerId id = CreateOk(sandbox, command);
  const Status status = backend_->StartContainer(call(), sandbox, id);
  INFO(status.ToString());
  REQUIRE(status.ok());
  return id;
}

ContainerId ContractLab::StartReady(const SandboxId& sandbox, const Words& command) {
  const ContainerId id = StartOk(sandbox, command);
  Await(sandbox, id, State::kUp);
  REQUIRE(Eventually([&] {
    const auto chunk = backend_->ReadLog(call(), sandbox, id, 0, 4096);
    return subject_->ready().empty() ||
           (chunk.ok() && chunk->bytes.find(subject_->ready()) != std::string::npos);
  }));
  return id;
}

Status ContractLab::Remove(const SandboxId& sandbox) {
  return backend_->RemoveSandbox(call(), node_, sandbox);
}

sdk::Observation ContractLab::Await(const SandboxId& sandbox, State state) {
  return Await(sandbox, ContainerId(), state);
}

sdk::Observation ContractLab::Await(const SandboxId& sandbox, const ContainerId& id, State state) {
  REQUIRE(Eventually([&] { return host().Latest(sandbox, id).state >= state; }));
  return host().Latest(sandbox, id);
}

std::string ContractLab::Log(const SandboxId& sandbox, const ContainerId& id) {
  std::string log;
  bool end = false;
  REQUIRE(Eventually([&] {
    const auto chunk = backend_->ReadLog(call(), sandbox, id, log.size(), 4096);
    REQUIRE(chunk.ok());
    log += chunk->bytes;
    REQUIRE(chunk->next == log.size());
    end = chunk->end;
    return end;
  }));
  return log;
}

Result<UniqueFd> ContractLab::Exec(const SandboxId& sandbox, const ContainerId& id,
                                   const Words& argv, bool in, bool kill_on_close) {
  sdk::SessionSpec spec;
  spec.session = MintSessionId();
  spec.sandbox = sandbox;
  spec.container = id;
  spec.argv = argv;
  spec.in = in;
  spec.kill_on_close = kill_on_close;
  return backend_->OpenSession(call(), spec);
}

SessionEnd ReadSession(int fd) {
  SessionEnd end;
  std::vector<char> buffer(shim::kMaxPayload);
  shim::Frame frame{};
  const int64_t deadline = shim::MonotonicMs() + 30'000;
  while (shim::ReceiveFrame(fd, buffer.data(), buffer.size(), frame, deadline) == 0) {
    if (frame.type == shim::FrameType::kStdout) end.out += frame.text();
    if (frame.type == shim::FrameType::kStderr) end.err += frame.text();
    shim::ExitStatus status;
    if (frame.type == shim::FrameType::kStatus && status.Decode(frame.text())) {
      end.has_status = true;
      end.code = status.code;
    }
  }
  return end;
}

}  // namespace interlink::contract
