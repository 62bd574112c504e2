// The command line of interlink-agent.
#ifndef INTERLINK_CMD_AGENT_OPTIONS_H_
#define INTERLINK_CMD_AGENT_OPTIONS_H_

#include <string>

namespace interlink::cmd_agent {

struct RunOptions {
  std::string sandbox;
  std::string nonce;
  std::string hub;          // host:port
  std::string server_name;  // empty: the host of `hub`
  std::string ca_file;
  std::string token_file;
  std::string folder;  // the pod's
  std::string state;   // of containers: a local file system; empty: FOLDER/state
  std::string allocation;
  std::string runtime = "/usr/bin/crun";
  int leave_within_seconds = 25;
  int shim_lease_seconds = 0;  // 0: none
  bool shared_folder = false;
  bool allow_root = false;
  bool supervised = false;  // we run below `interlink-shim supervise`
};

}  // namespace interlink::cmd_agent

#endif  // INTERLINK_CMD_AGENT_OPTIONS_H_
