#include "interlink/v1/record.pb.h"
#include "interlink/v1/volume.pb.h"
#include "rest/routes.h"
#include "wire/volume_digest.h"

namespace interlink::rest {
namespace {

// The bytes that are kept: named by their digest, so they are taken as they came.
Result<std::string> CheckedVolume(const Exchange& exchange) {
  if (exchange.body_encoding != wire::Encoding::kProtobuf) {
    return InvalidArgument("a volume travels as application/x-protobuf: its digest names bytes");
  }
  const std::string& body = exchange.request.body;
  if (body.size() > wire::kMaxVolumeBytes) {
    return ResourceExhausted("a volume has at most " + std::to_string(wire::kMaxVolumeBytes) +
                             " bytes, this one has " + std::to_string(body.size()));
  }
  const std::string digest = wire::VolumeDigest(body);
  if (digest != exchange.routing.path.digest) {
    return InvalidArgument("the body is \"" + digest + "\", not \"" + exchange.routing.path.digest +
                           "\"");
  }
  ASSIGN_OR_RETURN(const auto volume, ReadBody<interlink::v1::VolumeSnapshot>(exchange));
  if (volume.entries_size() > wire::kMaxVolumeEntries) {
    return ResourceExhausted("a volume has at most " + std::to_string(wire::kMaxVolumeEntries) +
                             " files and folders, this one has " +
                             std::to_string(volume.entries_size()));
  }
  return body;
}

}  // namespace

void PutVolume(const ExchangePtr& exchange, Answer answer) {
  RunBlocking(exchange, answer, [exchange]() -> net::HttpResponse {
    const auto body = CheckedVolume(*exchange);
    if (!body.ok()) return ProblemAnswer(*exchange, body.status());
    const Status kept = exchange->site().PutVolume(exchange->call, exchange->caller,
                                                   exchange->routing.path.digest, *body);
    return kept.ok() ? MessageAnswer(*exchange, 200, interlink::v1::Empty())
                     : ProblemAnswer(*exchange, kept);
  });
}

void RefreshVolumes(const ExchangePtr& exchange, Answer answer) {
  const auto request = ReadBody<interlink::v1::RefreshVolumesRequest>(*exchange);
  if (!request.ok()) return answer(ProblemAnswer(*exchange, request.status()));
  exchange->site().RefreshVolumes(
      exchange->call, exchange->caller, exchange->sandbox(), exchange->container(), *request,
      MessageReply<interlink::v1::RefreshVolumesResponse>(exchange, std::move(answer)));
}

}  // namespace interlink::rest
