// Streams of messages through the real edge to a real client: lists in parts, and events.
#include <grpcpp/support/sync_stream.h>

#include <atomic>
#include <deque>

#include "cri/method.h"
#include "cri_lab.h"
#include "node/records.h"
#include "support/eventually.h"

namespace interlink::cri {
namespace {

using node::Slices;
using test::Eventually;

constexpr char kContainersRpc[] = "/runtime.v1.RuntimeService/StreamContainers";
constexpr char kEventsRpc[] = "/runtime.v1.RuntimeService/GetContainerEvents";

class ListedContainers final : public node::Containers {
 public:
  void Create(const Call&, const runtime::v1::CreateContainerRequest&,
              node::Reply<runtime::v1::CreateContainerResponse>) override {}
  void Start(const Call&, const runtime::v1::StartContainerRequest&,
             node::Reply<runtime::v1::StartContainerResponse>) override {}
  void Stop(const Call&, const runtime::v1::StopContainerRequest&,
            node::Reply<runtime::v1::StopContainerResponse>) override {}
  void Remove(const Call&, const runtime::v1::RemoveContainerRequest&,
              node::Reply<runtime::v1::RemoveContainerResponse>) override {}
  void UpdateResources(const Call&, const runtime::v1::UpdateContainerResourcesRequest&,
                       node::Reply<runtime::v1::UpdateContainerResourcesResponse>) override {}
  void GetStatus(const Call&, const runtime::v1::ContainerStatusRequest&,
                 node::Reply<runtime::v1::ContainerStatusResponse>) override {}
  void ExecSync(const Call&, const runtime::v1::ExecSyncRequest&,
                node::Reply<runtime::v1::ExecSyncResponse>) override {}
  void ReopenLog(const Call&, const runtime::v1::ReopenContainerLogRequest&,
                 node::Reply<runtime::v1::ReopenContainerLogResponse>) override {}
  Result<Slices> List(const runtime::v1::ContainerFilter& filter) const override {
    if (filter.id() == "unknown yet") return Unavailable("the site has not told yet what it has");
    return filter.id() == "none" ? Slices() : slices;
  }

  Slices slices;
};

// A feed that has always one more message, and counts who asks.
class EndlessFeed final : public node::Feed {
 public:
  explicit EndlessFeed(size_t size) : message_(std::make_shared<const std::string>(size, 'x')) {}
  void Next(node::Reply<std::optional<Slices>> reply) override {
    ++asked;
    if (cancelled) return reply(CancelledError("gone"));
    reply(std::optional<Slices>(Slices{message_}));
  }
  void Cancel() override { cancelled = true; }

  std::atomic<int> asked = 0;
  std::atomic<bool> cancelled = false;

 private:
  const node::Slice message_;
};

// A feed of what the test says.
class SpokenFeed final : public node::Feed {
 public:
  void Say(const std::string& text) {
    Give([&] { said_.push_back(std::make_shared<const std::string>(text)); });
  }
  void End(const Status& why) {
    Give([&] {
      if (end_.ok()) end_ = why;
    });
  }
  void Next(node::Reply<std::optional<Slices>> reply) override {
    Give([&] { waiting_ = std::move(reply); });
  }
  void Cancel() override { End(CancelledError("gone")); }

 private:
  template <typename Change>
  void Give(Change change) {
    node::Reply<std::optional<Slices>> reply;
    Result<std::optional<Slices>> next = std::optional<Slices>();
    {
      const std::scoped_lock lock(mutex_);
      change();
      if (!waiting_ || (said_.empty() && end_.ok())) return;
      reply = std::exchange(waiting_, nullptr);
      if (said_.empty()) {
        next = end_;
      } else {
        next = std::optional<Slices>(Slices{said_.front()});
        said_.pop_front();
      }
    }
    reply(std::move(next));
  }

  std::mutex mutex_;
  std::deque<node::Slice> said_;
  Status end_;
  node::Reply<std::optional<Slices>> waiting_;
};

struct StreamedNode final : test::NoNode, node::Events {
  node::Containers& containers() override { return listed; }
  node::Events& events() override { return *this; }
  Result<node::FeedPtr> Subscribe() override { return feed; }

