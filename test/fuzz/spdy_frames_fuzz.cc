// Any bytes, cut anywhere: the decoder answers frames within its limits or says what is wrong, and
// the same whatever the cuts. Input: a byte that says where to cut, then what a peer sends.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "streaming/spdy_frames.h"

namespace interlink::streaming {
namespace {

constexpr SpdyLimits kLimits{.control_frame = 4096, .header_block = 8192, .headers = 20};

// What was decoded, as a text; data of one stream joined.
std::string Decode(std::string_view bytes, size_t step) {
  SpdyDecoder decoder(kLimits);
  std::string text;
  uint32_t talks = 0;  // the stream whose data the text ends with
  while (!bytes.empty()) {
    std::string_view part = bytes.substr(0, step);
    bytes.remove_prefix(part.size());
    while (true) {
      auto next = decoder.Next(part);
      if (!next.ok()) return text + next.status().ToString();
      if (!next->has_value()) break;
      const SpdyFrame& frame = **next;
      if (frame.kind == SpdyFrame::Kind::kData) {
        // Where pieces begin depends on the cuts; which byte is of which stream does not.
        if (talks != frame.stream && !frame.data.empty()) {
          talks = frame.stream;
          text += std::to_string(talks) + "=";
        }
        text += frame.data;
        if (frame.fin) text += "fin " + std::to_string(frame.stream) + ";";
        continue;
      }
      talks = 0;
      if (frame.headers.size() > kLimits.headers) abort();
      size_t size = 4;
      for (const auto& [name, value] : frame.headers) size += 8 + name.size() + value.size();
      if (size > kLimits.header_block) abort();
      text += std::to_string(static_cast<int>(frame.kind)) + "/" + std::to_string(frame.stream) +
              "/" + std::to_string(frame.number) + (frame.fin ? "fin" : "") + ";";
    }
    if (!part.empty()) abort();
  }
  return text;
}

}  // namespace
}  // namespace interlink::streaming

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* input, size_t size) {
  if (size < 1) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(input) + 1, size - 1);
  const size_t step = input[0] == 0 ? 1 : input[0];
  using interlink::streaming::Decode;
  if (Decode(bytes, step) != Decode(bytes, size)) abort();
  return 0;
}
