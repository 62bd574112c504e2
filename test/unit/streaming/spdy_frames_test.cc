#include "streaming/spdy_frames.h"

#include <zlib.h>

#include <catch2/catch.hpp>
#include <vector>

namespace interlink::streaming {
namespace {

using FrameKind = SpdyFrame::Kind;

std::string FromHex(std::string_view hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2)
    bytes += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
  return bytes;
}

std::string Big(uint32_t value, int bytes = 4) {
  std::string text;
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8)
    text += static_cast<char>(value >> static_cast<unsigned>(shift) & 0xffU);
  return text;
}

std::string Control(uint16_t type, const std::string& body, uint8_t flags = 0,
                    uint16_t version = 3) {
  return Big(0x80000000U | static_cast<uint32_t>(version) << 16U | type) + Big(flags, 1) +
         Big(static_cast<uint32_t>(body.size()), 3) + body;
}

std::string Compress(const std::string& text, const std::string& dictionary = SpdyDictionary()) {
  z_stream stream{};
  REQUIRE(deflateInit(&stream, Z_BEST_COMPRESSION) == Z_OK);
  std::string copy = dictionary;
  if (!copy.empty()) {
    deflateSetDictionary(&stream, reinterpret_cast<Bytef*>(copy.data()),
                         static_cast<uInt>(copy.size()));
  }
  std::string in = text;
  std::string out(text.size() + 1024, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(in.data());
  stream.avail_in = static_cast<uInt>(in.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  REQUIRE(deflate(&stream, Z_SYNC_FLUSH) == Z_OK);
  out.resize(out.size() - stream.avail_out);
  deflateEnd(&stream);
  return out;
}

// SYN_STREAM 1 with this header block.
std::string Syn(const std::string& block) {
  return Control(1, Big(1) + Big(0) + std::string(2, '\0') + block);
}

std::string Pair(const std::string& name, const std::string& value) {
  return Big(static_cast<uint32_t>(name.size())) + name + Big(static_cast<uint32_t>(value.size())) +
         value;
}

// All frames of the bytes, given in parts of `step`; data is joined per frame.
Result<std::vector<SpdyFrame>> Decode(SpdyDecoder& decoder, const std::string& bytes, size_t step,
                                      std::string* data = nullptr) {
  std::vector<SpdyFrame> frames;
  for (size_t at = 0; at < bytes.size(); at += step) {
    std::string_view part = std::string_view(bytes).substr(at, step);
    while (true) {
      auto next = decoder.Next(part);
      if (!next.ok()) return next.status();
      if (!next->has_value()) break;
      if (data != nullptr) data->append((*next)->data);
      frames.push_back(**next);
      frames.back().data = {};
    }
    if (!part.empty()) return InternalError("bytes are left");
  }
  return frames;
}

Status Refused(const std::string& bytes, SpdyLimits limits = {}) {
  SpdyDecoder decoder(limits);
  const auto frames = Decode(decoder, bytes, bytes.size());
  // What is broken stays broken.
  std::string_view more = "\x80\x03";
  if (!frames.ok()) CHECK(decoder.Next(more).status() == frames.status());
  return frames.status();
}

TEST_CASE("the dictionary is SPDY/3's") {
  const std::string& text = SpdyDictionary();

  CHECK(text.size() == 1423);
  // The number by which zlib names it in a stream (draft 3.1 has it as DICTID).
  CHECK(adler32(adler32(0, nullptr, 0), reinterpret_cast<const Bytef*>(text.data()),
                static_cast<uInt>(text.size())) == 0xe3c6a7c2);
}

TEST_CASE("what Go's spdystream writes is understood, wherever it is cut") {
  // Two SYN_STREAM, as a port-forward client opens them, and a PING; written by spdystream 0.5.1.
  const std::string bytes = FromHex(
      "800300010000003e0000000100000000000078f9e3c6a7c202253a703a2b294a4dcc851625aca9a0808614cb45"
      "e01c60616061c0c0c0c0590489c64c50f2663400000000ffff800300010000001a000000030000000000"
      "00826a26ac0ad57850499508000000ffff800300060000000400000001");
  const size_t step = GENERATE(1, 2, 7, 64, 10'000);
  SpdyDecoder decoder;

  const auto frames = Decode(decoder, bytes, step);

  REQUIRE(frames.ok());
  REQUIRE(frames->size() == 3);
  CHECK((*frames)[0].kind == FrameKind::kSynStream);
  CHECK((*frames)[0].stream == 1);
  CHECK((*frames)[0].headers ==
        SpdyHeaders{{"port", "8080"}, {"requestid", "0"}, {"streamtype", "error"}});
  CHECK((*frames)[1].stream == 3);
  CHECK((*frames)[1].headers.at("streamtype") == "data");
  CHECK((*frames)[2].kind == FrameKind::kPing);
  CHECK((*frames)[2].number == 1);
  CHECK(decoder.AtBoundary());
}

TEST_CASE("what the encoder writes the decoder reads, wherever it is cut") {
  SpdyEncoder encoder;
  std::string bytes = *encoder.SynStream(1, {{"streamtype", "stdin"}}, true);
  bytes += *encoder.SynReply(3);
  bytes += *encoder.Headers(5, {{"a", std::string("x\0y", 3)}});
  AppendSpdyData(bytes, 7, "hello", false);
  AppendSpdyData(bytes, 7, "", true);
  bytes += SpdyResetFrame(9, SpdyReset::kCancel);
  bytes += SpdyPing(11);
  bytes += SpdyGoAway(13, 2);
  const size_t step = GENERATE(1, 3, 8, 10'000);
  SpdyDecoder decoder;
  std::string data;

  const auto frames = Decode(decoder, bytes, step, &data);

  REQUIRE(frames.ok());
  CHECK(data == "hello");
  const std::vector<SpdyFrame>& all = *frames;
  REQUIRE(all.size() >= 8);
  CHECK((all[0].fin && all[0].headers.at("streamtype") == "stdin"));
  CHECK((all[1].kind == FrameKind::kSynReply && all[1].stream == 3 && all[1].headers.empty()));
  CHECK((all[2].kind == FrameKind::kHeaders && all[2].headers.at("a") == std::string("x\0y", 3)));
  const size_t end = all.size() - 4;
  CHECK((all[end].kind == FrameKind::kData && all[end].stream == 7 && all[end].fin));
  CHECK((all[end + 1].kind == FrameKind::kReset && all[end + 1].number == 5));
  CHECK((all[end + 2].kind == FrameKind::kPing && all[end + 2].number == 11));
  CHECK((all[end + 3].kind == FrameKind::kGoAway && all[end + 3].stream == 13 &&
         all[end + 3].number == 2));
}

TEST_CASE("a large data frame comes in pieces and ends once") {
  std::string bytes;
  AppendSpdyData(bytes, 1, std::string(1'000'000, 'x'), true);
  SpdyDecoder decoder;
  std::string data;

  const auto frames = Decode(decoder, bytes, 4096, &data);

  REQUIRE(frames.ok());
  CHECK(frames->size() == (bytes.size() + 4095) / 4096);
  CHECK(data == std::string(1'000'000, 'x'));
  CHECK(std::count_if(frames->begin(), frames->end(), [](const auto& f) { return f.fin; }) == 1);
  CHECK(frames->back().fin);
}

TEST_CASE("control frames of unknown types are left out, SETTINGS and WINDOW_UPDATE are read") {
  const std::string bytes = Control(10, "credential") + Control(5, "") +
                            Control(4, Big(1) + Big(4) + Big(100)) + Control(9, Big(0) + Big(1)) +
                            SpdyPing(3);
  SpdyDecoder decoder;

  const auto frames = Decode(decoder, bytes, 1);

  REQUIRE(frames.ok());
  REQUIRE(frames->size() == 3);
  CHECK((*frames)[0].kind == FrameKind::kSettings);
  CHECK((*frames)[1].kind == FrameKind::kWindowUpdate);
  CHECK((*frames)[2].kind == FrameKind::kPing);
}

TEST_CASE("header blocks share one zlib stream per direction") {
  SpdyEncoder encoder;
  const SpdyHeaders headers = {{"streamtype", "error"}, {"port", "1"}};
  const std::string first = *encoder.SynStream(1, headers);
  const std::string second = *encoder.SynStream(3, headers);

  CHECK(second.size() < first.size());
  SpdyDecoder decoder;
  const auto frames = Decode(decoder, first + second, 5);
  REQUIRE(frames.ok());
  CHECK((*frames)[1].headers == headers);
  // Without the first the second means nothing.
  CHECK(Refused(second).code() == Code::kInvalidArgument);
}

TEST_CASE("what breaks the protocol is refused by name") {
  struct Row {
    std::string bytes;
    std::string message;
  };
  const std::string one = Big(1) + Pair("a", "b");
  const auto row = GENERATE_COPY(
      Row{Control(6, Big(1), 0, 2), "a control frame of SPDY version 2; 3 is spoken here"},
      Row{"GET / HTTP/1.1\r\n\r\n" + std::string(5'000'000, ' '), ""},
      Row{Big(0) + Big(0), "a SPDY data frame is of stream 0"},
      Row{Control(6, Big(1) + "x"), "a PING of 5 bytes; it needs 4"},
      Row{Control(3, Big(1)), "a RST_STREAM of 4 bytes; it needs 8"},
      Row{Control(7, Big(1)), "a GOAWAY of 4 bytes; it needs 8"},
      Row{Control(9, Big(1)), "a WINDOW_UPDATE of 4 bytes; it needs 8"},
      Row{Control(1, "123456789"), "a SYN_STREAM of 9 bytes; it needs 10"},
      Row{Control(2, "123"), "a SYN_REPLY of 3 bytes; it needs 4"},
      Row{Control(8, ""), "a HEADERS of 0 bytes; it needs 4"},
      Row{Control(4, ""), "a SETTINGS of 0 bytes; it needs 4"},
      Row{Control(4, Big(2) + Big(1) + Big(1)),
          "a SETTINGS frame's length does not fit its entries"},
      Row{Control(4, Big(0xffffffff)), "a SETTINGS frame's length does not fit its entries"},
      Row{Control(3, Big(0) + Big(1)), "a RST_STREAM is of stream 0"},
      Row{Control(1, Big(0) + Big(0) + std::string(2, '\0') + Compress(Big(0))),
          "a SYN_STREAM is of stream 0"},
      Row{Syn("this is no zlib stream"), "SPDY headers are not a zlib stream"},
      Row{Syn(Compress(one, "another dictionary")),
          "SPDY headers are compressed with a dictionary that is not SPDY/3's"},
      Row{Syn(""), "a SPDY header block is cut off"},
      Row{Syn(Compress("")), "a SPDY header block is cut off"},
      Row{Syn(Compress(Big(2) + Pair("a", "b"))), "a SPDY header block is cut off"},
      Row{Syn(Compress(Big(1) + Big(0xffffffff) + "a")), "a SPDY header block is cut off"},
      Row{Syn(Compress(Big(1) + Big(1) + "a" + Big(5) + "b")), "a SPDY header block is cut off"},
      Row{Syn(Compress(one + "x")), "a SPDY header block is longer than its headers"},
      Row{Syn(Compress(Big(1) + Pair("Port", "b"))), "a SPDY header's name is not in lower case"},
      Row{Syn(Compress(Big(1) + Pair("", "b"))), "a SPDY header has no name"},
      Row{Syn(Compress(Big(2) + Pair("a", "b") + Pair("a", "c"))),
          "a SPDY header block has a name twice"});

  if (row.message.empty()) {
    // A data frame of an absurd stream: the codec cannot know, the connection does.
    CHECK(Refused(row.bytes).ok());
    return;
  }
  const Status status = Refused(row.bytes);

  CHECK(status == InvalidArgument(row.message));
}

TEST_CASE("what is over a limit is refused by name") {
  SpdyLimits limits;
  limits.control_frame = 2000;
  limits.header_block = 10'000;
  limits.headers = 3;
  struct Row {
    std::string bytes;
    std::string message;
  };
  std::string many = Big(4);
  for (const char* name : {"a", "b", "c", "d"}) many += Pair(name, "x");
  const auto row = GENERATE_COPY(
      Row{Control(1, std::string(2001, 'x')), "a SYN_STREAM of 2001 bytes; at most 2000 are taken"},
      Row{Control(77, std::string(2001, 'x')),
          "a SPDY control frame of type 77 of 2001 bytes; at most 2000 are taken"},
      Row{Syn(Compress(many)), "a SPDY header block has 4 headers; at most 3 are taken"},
      Row{Syn(Compress(Big(0xffffffff))),
          "a SPDY header block has 4294967295 headers; at most 3 are taken"},
      // 1 MB of zeros in 1 kB.
      Row{Syn(Compress(Big(1) + Pair("a", std::string(1'000'000, '\0')))),
          "a SPDY header block inflates to more than 10000 bytes"});

  const Status status = Refused(row.bytes, limits);

  CHECK(status == ResourceExhausted(row.message));
}

TEST_CASE("a header block may be exactly as large as the limit") {
  SpdyLimits limits;
  const std::string block = Big(1) + Pair("a", std::string(9'000, 'v'));
  limits.header_block = block.size();

  CHECK(Refused(Syn(Compress(block)), limits).ok());
  limits.header_block = block.size() - 1;
  CHECK(Refused(Syn(Compress(block)), limits).code() == Code::kResourceExhausted);
}

TEST_CASE("a cut frame is not an error until the peer closes") {
  SpdyEncoder encoder;
  const std::string bytes = *encoder.SynStream(1, {{"streamtype", "error"}});
  for (size_t size = 0; size < bytes.size(); ++size) {
    SpdyDecoder decoder;
    std::string_view part = std::string_view(bytes).substr(0, size);

    const auto next = decoder.Next(part);

    REQUIRE(next.ok());
    CHECK_FALSE(next->has_value());
    CHECK(part.empty());
    CHECK(decoder.AtBoundary() == (size == 0));
  }
}

}  // namespace
}  // namespace interlink::streaming
