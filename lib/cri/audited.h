// Internal: which RPCs the audit log gets, and what it is told of them.
#ifndef INTERLINK_CRI_AUDITED_H_
#define INTERLINK_CRI_AUDITED_H_

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace interlink::cri {

// An RPC that changes something or reaches into a container.
struct Audited {
  std::string_view rpc;  // "RunPodSandbox"
  // It begins something new, which needs a record of it (AuditLog::MayBegin).
  bool begins = false;
  // Names and ids of a serialised request, never a secret; empty for one that is none.
  std::vector<std::pair<std::string, std::string>> (*describe)(std::string_view request) = nullptr;
};

// `method` as gRPC names it. Null: it is not recorded, unless it is denied.
const Audited* FindAudited(std::string_view method);

}  // namespace interlink::cri

#endif  // INTERLINK_CRI_AUDITED_H_
