// A job of an ordinary user: the real interlink-agent below its parent, with real containers,
// against a real hub.
#ifndef INTERLINK_TEST_INTEGRATION_AGENT_ROOTLESS_JOB_H_
#define INTERLINK_TEST_INTEGRATION_AGENT_ROOTLESS_JOB_H_

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "agent_lab.h"
#include "base/spawn.h"

namespace interlink::test {

// Nobody's: without an entry in /etc/passwd, /etc/subuid, and with no capability to gain.
inline constexpr uid_t kJobUser = 12345;
inline const ContainerId kFirst(std::string(64, 'c'));
inline const ContainerId kSecond(std::string(64, 'd'));
// Runs until TERM, then exits with 9.
inline const std::string kReady =
    "trap 'echo bye; exit 9' TERM; echo ready; while true; do sleep 0.05; done";

// stdout and stderr of a command that ends.
std::string OutputOf(const std::vector<std::string>& argv);

// Processes whose command line names `text`.
std::vector<pid_t> Naming(const std::string& text, const std::string& also = "");

// In a folder of its user's. Not thread-safe.
class Job {
 public:
  explicit Job(AgentLab& lab);
  ~Job();
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;

  void Start(const std::vector<std::string>& more_arguments = {});
  // The exit code; nothing: it does not end.
  std::optional<int> End(std::chrono::seconds limit = std::chrono::seconds(30));
  void Signal(int signal) const;
  // The agent and its parent; what they started stays.
  void KillAgent();
  // All at once, as a scheduler does in the end.
  void Kill();
  // The agent itself, below its parent.
  std::vector<pid_t> Agents() const;
  std::string Said() const;
  const std::string& home() const { return home_; }
  // The unpacked image that Create gives to containers: busybox.
  std::string layer() const { return lab_.folder.File("layer"); }

  agent::v1::Command Create(const ContainerId& id, const std::string& script,
                            std::optional<int64_t> user = {}) const;
  void RunPod();
  void RunContainer(const ContainerId& id, const std::string& script,
                    std::optional<int64_t> user = {});
  bool Logs(const ContainerId& id, const std::string& text);
  bool Ends(const ContainerId& id);

  std::vector<std::string> layers;  // of containers, lowest first
  bool shared_pid = false;          // of the pod and its containers
  bool of_root = false;             // not an ordinary user's; needs root
  std::string engine;               // "": the agent's own choice

 private:
  AgentLab& lab_;
  const std::string home_;
  const std::string program_;
  UniqueFd log_;
  Child child_;
};

}  // namespace interlink::test

#endif  // INTERLINK_TEST_INTEGRATION_AGENT_ROOTLESS_JOB_H_
