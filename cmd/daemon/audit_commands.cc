#include "daemon/audit_commands.h"

#include <CLI/CLI.hpp>
#include <iostream>
#include <utility>

#include "daemon/exit_code.h"

namespace interlink::cmd_daemon {

AuditCommands::AuditCommands(CLI::App& app, std::string program, AuditOf of)
    : program_(std::move(program)) {
  auto* audit = app.add_subcommand("audit", "the audit log of this daemon")->require_subcommand(1);
  verify_ = audit->add_subcommand("verify", "whether it is whole and signed");
  verify_->add_option("--key", keys_,
                      "a key that may have signed it, PEM (default: Audit.SigningKeyFile)");
  show_ = audit->add_subcommand("show", "what it says");
  for (auto* command : {verify_, show_})
    command->add_option("--folder", folder_, "where it is (default: Audit.Folder)");
  if (of == AuditOf::kSite) show_->add_option("--node", filter_.node, "only this node");
  show_->add_option("--id", filter_.id,
                    "only this sandbox, container or request; its beginning is enough");
  show_->add_option("--since", filter_.since, "only from this time on, as 2026-11-29T10:00");
  show_->add_flag("--denied", filter_.denied, "only what was denied");
  show_->add_flag("--json", filter_.json, "the lines as they are, for programs");
}

bool AuditCommands::parsed() const { return verify_->parsed() || show_->parsed(); }

int AuditCommands::Run(const config::AuditConfig& configured) const {
  const std::string& folder = folder_.empty() ? configured.folder : folder_;
  std::vector<std::string> keys = keys_;
  if (keys.empty() && folder_.empty() && !configured.signing_key_file.empty())
    keys.push_back(configured.signing_key_file);
  const Status status = verify_->parsed() ? auth::PrintAuditReport(folder, keys, std::cout)
                                          : auth::PrintAudit(folder, filter_, std::cout);
  if (!status.ok()) std::cerr << program_ << ": " << status.message() << "\n";
  return ExitCodeOf(status);
}

}  // namespace interlink::cmd_daemon
