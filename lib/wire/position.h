// "EPOCH:N" of /v1/events?after= <-> Position. Pure.
#ifndef INTERLINK_WIRE_POSITION_H_
#define INTERLINK_WIRE_POSITION_H_

#include <string>
#include <string_view>

#include "base/status.h"
#include "interlink/v1/link.pb.h"

namespace interlink::wire {

// "" is the beginning (0:0): the site answers with a resync.
Result<interlink::v1::Position> ParsePosition(std::string_view text);
std::string FormatPosition(const interlink::v1::Position& position);

}  // namespace interlink::wire

#endif  // INTERLINK_WIRE_POSITION_H_
