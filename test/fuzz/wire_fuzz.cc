// What a request consists of before anybody knows who sends it: target, headers, body in JSON and
// in protobuf. Input: a first line as the target and the headers' values, then the body.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "interlink/v1/record.pb.h"
#include "wire/body.h"
#include "wire/headers.h"
#include "wire/media_type.h"
#include "wire/position.h"
#include "wire/problem.h"
#include "wire/routes.h"

namespace interlink::wire {
namespace {

// What is understood is written, and understood again as the same.
template <typename Message>
void TakeBody(Encoding encoding, std::string_view body) {
  Message message;
  if (!DecodeRequest(encoding, body, &message).ok()) return;
  message.DiscardUnknownFields();  // of a newer node, in protobuf: JSON has no place for them
  const auto written = Encode(Encoding::kJson, message);
  if (!written.ok()) return;  // a text that is no UTF-8
  Message again;
  if (!DecodeRequest(Encoding::kJson, *written, &again).ok()) abort();
  if (EncodeDeterministic(message) != EncodeDeterministic(again)) abort();
}

void TakeLine(std::string_view line) {
  for (const Listener listener : {Listener::kSite, Listener::kControl}) {
    for (const char* method : {"GET", "PUT", "POST", "DELETE"}) {
      const Routing routing = MatchRoute(listener, method, line);
      if ((routing.entry == nullptr) == routing.why.ok()) abort();
    }
  }
  static_cast<void>(ParseTimeout(line));
  static_cast<void>(ParseLink(line));
  static_cast<void>(ParsePreferWait(line));
  static_cast<void>(ParsePosition(line));
  static_cast<void>(EncodingOfBody(std::string(line), true));
  const auto decoded = PercentDecode(line);
  if (decoded.ok() && PercentDecode(PercentEncode(*decoded)).value_or("") != *decoded) abort();
}

}  // namespace
}  // namespace interlink::wire

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  using namespace interlink;  // NOLINT(google-build-using-namespace): a program of one function
  const std::string_view input(reinterpret_cast<const char*>(bytes), size);
  const size_t end = input.find('\n');
  wire::TakeLine(input.substr(0, end));
  if (end == std::string_view::npos) return 0;
  const std::string_view body = input.substr(end + 1);
  for (const auto encoding : {wire::Encoding::kJson, wire::Encoding::kProtobuf}) {
    wire::TakeBody<interlink::v1::RunSandboxRequest>(encoding, body);
    wire::TakeBody<interlink::v1::CreateContainerRequest>(encoding, body);
    wire::TakeBody<interlink::v1::ExecSyncRequest>(encoding, body);
  }
  static_cast<void>(wire::StatusOfAnswer(503, std::string(input.substr(0, end)), body));
  return 0;
}
