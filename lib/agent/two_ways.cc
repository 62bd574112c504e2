#include "agent/two_ways.h"

#include <atomic>
#include <utility>

#include "base/mutex.h"

namespace interlink::agent {
namespace {

// A way in use. Owners: TwoWays and the streams of it.
struct UsedWay {
  std::unique_ptr<Channel> channel;
  std::atomic<bool> useful = false;  // the last control stream has brought something
};

class StreamOfWay final : public Stream {
 public:
  StreamOfWay(std::shared_ptr<UsedWay> way, std::unique_ptr<Stream> stream, bool control)
      : way_(std::move(way)), stream_(std::move(stream)), control_(control) {}

  Status Write(std::string message, SteadyTime deadline) override {
    return stream_->Write(std::move(message), deadline);
  }
  Result<std::optional<std::string>> Read(SteadyTime deadline) override {
    auto message = stream_->Read(deadline);
    if (control_ && message.ok() && message->has_value()) way_->useful = true;
    return message;
  }
  void Cancel() override { stream_->Cancel(); }

 private:
  const std::shared_ptr<UsedWay> way_;  // outlives the stream
  const std::unique_ptr<Stream> stream_;
  const bool control_;
};

class TwoWays final : public Channel {
 public:
  explicit TwoWays(Ways ways) : ways_(std::move(ways)), way_(Make(false)) {}

  std::unique_ptr<Stream> OpenControl() override {
    const auto way = NextWay();
    return std::make_unique<StreamOfWay>(way, way->channel->OpenControl(), true);
  }

  std::unique_ptr<Stream> OpenStream(const std::string& stream_id) override {
    std::shared_ptr<UsedWay> way;
    {
      MutexLock lock(mutex_);
      way = way_;
    }
    return std::make_unique<StreamOfWay>(way, way->channel->OpenStream(stream_id), false);
  }

 private:
  std::shared_ptr<UsedWay> Make(bool relay) const {
    auto way = std::make_shared<UsedWay>();
    way->channel = relay ? ways_.relay() : ways_.direct();
    return way;
  }

  std::shared_ptr<UsedWay> NextWay() {
    const bool there = ways_.relay_there();
    std::shared_ptr<UsedWay> way;
    {
      MutexLock lock(mutex_);
      way = way_;
    }
    const bool first = !std::exchange(begun_, true);
    if (first || way->useful.exchange(false)) return way;
    if (!relay_ && !there) return way;
    relay_ = !relay_;
    way = Make(relay_);
    MutexLock lock(mutex_);
    way_ = way;
    return way;
  }

  const Ways ways_;
  // Of whoever opens control streams.
  bool begun_ = false;
  bool relay_ = false;
  Mutex mutex_;
  std::shared_ptr<UsedWay> way_ GUARDED_BY(mutex_);
};

}  // namespace

std::unique_ptr<Channel> MakeTwoWays(Ways ways) {
  return std::make_unique<TwoWays>(std::move(ways));
}

}  // namespace interlink::agent
