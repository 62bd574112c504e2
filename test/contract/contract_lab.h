// ContractLab: a subject with a recovered backend, and the steps that most tests begin with.
#ifndef INTERLINK_TEST_CONTRACT_CONTRACT_LAB_H_
#define INTERLINK_TEST_CONTRACT_CONTRACT_LAB_H_

#include <memory>
#include <string>

#include "contract/subject.h"
#include "runtime/v1/api.pb.h"
#include "sdk/backend.h"

namespace interlink::contract {

using State = sdk::Observation::State;

// What a session sent until its end.
struct SessionEnd {
  std::string out;
  std::string err;
  bool has_status = false;
  int code = -1;
};

class ContractLab {
 public:
  ContractLab();
  // Removes every pod and checks that nothing is left and that no fact went backwards.
  ~ContractLab();
  ContractLab(const ContractLab&) = delete;
  ContractLab& operator=(const ContractLab&) = delete;

  sdk::Backend& backend() { return *backend_; }
  Subject& subject() { return *subject_; }
  test::RecordingHost& host() { return subject_->host(); }
  static Call call() { return Call::WithTimeout(std::chrono::seconds(10)); }
  const NodeId& node() const { return node_; }

  // The backend dies and comes back; facts reported so far are forgotten.
  std::vector<sdk::Observation> Restart();

  SandboxId Run(runtime::v1::PodSandboxConfig config = {});
  SandboxId RunUp();  // REQUIREs that it comes up
  Status Create(const SandboxId& sandbox, const ContainerId& id, const Words& command,
                runtime::v1::ContainerConfig config = {});
  ContainerId CreateOk(const SandboxId& sandbox, const Words& command);
  // Starts a command of RunsForever or IgnoresStop and waits until a signal finds it ready.
  ContainerId StartReady(const SandboxId& sandbox, const Words& command);
  ContainerId StartOk(const SandboxId& sandbox, const Words& command);
  Status Remove(const SandboxId& sandbox);

  // Waits for a fact of at least that state and answers it.
  sdk::Observation Await(const SandboxId& sandbox, State state);
  sdk::Observation Await(const SandboxId& sandbox, const ContainerId& id, State state);
  // All of the log; REQUIREs that it ends.
  std::string Log(const SandboxId& sandbox, const ContainerId& id);
  Result<UniqueFd> Exec(const SandboxId& sandbox, const ContainerId& id, const Words& argv,
                        bool in = false, bool kill_on_close = false);

 private:
  std::unique_ptr<Subject> subject_;
  std::unique_ptr<sdk::Backend> backend_;
  const NodeId node_{"node-1"};
  std::vector<SandboxId> sandboxes_;
  uint32_t next_ = 0;
};

SessionEnd ReadSession(int fd);

}  // namespace interlink::contract

#endif  // INTERLINK_TEST_CONTRACT_CONTRACT_LAB_H_
