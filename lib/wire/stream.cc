#include "wire/stream.h"

#include <google/protobuf/message.h>

#include <algorithm>

namespace interlink::wire {

Status AppendToStream(Encoding encoding, const google::protobuf::Message& message,
                      std::string* stream) {
  ASSIGN_OR_RETURN(const std::string bytes, Encode(encoding, message));
  if (encoding == Encoding::kJson) {
    *stream += bytes;
    *stream += '\n';
    return {};
  }
  for (uint64_t rest = bytes.size();; rest >>= 7U) {
    const bool last = rest < 0x80;
    stream->push_back(static_cast<char>(last ? rest : (rest & 0x7FU) | 0x80U));
    if (last) break;
  }
  *stream += bytes;
  return {};
}

void StreamReader::Feed(std::string_view bytes) {
  // What was consumed is dropped here, once per read and not once per message.
  if (begin_ > 0) {
    buffer_.erase(0, begin_);
    scanned_ = scanned_ > begin_ ? scanned_ - begin_ : 0;
    begin_ = 0;
  }
  buffer_ += bytes;
}

Result<bool> StreamReader::Next(google::protobuf::Message* message) {
  ASSIGN_OR_RETURN(const std::optional<std::string_view> frame, NextFrame());
  if (!frame) return false;
  RETURN_IF_ERROR(Decode(encoding_, *frame, message));
  return true;
}

Result<std::optional<std::string_view>> StreamReader::NextFrame() {
  return encoding_ == Encoding::kJson ? NextLine() : NextDelimited();
}

Result<std::optional<std::string_view>> StreamReader::NextLine() {
  while (true) {
    const size_t end = buffer_.find('\n', std::max(begin_, scanned_));
    if ((end == std::string::npos ? buffer_.size() : end) - begin_ > limit_)
      return ResourceExhausted("a line of the stream is longer than " + std::to_string(limit_) +
                               " bytes");
    if (end == std::string::npos) {
      scanned_ = buffer_.size();
      return std::optional<std::string_view>();
    }
    std::string_view line(buffer_.data() + begin_, end - begin_);
    begin_ = end + 1;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (!line.empty()) return std::optional(line);
  }
}

Result<std::optional<std::string_view>> StreamReader::NextDelimited() {
  uint64_t length = 0;
  size_t at = begin_;
  for (unsigned shift = 0;; shift += 7) {
    if (at == buffer_.size()) return std::optional<std::string_view>();
    const auto byte = static_cast<unsigned char>(buffer_[at++]);
    length |= static_cast<uint64_t>(byte & 0x7FU) << shift;
    if (byte < 0x80) break;
    if (shift >= 28) return InvalidArgument("the stream has a malformed message length");
  }
  if (length > limit_)
    return ResourceExhausted("a message of the stream has " + std::to_string(length) +
                             " bytes, more than " + std::to_string(limit_));
  if (buffer_.size() - at < length) return std::optional<std::string_view>();
  begin_ = at + length;
  return std::optional(std::string_view(buffer_.data() + at, length));
}

}  // namespace interlink::wire
