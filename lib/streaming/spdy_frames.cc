#include "streaming/spdy_frames.h"

#include <zlib.h>

#include <algorithm>
#include <array>

namespace interlink::streaming {
namespace {

constexpr size_t kHeadBytes = 8;
constexpr uint8_t kFin = 0x01;
constexpr uint8_t kUnidirectional = 0x02;
constexpr uint32_t kIdMask = 0x7fffffff;

constexpr uint16_t kSynStream = 1;
constexpr uint16_t kSynReply = 2;
constexpr uint16_t kReset = 3;
constexpr uint16_t kSettings = 4;
constexpr uint16_t kPing = 6;
constexpr uint16_t kGoAway = 7;
constexpr uint16_t kHeaders = 8;
constexpr uint16_t kWindowUpdate = 9;

void Append32(std::string& out, uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8)
    out += static_cast<char>(value >> static_cast<unsigned>(shift) & 0xffU);
}

uint32_t Read32(std::string_view bytes, size_t at) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) value = value << 8U | static_cast<uint8_t>(bytes[at + i]);
  return value;
}

std::string ControlFrame(uint16_t type, uint8_t flags, std::string_view body) {
  std::string out;
  out.reserve(kHeadBytes + body.size());
  Append32(out, 0x80030000U | type);
  Append32(out, static_cast<uint32_t>(flags) << 24U | static_cast<uint32_t>(body.size()));
  return out.append(body);
}

Bytef* Zlib(const char* bytes) { return reinterpret_cast<Bytef*>(const_cast<char*>(bytes)); }

// The exact length of a control frame's body, or its least one.
struct Length {
  uint16_t type;
  const char* name;
  size_t size;
  bool exact;
};
constexpr std::array<Length, 8> kLengths = {{
    {kSynStream, "SYN_STREAM", 10, false},
    {kSynReply, "SYN_REPLY", 4, false},
    {kReset, "RST_STREAM", 8, true},
    {kSettings, "SETTINGS", 4, false},
    {kPing, "PING", 4, true},
    {kGoAway, "GOAWAY", 8, true},
    {kHeaders, "HEADERS", 4, false},
    {kWindowUpdate, "WINDOW_UPDATE", 8, true},
}};

const Length* LengthOf(uint16_t type) {
  const auto* const it = std::find_if(kLengths.begin(), kLengths.end(),
                                      [type](const Length& l) { return l.type == type; });
  return it == kLengths.end() ? nullptr : it;
}

// The content of an inflated block: a count, then names and values with their lengths.
Result<SpdyHeaders> ParseHeaders(std::string_view block, size_t max) {
  const Status cut = InvalidArgument("a SPDY header block is cut off");
  const auto text = [&block]() -> std::optional<std::string_view> {
    if (block.size() < 4) return std::nullopt;
    const uint32_t size = Read32(block, 0);
    block.remove_prefix(4);
    if (size > block.size()) return std::nullopt;
    const std::string_view found = block.substr(0, size);
    block.remove_prefix(size);
    return found;
  };
  if (block.size() < 4) return cut;
  const uint32_t count = Read32(block, 0);
  block.remove_prefix(4);
  if (count > max) {
    return ResourceExhausted("a SPDY header block has " + std::to_string(count) +
                             " headers; at most " + std::to_string(max) + " are taken");
  }
  SpdyHeaders headers;
  for (uint32_t i = 0; i < count; ++i) {
    const auto name = text();
    if (!name) return cut;
    const auto value = text();
    if (!value) return cut;
    if (name->empty()) return InvalidArgument("a SPDY header has no name");
    if (std::any_of(name->begin(), name->end(), [](char c) { return c >= 'A' && c <= 'Z'; }))
      return InvalidArgument("a SPDY header's name is not in lower case");
    if (!headers.emplace(*name, *value).second)
      return InvalidArgument("a SPDY header block has a name twice");
  }
  if (!block.empty()) return InvalidArgument("a SPDY header block is longer than its headers");
  return headers;
}

}  // namespace

struct SpdyDecoder::Inflater {
  z_stream stream{};
  bool ready = inflateInit(&stream) == Z_OK;
  Inflater() = default;
  ~Inflater() {
    if (ready) inflateEnd(&stream);
  }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  // The whole block; what follows must start with an empty output of zlib.
  Result<std::string> Block(std::string_view block, size_t max) {
    if (!ready) return InternalError("zlib has no memory for a SPDY connection");
    std::string out(std::min<size_t>(max + 1, 4096), '\0');
    stream.next_in = Zlib(block.data());
    stream.avail_in = static_cast<uInt>(block.size());
    size_t done = 0;
    while (true) {
      stream.next_out = Zlib(out.data() + done);
      stream.avail_out = static_cast<uInt>(out.size() - done);
      int result = inflate(&stream, Z_SYNC_FLUSH);
      done = out.size() - stream.avail_out;
      if (result == Z_NEED_DICT) {
        const std::string& dictionary = SpdyDictionary();
        result = inflateSetDictionary(&stream, Zlib(dictionary.data()),
                                      static_cast<uInt>(dictionary.size()));
        if (result == Z_OK) continue;
        return InvalidArgument(
            "SPDY headers are compressed with a dictionary that is not SPDY/3's");
      }
      if (result == Z_MEM_ERROR) return InternalError("zlib has no memory for a SPDY connection");
      if (result != Z_OK && result != Z_BUF_ERROR)
        return InvalidArgument("SPDY headers are not a zlib stream");
      if (done > max) {
        return ResourceExhausted("a SPDY header block inflates to more than " +
                                 std::to_string(max) + " bytes");
      }
      if (stream.avail_out > 0) break;  // all input is taken
      out.resize(std::min(2 * out.size(), max + 1));
    }
    out.resize(done);
    return out;
  }
};

