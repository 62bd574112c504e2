#include "config/audit_section.h"

namespace interlink::config {

Keys AuditKeys(AuditConfig* a, const std::string& who, const std::string& example) {
  return {
      WithExample(PathKey("Audit.Folder", &a->folder,
                          "Where " + who +
                              " are recorded (docs/security.md): files of JSON lines that hold "
                              "each other. Of this daemon alone. Default: they are not."),
                  Quoted(example)),
      WithExample(PathKey("Audit.SigningKeyFile", &a->signing_key_file,
                          "The Ed25519 key that signs them, PEM without a passphrase, mode 0600 "
                          "(openssl genpkey -algorithm ed25519). Must be set with Audit.Folder."),
                  "\"/etc/interlink/audit.key\""),
      SizeKey("Audit.MaxFileSize", &a->max_file_size, 64U << 10U, 1ULL << 40U,
              "A file that is so large is ended and signed, and the next one begun."),
      NumberKey("Audit.MaxFiles", &a->max_files, 0, 1'000'000,
                "So many files are kept, then the oldest is removed. 0: all are kept."),
      DurationKey("Audit.FlushInterval", &a->flush_interval, Duration::zero(),
                  std::chrono::minutes(1),
                  "What a power failure may take back. 0s: nothing that the disk has taken; no "
                  "call waits for that."),
      WordKey("Audit.OnFailure", &a->on_failure, {"refuse", "continue"},
              "While records cannot be written (a full disk): refuse lets nothing new begin, "
              "continue goes on and says later how many are lost. What stops, removes or looks at "
              "one's own work goes on in both."),
  };
}

Status CheckAudit(const AuditConfig& audit, const Sources& sources, const std::string& file) {
  if (!audit.folder.empty() && audit.signing_key_file.empty()) {
    return RefuseKey(sources, file, "Audit.SigningKeyFile",
                     "must be set with Audit.Folder: openssl genpkey -algorithm ed25519 -out FILE");
  }
  if (audit.folder.empty() && !audit.signing_key_file.empty())
    return RefuseKey(sources, file, "Audit.Folder", "must be set with Audit.SigningKeyFile");
  return {};
}

auth::AuditOptions AuditOptionsOf(const AuditConfig& audit, const std::string& daemon,
                                  const std::string& name) {
  auth::AuditOptions options;
  options.folder = audit.folder;
  options.signing_key_file = audit.signing_key_file;
  options.daemon = daemon;
  options.name = name;
  options.max_file_bytes = audit.max_file_size;
  options.max_files = static_cast<size_t>(audit.max_files);
  options.flush = audit.flush_interval;
  options.refuse_when_failing = audit.refuses();
  return options;
}

}  // namespace interlink::config
