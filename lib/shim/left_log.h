// What an agent leaves of a container's log on a file system that the site shares, for the time
// when nobody can ask the agent any more. Offsets are those of the shim's log (layout.h).
//
//   FOLDER/logs/CONTAINER/   0700
//     00000000000000004711   a segment: bytes of the log from that offset on, at most
//     kSegmentLimit.
//                            They end at the segment's end, at the next one's name or at `saved`
//     saved                  u64 little-endian, pwritten after the bytes below it are on the disk:
//                            what is above may be torn
//     end                    "1 N\n": version, the log's end. Written last: all of the log below it
//                            is here, or was acknowledged, or had been dropped
//
// A gap between segments is what was acknowledged before it came here, or was dropped because
// nobody read it in time.
#ifndef INTERLINK_SHIM_LEFT_LOG_H_
#define INTERLINK_SHIM_LEFT_LOG_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "shim/cri_log.h"

namespace interlink::shim {

inline constexpr const char* kLeftLogs = "logs";
inline constexpr const char* kSavedFile = "saved";
inline constexpr const char* kLogEndFile = "end";
inline constexpr std::string_view kLogEndVersion = "1 ";
inline constexpr uint64_t kSegmentLimit = uint64_t{4} << 20U;
inline constexpr size_t kSegmentName = 20;

// Writes kSegmentName bytes.
inline void PutSegmentName(char* to, uint64_t offset) {
  log_time::PutDigits(to, offset, kSegmentName);
}

// False: the name of something else.
inline bool ParseSegmentName(std::string_view name, uint64_t& offset) {
  constexpr std::string_view kLargest = "18446744073709551615";
  return name.size() == kSegmentName && name <= kLargest &&
         log_time::GetDigits(name.data(), kSegmentName, offset);
}

}  // namespace interlink::shim

#endif  // INTERLINK_SHIM_LEFT_LOG_H_