  ListedContainers listed;
  node::FeedPtr feed;
};

// A client of one streaming call.
struct Reader {
  Reader(const test::Lab& lab, const char* rpc, const std::string& request)
      : name(rpc), bytes(request), channel(lab.channel) {
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
    const grpc::Slice slice(bytes);
    stream.reset(grpc::internal::ClientReaderFactory<grpc::ByteBuffer>::Create(
        channel.get(), grpc::internal::RpcMethod(name, grpc::internal::RpcMethod::SERVER_STREAMING),
        &context, grpc::ByteBuffer(&slice, 1)));
  }
  std::optional<std::string> Read() {
    grpc::ByteBuffer buffer;
    if (!stream->Read(&buffer)) return std::nullopt;
    std::vector<grpc::Slice> slices;
    REQUIRE(buffer.Dump(&slices).ok());
    std::string message;
    for (const auto& slice : slices)
      message.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
    return message;
  }
  // After the last message.
  grpc::StatusCode End() { return stream->Finish().error_code(); }

  const char* name;
  std::string bytes;
  std::shared_ptr<grpc::Channel> channel;
  grpc::ClientContext context;
  std::unique_ptr<grpc::ClientReader<grpc::ByteBuffer>> stream;
};

std::string Asking(const std::string& id) {
  runtime::v1::StreamContainersRequest request;
  if (!id.empty()) request.mutable_filter()->set_id(id);
  return request.SerializeAsString();
}

TEST_CASE("13,000 containers are streamed once each, in messages of bounded size, then the end") {
  StreamedNode node;
  for (int i = 0; i < 13000; ++i) {
    runtime::v1::Container item;
    item.set_id("container " + std::to_string(i));
    (*item.mutable_annotations())["filler"] = std::string(1000, 'x');
    node.listed.slices.push_back(node::MakeSlice(item));
  }
  const test::Lab lab(node);

  Reader reader(lab, kContainersRpc, Asking(""));
  size_t messages = 0;
  int items = 0;
  while (const auto message = reader.Read()) {
    ++messages;
    CHECK(message->size() <= kStreamMessage);
    runtime::v1::StreamContainersResponse response;
    REQUIRE(response.ParseFromString(*message));
    CHECK(response.containers_size() > 0);
    for (const auto& item : response.containers())
      CHECK(item.id() == "container " + std::to_string(items++));
  }

  CHECK(reader.End() == grpc::StatusCode::OK);
  CHECK(items == 13000);
  CHECK(messages > 10);
}

TEST_CASE("an empty list is streamed as no message and a good end") {
  StreamedNode node;
  const test::Lab lab(node);

  Reader reader(lab, kContainersRpc, Asking("none"));

  CHECK(!reader.Read());
  CHECK(reader.End() == grpc::StatusCode::OK);
}

TEST_CASE("a list that cannot be told is an error of its stream too, never an empty one") {
  StreamedNode node;
  const test::Lab lab(node);

  Reader reader(lab, kContainersRpc, Asking("unknown yet"));

  CHECK(!reader.Read());
  CHECK(reader.End() == grpc::StatusCode::UNAVAILABLE);
}

TEST_CASE("a request of a stream that is no message of it is refused") {
  StreamedNode node;
  const test::Lab lab(node);

  Reader reader(lab, kContainersRpc, "\xff\xff");

  CHECK(!reader.Read());
  CHECK(reader.End() == grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_CASE("items are put together up to the limit, and one that is larger goes alone") {
  const auto item = [](size_t size) {
    return std::make_shared<const std::string>(std::string(size, 'x'));
  };
  const auto feed = InMessages({item(4), item(6), item(1), item(30), item(10), item(1)}, 10);

  std::vector<size_t> sizes;
  bool end = false;
  while (!end) {
    feed->Next([&](Result<std::optional<Slices>> message) {
      REQUIRE(message.ok());
      end = !message->has_value();
      if (end) return;
      size_t bytes = 0;
      for (const auto& slice : **message) bytes += slice->size();
      sizes.push_back(bytes);
    });
  }

  CHECK(sizes == std::vector<size_t>{10, 1, 30, 10, 1});
}

TEST_CASE("a list that comes later is streamed when it is there, and its error is the stream's") {
  const auto slice = std::make_shared<const std::string>("0123456789");
  std::vector<Result<std::optional<Slices>>> told;
  const auto tell = [&told](Result<std::optional<Slices>> message) {
    told.push_back(std::move(message));
  };

  const auto list = InMessagesLater(10);
  list->Next(tell);
  CHECK(told.empty());
  list->Set(Slices{slice, slice});
  list->Set(Unavailable("too late"));
  REQUIRE(told.size() == 1);
  for (int i = 0; i < 2; ++i) list->Next(tell);
  REQUIRE(told.size() == 3);
  CHECK((*told[0])->size() == 1);
  CHECK((*told[1])->size() == 1);
  CHECK(!told[2]->has_value());

  told.clear();
  const auto failed = InMessagesLater(10);
  failed->Set(Unavailable("the site is away"));
  failed->Next(tell);
  const auto cancelled = InMessagesLater(10);
  cancelled->Next(tell);
  cancelled->Cancel();
  cancelled->Set(Slices{slice});
  REQUIRE(told.size() == 2);
  CHECK(told[0].status().code() == Code::kUnavailable);
  CHECK(told[1].status().code() == Code::kCancelled);
}

TEST_CASE("a reader that does not read is not written for") {
  StreamedNode node;
  const auto feed = std::make_shared<EndlessFeed>(size_t{1} << 20U);
  node.feed = feed;
  const test::Lab lab(node);

  Reader reader(lab, kEventsRpc, "");
  for (int i = 0; i < 3; ++i) REQUIRE(reader.Read());

  // What the transport takes ahead, and no more: without flow control this would be thousands.
  CHECK(feed->asked < 20);
  reader.context.TryCancel();
  CHECK(reader.End() == grpc::StatusCode::CANCELLED);
  CHECK(Eventually([&] { return feed->cancelled.load(); }));
}

TEST_CASE("events reach the reader one by one, and its subscription stands before the first one") {
  StreamedNode node;
  const auto feed = std::make_shared<SpokenFeed>();
  node.feed = feed;
  const test::Lab lab(node);
  Reader reader(lab, kEventsRpc, "");

  reader.stream->WaitForInitialMetadata();
  feed->Say("first");
  feed->Say("second");

  CHECK(reader.Read() == "first");
  CHECK(reader.Read() == "second");
  feed->End(node::ShuttingDown());
  CHECK(!reader.Read());
  CHECK(reader.End() == grpc::StatusCode::UNAVAILABLE);
}

TEST_CASE("a caller that goes away frees its subscription") {
  StreamedNode node;
  std::weak_ptr<node::Feed> feed;
  {
    const auto made = std::make_shared<SpokenFeed>();
    feed = made;
    node.feed = made;
  }
  const test::Lab lab(node);
  Reader reader(lab, kEventsRpc, "");
  reader.stream->WaitForInitialMetadata();

  node.feed.reset();
  reader.context.TryCancel();

  CHECK(Eventually([&] { return feed.expired(); }));
}

TEST_CASE("the server stops while streams wait and while one is not read") {
  StreamedNode node;
  node.feed = std::make_shared<SpokenFeed>();
  test::Lab lab(node);
  Reader waiting(lab, kEventsRpc, "");
  waiting.stream->WaitForInitialMetadata();
  const auto endless = std::make_shared<EndlessFeed>(size_t{1} << 20U);
  node.feed = endless;
  Reader stuck(lab, kEventsRpc, "");
  stuck.stream->WaitForInitialMetadata();
  REQUIRE(Eventually([&] { return endless->asked > 0; }));

  const auto begun = std::chrono::steady_clock::now();
  lab.server->Stop(std::chrono::milliseconds(100));

  CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds(20));
  while (waiting.Read()) {
  }
  CHECK(waiting.End() != grpc::StatusCode::OK);
  while (stuck.Read()) {
  }
  CHECK(stuck.End() != grpc::StatusCode::OK);
}

}  // namespace
}  // namespace interlink::cri