SpdyDecoder::SpdyDecoder(SpdyLimits limits)
    : limits_(limits), inflater_(std::make_unique<Inflater>()) {}
SpdyDecoder::~SpdyDecoder() = default;

Status SpdyDecoder::ReadHead() {
  const uint32_t first = Read32(head_, 0);
  const uint32_t second = Read32(head_, 4);
  flags_ = static_cast<uint8_t>(second >> 24U);
  left_ = second & 0xffffffU;
  if ((first & 0x80000000U) == 0) {
    stream_ = first;
    in_data_ = true;
    return stream_ != 0 ? Status::Ok() : InvalidArgument("a SPDY data frame is of stream 0");
  }
  const uint32_t version = first >> 16U & 0x7fffU;
  if (version != 3) {
    return InvalidArgument("a control frame of SPDY version " + std::to_string(version) +
                           "; 3 is spoken here");
  }
  type_ = static_cast<uint16_t>(first & 0xffffU);
  in_control_ = true;
  return CheckControl();
}

Status SpdyDecoder::CheckControl() const {
  const Length* const length = LengthOf(type_);
  const std::string name =
      length != nullptr ? length->name : "SPDY control frame of type " + std::to_string(type_);
  if (left_ > limits_.control_frame) {
    return ResourceExhausted("a " + name + " of " + std::to_string(left_) + " bytes; at most " +
                             std::to_string(limits_.control_frame) + " are taken");
  }
  if (length == nullptr) return {};
  if (left_ < length->size || (length->exact && left_ != length->size)) {
    return InvalidArgument("a " + name + " of " + std::to_string(left_) + " bytes; it needs " +
                           std::to_string(length->size));
  }
  return {};
}

SpdyFrame SpdyDecoder::Piece(std::string_view& bytes) {
  SpdyFrame frame;
  frame.stream = stream_;
  frame.data = bytes.substr(0, left_);
  bytes.remove_prefix(frame.data.size());
  left_ -= frame.data.size();
  frame.fin = left_ == 0 && (flags_ & kFin) != 0;
  if (left_ == 0) {
    in_data_ = false;
    head_.clear();
  }
  return frame;
}

Result<SpdyHeaders> SpdyDecoder::ReadHeaders(std::string_view block) {
  ASSIGN_OR_RETURN(const std::string text, inflater_->Block(block, limits_.header_block));
  return ParseHeaders(text, limits_.headers);
}

Result<SpdyFrame> SpdyDecoder::Control() {
  SpdyFrame frame;
  frame.fin = (flags_ & kFin) != 0;
  const std::string_view body = body_;
  if (type_ != kSettings && type_ != kPing) frame.stream = Read32(body, 0) & kIdMask;
  switch (type_) {
    case kSynStream: {
      frame.kind = SpdyFrame::Kind::kSynStream;
      frame.unidirectional = (flags_ & kUnidirectional) != 0;
      ASSIGN_OR_RETURN(frame.headers, ReadHeaders(body.substr(10)));
      break;
    }
    case kSynReply:
    case kHeaders: {
      frame.kind = type_ == kHeaders ? SpdyFrame::Kind::kHeaders : SpdyFrame::Kind::kSynReply;
      ASSIGN_OR_RETURN(frame.headers, ReadHeaders(body.substr(4)));
      break;
    }
    case kReset:
      frame.kind = SpdyFrame::Kind::kReset;
      frame.number = Read32(body, 4);
      break;
    case kSettings:
      frame.kind = SpdyFrame::Kind::kSettings;
      if (Read32(body, 0) != (body.size() - 4) / 8 || body.size() % 8 != 4)
        return InvalidArgument("a SETTINGS frame's length does not fit its entries");
      break;
    case kPing:
      frame.kind = SpdyFrame::Kind::kPing;
      frame.number = Read32(body, 0);
      break;
    case kGoAway:
      frame.kind = SpdyFrame::Kind::kGoAway;
      frame.number = Read32(body, 4);
      break;
    default:
      frame.kind = SpdyFrame::Kind::kWindowUpdate;
      frame.number = Read32(body, 4);
  }
  const bool of_connection = type_ == kSettings || type_ == kPing || type_ == kGoAway ||
                             type_ == kWindowUpdate;  // of stream 0: the connection's window
  if (frame.stream == 0 && !of_connection)
    return InvalidArgument("a " + std::string(LengthOf(type_)->name) + " is of stream 0");
  return frame;
}

