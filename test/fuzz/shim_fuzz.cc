// What comes from a shim, or from whoever has put something in its place: frames and their
// payloads, lines of a container's log, its exit record.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string_view>
#include <vector>

#include "shim/cri_log.h"
#include "shim/exit_record.h"
#include "shim/frames.h"
#include "shim/messages.h"

namespace interlink::shim {
namespace {

template <typename Message>
void TakePayload(std::span<const char> payload) {
  Message message;
  static_cast<void>(message.Decode({payload.data(), payload.size()}));
}

void TakeFrames(std::string_view input) {
  std::vector<char> buffer(kMaxFrame);
  FrameDecoder decoder(buffer.data(), buffer.size());
  while (!input.empty()) {
    const auto space = decoder.Space();
    if (space.empty()) abort();
    // In pieces, as a socket gives them.
    const size_t piece = std::min({space.size(), input.size(), size_t{37}});
    std::copy_n(input.data(), piece, space.data());
    decoder.Received(piece);
    input.remove_prefix(piece);
    Frame frame;
    FrameDecoder::Outcome outcome = decoder.Next(frame);
    for (; outcome == FrameDecoder::Outcome::kFrame; outcome = decoder.Next(frame)) {
      TakePayload<WindowSize>(frame.payload);
      TakePayload<ExitStatus>(frame.payload);
      TakePayload<SessionRequest>(frame.payload);
      TakePayload<SignalRequest>(frame.payload);
      TakePayload<ErrorAnswer>(frame.payload);
      TakePayload<ContainerState>(frame.payload);
      TakePayload<LogOffset>(frame.payload);
    }
    if (outcome == FrameDecoder::Outcome::kMalformed) return;
  }
}

void TakeLines(std::string_view text) {
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    LogLine line;
    static_cast<void>(ParseLogLine(text.substr(0, end), line));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

}  // namespace
}  // namespace interlink::shim

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(bytes), size);
  interlink::shim::TakeFrames(input);
  interlink::shim::TakeLines(input);
  interlink::shim::ExitRecord record;
  static_cast<void>(interlink::shim::ParseExitRecord(input, record));
  return 0;
}
