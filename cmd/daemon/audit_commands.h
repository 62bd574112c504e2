// The commands `audit verify` and `audit show` of a daemon. They read files only: the daemon may
// write them meanwhile, and they may be copies on another machine.
#ifndef INTERLINK_CMD_DAEMON_AUDIT_COMMANDS_H_
#define INTERLINK_CMD_DAEMON_AUDIT_COMMANDS_H_

#include <optional>
#include <string>
#include <vector>

#include "auth/audit_print.h"
#include "config/audit_section.h"

namespace CLI {
class App;
}  // namespace CLI

namespace interlink::cmd_daemon {

enum class AuditOf { kNode, kSite };

class AuditCommands {
 public:
  // Adds them to `app`, which outlives this. `program`: its name, for messages.
  AuditCommands(CLI::App& app, std::string program, AuditOf of);
  AuditCommands(const AuditCommands&) = delete;
  AuditCommands& operator=(const AuditCommands&) = delete;

  // One of them was asked for.
  bool parsed() const;
  // With a folder of its own: no configuration is needed.
  bool names_folder() const { return !folder_.empty(); }
  // Does it: the exit code. `configured`: what stands for what the command line does not say.
  // REQUIRES: parsed.
  int Run(const config::AuditConfig& configured) const;

 private:
  const std::string program_;
  CLI::App* verify_;
  CLI::App* show_;
  std::string folder_;
  std::vector<std::string> keys_;
  auth::AuditFilter filter_;
};

}  // namespace interlink::cmd_daemon

#endif  // INTERLINK_CMD_DAEMON_AUDIT_COMMANDS_H_