Result<std::optional<SpdyFrame>> SpdyDecoder::Next(std::string_view& bytes) {
  const auto take = [&bytes](std::string& to, size_t until) {
    const std::string_view part = bytes.substr(0, until - to.size());
    to.append(part);
    bytes.remove_prefix(part.size());
    return to.size() == until;
  };
  while (failed_.ok()) {
    if (!in_data_ && !in_control_) {
      if (!take(head_, kHeadBytes)) return std::optional<SpdyFrame>();
      failed_ = ReadHead();
      continue;
    }
    if (in_data_) {
      if (bytes.empty() && left_ > 0) return std::optional<SpdyFrame>();
      return std::optional<SpdyFrame>(Piece(bytes));
    }
    if (!take(body_, left_)) return std::optional<SpdyFrame>();
    const bool known = LengthOf(type_) != nullptr;
    Result<SpdyFrame> frame = known ? Control() : SpdyFrame();
    in_control_ = false;
    head_.clear();
    body_.clear();
    failed_ = frame.status();
    if (known && frame.ok()) return std::optional<SpdyFrame>(*std::move(frame));
  }
  return failed_;
}

struct SpdyEncoder::Deflater {
  z_stream stream{};
  // A small window: our blocks are short, and a connection costs 10 KiB instead of 256.
  bool ready =
      deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, 11, 1, Z_DEFAULT_STRATEGY) == Z_OK &&
      deflateSetDictionary(&stream, Zlib(SpdyDictionary().data()),
                           static_cast<uInt>(SpdyDictionary().size())) == Z_OK;
  Deflater() = default;
  ~Deflater() { deflateEnd(&stream); }
  Deflater(const Deflater&) = delete;
  Deflater& operator=(const Deflater&) = delete;
};

SpdyEncoder::SpdyEncoder() : deflater_(std::make_unique<Deflater>()) {}
SpdyEncoder::~SpdyEncoder() = default;

Result<std::string> SpdyEncoder::Block(const SpdyHeaders& headers) {
  if (!deflater_->ready) return InternalError("zlib has no memory for a SPDY connection");
  std::string text;
  Append32(text, static_cast<uint32_t>(headers.size()));
  for (const auto& [name, value] : headers) {
    Append32(text, static_cast<uint32_t>(name.size()));
    text += name;
    Append32(text, static_cast<uint32_t>(value.size()));
    text += value;
  }
  z_stream& stream = deflater_->stream;
  stream.next_in = Zlib(text.data());
  stream.avail_in = static_cast<uInt>(text.size());
  std::string out;
  std::array<char, 1024> chunk{};
  do {
    stream.next_out = Zlib(chunk.data());
    stream.avail_out = static_cast<uInt>(chunk.size());
    const int result = deflate(&stream, Z_SYNC_FLUSH);
    if (result != Z_OK && result != Z_BUF_ERROR)
      return InternalError("zlib cannot compress SPDY headers");
    out.append(chunk.data(), chunk.size() - stream.avail_out);
  } while (stream.avail_out == 0);
  return out;
}

Result<std::string> SpdyEncoder::SynStream(uint32_t stream, const SpdyHeaders& headers, bool fin) {
  ASSIGN_OR_RETURN(const std::string block, Block(headers));
  std::string body;
  Append32(body, stream);
  Append32(body, 0);     // associated to none
  body.append(2, '\0');  // highest priority, slot 0
  return ControlFrame(kSynStream, fin ? kFin : 0, body + block);
}

Result<std::string> SpdyEncoder::SynReply(uint32_t stream, const SpdyHeaders& headers) {
  ASSIGN_OR_RETURN(const std::string block, Block(headers));
  std::string body;
  Append32(body, stream);
  return ControlFrame(kSynReply, 0, body + block);
}

Result<std::string> SpdyEncoder::Headers(uint32_t stream, const SpdyHeaders& headers) {
  ASSIGN_OR_RETURN(const std::string block, Block(headers));
  std::string body;
  Append32(body, stream);
  return ControlFrame(kHeaders, 0, body + block);
}

void AppendSpdyData(std::string& out, uint32_t stream, std::string_view bytes, bool fin) {
  Append32(out, stream);
  Append32(out, (fin ? uint32_t{kFin} << 24U : 0U) | static_cast<uint32_t>(bytes.size()));
  out.append(bytes);
}

std::string SpdyResetFrame(uint32_t stream, SpdyReset why) {
  std::string body;
  Append32(body, stream);
  Append32(body, static_cast<uint32_t>(why));
  return ControlFrame(kReset, 0, body);
}

std::string SpdyPing(uint32_t id) {
  std::string body;
  Append32(body, id);
  return ControlFrame(kPing, 0, body);
}

std::string SpdyGoAway(uint32_t last_good_stream, uint32_t status) {
  std::string body;
  Append32(body, last_good_stream);
  Append32(body, status);
  return ControlFrame(kGoAway, 0, body);
}

}  // namespace interlink::streaming
