// SPDY/3.1 frames <-> bytes (SPDY Protocol, draft 3.1, sections 2.2 and 2.6), as far as kubelet,
// crictl and kubectl speak it. Pure: no I/O. Not thread-safe.
#ifndef INTERLINK_STREAMING_SPDY_FRAMES_H_
#define INTERLINK_STREAMING_SPDY_FRAMES_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"

namespace interlink::streaming {

// A decoder never holds more than these; a data frame is passed on in pieces, whatever its length.
struct SpdyLimits {
  size_t control_frame = size_t{64} << 10U;  // bytes after the head of a control frame
  size_t header_block = size_t{64} << 10U;   // bytes of one header block, inflated
  size_t headers = 100;                      // names in one block
};

// Why a stream is reset (draft 3.1, 2.6.4).
enum class SpdyReset : uint32_t {
  kProtocolError = 1,
  kInvalidStream = 2,
  kRefused = 3,
  kCancel = 5,
  kInternal = 6,
};

// Names in lower case. Several values of one name are joined by '\0'.
using SpdyHeaders = std::map<std::string, std::string>;

struct SpdyFrame {
  enum class Kind {
    kData,
    kSynStream,
    kSynReply,
    kReset,
    kSettings,  // its entries are not kept
    kPing,
    kGoAway,
    kHeaders,
    kWindowUpdate,
  };
  Kind kind = Kind::kData;
  uint32_t stream = 0;  // kGoAway: the last good one; 0 for kSettings and kPing
  bool fin = false;     // kData: comes with the last piece of the frame
  bool unidirectional = false;
  uint32_t number = 0;    // kReset, kGoAway: status; kPing: id; kWindowUpdate: bytes
  SpdyHeaders headers;    // kSynStream, kSynReply, kHeaders
  std::string_view data;  // kData: a piece, in the bytes that Next was given
};

// Reads what one peer sends.
class SpdyDecoder {
 public:
  explicit SpdyDecoder(SpdyLimits limits = {});
  ~SpdyDecoder();
  SpdyDecoder(const SpdyDecoder&) = delete;
  SpdyDecoder& operator=(const SpdyDecoder&) = delete;

  // Takes from the front of `bytes` up to the end of the next frame, or of a piece of data;
  // nothing: all is taken and more is needed. Control frames of types that draft 3.1 does not know
  // are left out (2.2.1). kInvalidArgument: not SPDY/3.1; kResourceExhausted: over a limit; both
  // for ever.
  Result<std::optional<SpdyFrame>> Next(std::string_view& bytes);
  // True: between two frames, where a peer may close.
  bool AtBoundary() const { return head_.empty() && body_.empty() && !in_data_; }

 private:
  struct Inflater;
  Status ReadHead();
  Status CheckControl() const;
  Result<SpdyFrame> Control();
  SpdyFrame Piece(std::string_view& bytes);
  Result<SpdyHeaders> ReadHeaders(std::string_view block);

  const SpdyLimits limits_;
  std::unique_ptr<Inflater> inflater_;
  std::string head_;  // up to 8 bytes
  std::string body_;  // of a control frame
  // Of the frame whose head is complete.
  bool in_data_ = false;
  bool in_control_ = false;
  uint32_t stream_ = 0;  // data
  uint16_t type_ = 0;    // control
  uint8_t flags_ = 0;
  size_t left_ = 0;  // data: bytes that are missing; control: the length
  Status failed_;
};

// Writes what one peer sends: header blocks depend on those before them.
class SpdyEncoder {
 public:
  SpdyEncoder();
  ~SpdyEncoder();
  SpdyEncoder(const SpdyEncoder&) = delete;
  SpdyEncoder& operator=(const SpdyEncoder&) = delete;

  // kInternal: zlib failed (out of memory).
  Result<std::string> SynStream(uint32_t stream, const SpdyHeaders& headers, bool fin = false);
  Result<std::string> SynReply(uint32_t stream, const SpdyHeaders& headers = {});
  Result<std::string> Headers(uint32_t stream, const SpdyHeaders& headers);

 private:
  struct Deflater;
  Result<std::string> Block(const SpdyHeaders& headers);
  std::unique_ptr<Deflater> deflater_;
};

// Appends a data frame. REQUIRES: bytes.size() < 16 MiB.
void AppendSpdyData(std::string& out, uint32_t stream, std::string_view bytes, bool fin = false);
std::string SpdyResetFrame(uint32_t stream, SpdyReset why);
std::string SpdyPing(uint32_t id);
// `status`: 0 all is well, 1 protocol error, 2 internal error.
std::string SpdyGoAway(uint32_t last_good_stream, uint32_t status);

// The text that both sides' zlib streams know from the beginning (draft 3.1, 2.6.10.1).
const std::string& SpdyDictionary();

}  // namespace interlink::streaming

#endif  // INTERLINK_STREAMING_SPDY_FRAMES_H_
