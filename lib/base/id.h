// Ids are types. Each wraps a string; two kinds do not convert into each other.
#ifndef INTERLINK_BASE_ID_H_
#define INTERLINK_BASE_ID_H_

#include <compare>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

namespace interlink {

template <typename Tag>
class Id {
 public:
  Id() = default;
  explicit Id(std::string value) : value_(std::move(value)) {}
  explicit Id(std::string_view value) : value_(value) {}
  explicit Id(const char* value) : value_(value) {}

  const std::string& str() const { return value_; }
  bool empty() const { return value_.empty(); }

  friend auto operator<=>(const Id&, const Id&) = default;
  friend bool operator==(const Id&, const Id&) = default;

 private:
  std::string value_;
};

using SandboxId = Id<struct SandboxIdTag>;      // 64 lower-case hex digits, minted by the node
using ContainerId = Id<struct ContainerIdTag>;  // 64 lower-case hex digits, minted by the node
using SessionId = Id<struct SessionIdTag>;  // 64 lower-case hex digits: one exec, attach or forward
using NodeId = Id<struct NodeIdTag>;        // the verified name of a node, e.g. a certificate's CN
using Lineage = Id<struct LineageTag>;      // 32 hex digits, minted when a store is created
using RequestId = Id<struct RequestIdTag>;  // 16 hex digits, for logs and problem bodies

// `bytes` random bytes of getrandom(2) as lower-case hex digits. Never fails: without randomness
// the process cannot go on and aborts.
std::string RandomHex(size_t bytes);

inline SandboxId MintSandboxId() { return SandboxId(RandomHex(32)); }
inline ContainerId MintContainerId() { return ContainerId(RandomHex(32)); }
inline SessionId MintSessionId() { return SessionId(RandomHex(32)); }
inline Lineage MintLineage() { return Lineage(RandomHex(16)); }
inline RequestId MintRequestId() { return RequestId(RandomHex(8)); }

// True for exactly 64 lower-case hex digits: the only ids that may become a part of a path.
bool IsFullId(std::string_view id);

}  // namespace interlink

template <typename Tag>
struct std::hash<interlink::Id<Tag>> {
  size_t operator()(const interlink::Id<Tag>& id) const noexcept {
    return std::hash<std::string>()(id.str());
  }
};

#endif  // INTERLINK_BASE_ID_H_
