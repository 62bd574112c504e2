// The name of a volume snapshot: "sha256:" and the hex digest of its bytes. Pure.
#ifndef INTERLINK_WIRE_VOLUME_DIGEST_H_
#define INTERLINK_WIRE_VOLUME_DIGEST_H_

#include <cstddef>
#include <string>
#include <string_view>

namespace interlink::wire {

inline constexpr size_t kMaxVolumeBytes = 4U << 20U;
inline constexpr int kMaxVolumeEntries = 4096;

std::string VolumeDigest(std::string_view bytes);

}  // namespace interlink::wire

#endif  // INTERLINK_WIRE_VOLUME_DIGEST_H_
