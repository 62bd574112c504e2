// What the hub must not forget, in a folder of its own. Thread-safe; calls for one sandbox are the
// caller's to serialise.
//
//   FOLDER/            0700
//     agent.key        64 hex digits, 0600: who has it can make every pod token
//     certificate.pem  of the agents' port, 0600 (port_certificate.h)
//     term             "1 N": version, the term of the last start
//     bound/SANDBOX    "1 NONCE" or "1 -": version, who may speak for that sandbox; "-": nobody
//     left/SANDBOX     "1 NONCE": that agent has said that its pod has ended, for certain
//
// A binding is made with link(2): whoever comes second reads the first one's, whatever crashes.
#ifndef INTERLINK_AGENT_HUB_HUB_FILES_H_
#define INTERLINK_AGENT_HUB_HUB_FILES_H_

#include <cstdint>
#include <string>

#include "base/clock.h"
#include "base/id.h"
#include "base/status.h"

namespace interlink::agent_hub {

// Binds a sandbox to nobody: nothing of it can ever start.
inline constexpr const char* kNobody = "-";

class HubFiles {
 public:
  // Makes what is missing and raises the term, durably. The new term is above the stored one and
  // not below the seconds of the wall clock: a folder that was restored from a backup then still
  // begins above what the agents have seen. kDataLoss: a file is damaged; it is named.
  // kPermissionDenied: the key can be read by others.
  static Result<HubFiles> Open(const std::string& folder, const Clock& clock);

  uint64_t term() const { return term_; }
  const std::string& agent_key() const { return key_; }

  // Binds `id` to `nonce` unless it is bound; answers who it is bound to now. Durable.
  Result<std::string> Bind(const SandboxId& id, const std::string& nonce) const;
  // Who `id` is bound to; empty: not bound.
  Result<std::string> BoundTo(const SandboxId& id) const;
  // The agent that speaks for `id` has said its last word. Durable, idempotent.
  Status WriteLeft(const SandboxId& id, const std::string& nonce) const;
  // It has. An error: unknown.
  Result<bool> HasLeft(const SandboxId& id) const;
  // Forgets the binding and the word. REQUIRES: it is proven that no agent of `id` can come any
  // more.
  Status Forget(const SandboxId& id) const;

 private:
  HubFiles(std::string folder, std::string key, uint64_t term)
      : folder_(std::move(folder)), key_(std::move(key)), term_(term) {}
  std::string BindingFile(const SandboxId& id) const;
  std::string LeftFile(const SandboxId& id) const;

  std::string folder_;
  std::string key_;
  uint64_t term_ = 0;
};

// 32 to 64 lower-case hex digits. Pure.
bool IsNonce(std::string_view text);

}  // namespace interlink::agent_hub

#endif  // INTERLINK_AGENT_HUB_HUB_FILES_H_
