// The command line of interlink-agent.
#ifndef INTERLINK_CMD_AGENT_OPTIONS_H_
#define INTERLINK_CMD_AGENT_OPTIONS_H_

#include <cstdint>
#include <string>
#include <vector>

namespace interlink::cmd_agent {

struct RunOptions {
  std::string sandbox;
  std::string nonce;
  std::string hub;                   // host:port
  std::string transport = "direct";  // or relay, auto
  std::string server_name;           // empty: the host of `hub`
  std::string ca_file;
  std::string token_file;
  std::string folder;  // the pod's
  std::string state;   // of containers: a local file system; empty: FOLDER/state
  std::string allocation;
  std::string engine = "crun";
  std::string runtime;  // empty: the engine's own
  int leave_within_seconds = 25;
  int shim_lease_seconds = 0;  // 0: none
  std::string handler;
  std::vector<std::string> allowed_host_paths;  // of pods of that handler
  int64_t memory_mib = 0;                       // of the allocation; 0: not known
  int64_t cpus = 0;                             // too
  bool shared_folder = false;
  bool no_lease = false;
  bool allow_root = false;
  bool supervised = false;  // we run below `interlink-shim supervise`
};

struct RelayCommandOptions {
  std::string socket;
  std::string greeting;
  int wait_seconds = 30;
};

}  // namespace interlink::cmd_agent

#endif  // INTERLINK_CMD_AGENT_OPTIONS_H_
