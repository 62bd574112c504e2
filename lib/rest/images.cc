#include "rest/routes.h"

namespace interlink::rest {
namespace {

net::HttpResponse ListAnswer(const Exchange& exchange,
                             std::vector<interlink::v1::ImageRecord> images) {
  interlink::v1::ImageList list;
  for (auto& image : images) *list.add_images() = std::move(image);
  return MessageAnswer(exchange, 200, list);
}

}  // namespace

void PullImage(const ExchangePtr& exchange, Answer answer) {
  const auto request = ReadBody<interlink::v1::PullImageRequest>(*exchange);
  if (!request.ok()) return answer(ProblemAnswer(*exchange, request.status()));
  exchange->site().PullImage(exchange->call, exchange->caller, *request, exchange->wait,
                             RecordReply<interlink::v1::PullRecord>(exchange, std::move(answer)));
}

void CancelPull(const ExchangePtr& exchange, Answer answer) {
  const Status status = exchange->site().CancelPull(exchange->caller, exchange->routing.path.pull);
  answer(status.ok() ? MessageAnswer(*exchange, 200, interlink::v1::Empty())
                     : ProblemAnswer(*exchange, status));
}

void ListImages(const ExchangePtr& exchange, Answer answer) {
  RunBlocking(exchange, answer, [exchange] {
    const std::string name = exchange->QueryValue("image");
    if (exchange->routing.query.find("image") == exchange->routing.query.end())
      return ListAnswer(*exchange, exchange->site().ListImages(exchange->caller.node));
    auto found = exchange->site().FindImage(exchange->caller.node, name);
    return found.ok() ? ListAnswer(*exchange, *std::move(found))
                      : ProblemAnswer(*exchange, found.status());
  });
}

// Answers the record of what is gone; its image has no id when there was none.
void RemoveImage(const ExchangePtr& exchange, Answer answer) {
  const std::string image = exchange->QueryValue("image");
  if (image.empty()) {
    return answer(ProblemAnswer(
        *exchange, InvalidArgument("which image? Name it in the query: ?image=REFERENCE-OR-ID")));
  }
  exchange->site().RemoveImage(
      exchange->call, exchange->caller, image,
      [exchange, answer = std::move(answer)](const Result<std::string>& id) {
        if (!id.ok()) return answer(ProblemAnswer(*exchange, id.status()));
        interlink::v1::ImageRecord record;
        record.mutable_image()->set_id(*id);
        record.set_gone(true);
        answer(MessageAnswer(*exchange, 200, record));
      });
}

void ImageFilesystems(const ExchangePtr& exchange, Answer answer) {
  RunBlocking(exchange, answer, [exchange] {
    const auto filesystems = exchange->site().ImageFilesystems();
    return filesystems.ok() ? MessageAnswer(*exchange, 200, *filesystems)
                            : ProblemAnswer(*exchange, filesystems.status());
  });
}

}  // namespace interlink::rest
