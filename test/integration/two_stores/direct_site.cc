#include "direct_site.h"

#include <algorithm>
#include <filesystem>
#include <utility>

namespace interlink::test {
namespace {

using interlink::v1::ContainerRecord;
using interlink::v1::SandboxRecord;

constexpr auto kLate = std::chrono::milliseconds(30);  // of an event that no other follows

// The answer of `start`, or kUnavailable at the deadline.
template <typename T>
Result<T> WaitFor(const Call& call, const std::function<void(site::Reply<T>)>& start) {
  auto promise = std::make_shared<std::promise<Result<T>>>();
  auto future = promise->get_future();
  start([promise](Result<T> result) { promise->set_value(std::move(result)); });
  if (future.wait_for(call.remaining()) != std::future_status::ready)
    return Unavailable("no answer in time");
  return future.get();
}

}  // namespace

SiteProcess::SiteProcess(SiteDisk& disk, World& world) : store(disk) {
  site::Options options;
  options.name = "lab";
  options.data_folder = std::filesystem::temp_directory_path();
  auto made = site::Site::Create(options, {store, images, volumes, log, metrics, clock});
  if (!made.ok()) std::abort();  // a store of this test that cannot be read is the test's error
  site = *std::move(made);
  auto made_backend = std::make_unique<ScriptedBackend>(world, site->HostFor("scripted"));
  backend = made_backend.get();
  if (!site->AddBackend("scripted", {"test"}, std::move(made_backend)).ok()) std::abort();
  site->Start();
}

SiteProcess::~SiteProcess() { Kill(); }

void SiteProcess::Kill() {
  if (dead_.exchange(true)) return;
  store.Kill();
  site->Stop();
}

void DirectSite::Connect(std::shared_ptr<SiteProcess> process) {
  ProcessPtr old;
  MutexLock lock(mutex_);
  old = std::exchange(process_, std::move(process));
  ++cuts_;
  wake_.NotifyAll();
}
void DirectSite::SetWeather(Weather weather) {
  MutexLock lock(mutex_);
  weather_ = weather;
}
void DirectSite::CutStreams() {
  MutexLock lock(mutex_);
  ++cuts_;
  wake_.NotifyAll();
}
void DirectSite::HoldEvents(bool hold) {
  MutexLock lock(mutex_);
  held_ = hold;
  wake_.NotifyAll();
}
void DirectSite::DropLate() {
  MutexLock lock(mutex_);
  ++late_round_;
}
DirectSite::ProcessPtr DirectSite::Process() {
  MutexLock lock(mutex_);
  return process_;
}
bool DirectSite::Chance(int percent) {
  return std::uniform_int_distribution<int>(0, 99)(random_) < percent;
}

template <typename T>
Result<T> DirectSite::Carry(
    const Call& call,
    std::function<void(site::Site&, const Call&, site::Reply<site::Answer<T>>)> send) {
  ProcessPtr process;
  bool lose_answer = false;
  {
    MutexLock lock(mutex_);
    process = process_;
    if (process == nullptr || process->dead()) return Unavailable("connection refused");
    if (Chance(weather_.lost_requests)) return Unavailable("the request was lost");
    if (Chance(weather_.late_requests)) {
      const auto delay =
          std::chrono::milliseconds(std::uniform_int_distribution<int>(1, 300)(random_));
      timer_.After(delay, [this, send, round = late_round_] {
        ProcessPtr later;
        {
          MutexLock again(mutex_);
          if (round == late_round_) later = process_;
        }
        if (later != nullptr && !later->dead())
          send(*later->site, Call::WithTimeout(std::chrono::seconds(2)), [later](auto) {});
      });
      return Unavailable("the request is under way for ever");
    }
    lose_answer = Chance(weather_.lost_answers);
  }
  auto answer = WaitFor<site::Answer<T>>(
      call, [&](site::Reply<site::Answer<T>> reply) { send(*process->site, call, reply); });
  if (process->dead()) return Unavailable("connection reset");
  if (lose_answer) return Unavailable("the answer was lost");
  if (!answer.ok()) return answer.status();
  return answer->record;
}

Result<interlink::v1::LinkResponse> DirectSite::Link(const Call& call,
                                                     const interlink::v1::LinkRequest& request) {
  const ProcessPtr process = Process();
  if (process == nullptr || process->dead()) return Unavailable("connection refused");
  auto answer = WaitFor<interlink::v1::LinkResponse>(
      call, [&](auto reply) { process->site->Link(call, Node(), request, reply); });
  MutexLock lock(mutex_);
  if (process->dead() || Chance(weather_.lost_answers)) return Unavailable("the answer was lost");
  return answer;
}
Result<interlink::v1::InfoResponse> DirectSite::Info(const Call&) {
  const ProcessPtr process = Process();
  if (process == nullptr || process->dead()) return Unavailable("connection refused");
  return process->site->Info();
}
Result<SandboxRecord> DirectSite::RunSandbox(const Call& call, node::LinkNumber link,
                                             const SandboxId& id, const std::string& body,
                                             Duration wait) {
  return Carry<SandboxRecord>(call, [=](site::Site& site, const Call& c, auto reply) {
    site.RunSandbox(c, {Node(), link}, id, body, wait, reply);
  });
}
Result<SandboxRecord> DirectSite::StopSandbox(const Call& call, node::LinkNumber link,
                                              const SandboxId& id, const std::string& handler,
                                              Duration wait) {
  return Carry<SandboxRecord>(call, [=](site::Site& site, const Call& c, auto reply) {
    site.StopSandbox(c, {Node(), link}, id, handler, wait, reply);
  });
}
Result<SandboxRecord> DirectSite::RemoveSandbox(const Call& call, node::LinkNumber link,
                                                const SandboxId& id, const std::string& handler) {
  return Carry<SandboxRecord>(call, [=](site::Site& site, const Call& c, auto reply) {
    site.RemoveSandbox(c, {Node(), link}, id, handler, std::chrono::seconds(1), reply);
  });
}
Result<ContainerRecord> DirectSite::CreateContainer(const Call& call, node::LinkNumber link,
                                                    const SandboxId& sandbox, const ContainerId& id,
                                                    const std::string& body) {
  return Carry<ContainerRecord>(call, [=](site::Site& site, const Call& c, auto reply) {
    site.CreateContainer(c, {Node(), link}, sandbox, id, body, std::chrono::seconds(1), reply);
  });
}
Result<ContainerRecord> DirectSite::StartContainer(const Call& call, node::LinkNumber link,
                                                   const SandboxId& sandbox, const ContainerId& id,
                                                   const std::string& handler, Duration wait) {
  return Carry<ContainerRecord>(call, [=](site::Site& site, const Call& c, auto reply) {
    site.StartContainer(c, {Node(), link}, sandbox, id, handler, wait, reply);
  });
}
Result<ContainerRecord> DirectSite::StopContainer(
    const Call& call, node::LinkNumber link, const SandboxId& sandbox, const ContainerId& id,
    const interlink::v1::StopContainerRequest& request, Duration wait) {
  return Carry<ContainerRecord>(call, [=](site::Site& site, const Call& c, auto reply) {
    site.StopContainer(c, {Node(), link}, sandbox, id, request, wait, reply);
  });
}
Result<ContainerRecord> DirectSite::RemoveContainer(const Call& call, node::LinkNumber link,
                                                    const SandboxId& sandbox, const ContainerId& id,
                                                    const std::string& handler, Duration wait) {
  return Carry<ContainerRecord>(call, [=](site::Site& site, const Call& c, auto reply) {
    site.RemoveContainer(c, {Node(), link}, sandbox, id, handler, wait, reply);
  });
}

// A list keeps its order (sandboxes before their containers, then its end): that is the site's
// promise, so inside it events are only repeated. What is late when the stream ends is lost.
void DirectSite::Deliver(const interlink::v1::Event& event, Stream& stream) {
  bool late = false;
  bool repeated = false;
  bool enough = false;
  {
    MutexLock lock(mutex_);
    late = Chance(weather_.late_events);
    repeated = Chance(weather_.repeated_events);
    enough = Chance(30);
  }
  if (!event.has_record()) DeliverLate(stream);
  if (event.has_resync()) stream.listing = true;
  if (event.has_end()) stream.listing = false;
  if (stream.listing || !event.has_record()) {
    stream.sink.OnEvent(event);
    if (repeated && event.has_record()) stream.sink.OnEvent(event);
    return;
  }
  if (late || repeated) stream.late.push_back(event);
  if (!late) stream.sink.OnEvent(event);
  if (enough) DeliverLate(stream);
}

void DirectSite::DeliverLate(Stream& stream) {
  {
    MutexLock lock(mutex_);
    std::shuffle(stream.late.begin(), stream.late.end(), random_);
  }
  for (const auto& event : std::exchange(stream.late, {})) stream.sink.OnEvent(event);
}

Status DirectSite::ReadEvents(const Call& call, node::LinkNumber link,
                              const interlink::v1::Position& after, node::EventSink& sink) {
  ProcessPtr process;
  uint64_t cuts = 0;
  {
    MutexLock lock(mutex_);
    process = process_;
    cuts = cuts_;
  }
  if (process == nullptr || process->dead()) return Unavailable("connection refused");
  auto reader = process->site->ReadEvents({Node(), link}, after);
  if (!reader.ok()) return reader.status();
  const auto notify = [this] {
    MutexLock lock(mutex_);
    wake_.NotifyAll();
  };
  const auto cancelled = call.OnCancel(notify);
  Stream stream{sink};
  while (true) {
    {
      MutexLock lock(mutex_);
      wake_.WaitFor(mutex_, std::chrono::seconds(30), [&]() NO_LOCK_ANALYSIS {
        return !held_ || cuts != cuts_ || call.cancelled() || process->dead();
      });
      if (call.cancelled()) return CancelledError("the caller has gone");
    }
    auto events = (*reader)->Next(16);
    if (!events.ok()) return events.status();
    for (const auto& event : *events) Deliver(event, stream);
    // Owners: this loop and the wake that the site holds.
    const auto ready = std::make_shared<std::atomic<bool>>(!events->empty());
    if (events->empty()) {
      (*reader)->OnReady([notify, ready] {
        ready->store(true);
        notify();
      });
    }
    const auto idle = stream.late.empty() ? std::chrono::milliseconds(5000) : kLate;
    {
      MutexLock lock(mutex_);
      wake_.WaitFor(mutex_, idle, [&]() NO_LOCK_ANALYSIS {
        return ready->load() || cuts != cuts_ || call.cancelled() || process->dead();
      });
      if (call.cancelled()) return CancelledError("the caller has gone");
      if (cuts != cuts_ || process->dead()) return Unavailable("the stream broke");
    }
    if (!ready->load()) DeliverLate(stream);
  }
}

std::unique_ptr<node::Site::LogStream> DirectSite::OpenLogs(node::LogSink&) {
  // Nothing here writes logs.
  class Silent final : public node::Site::LogStream {
   public:
    void Subscribe(const SandboxId&, const ContainerId&, uint64_t, uint64_t) override {}
    void Credit(const ContainerId&, uint64_t) override {}
    void Acknowledge(const ContainerId&, uint64_t) override {}
    void Unsubscribe(const ContainerId&) override {}
  };
  return std::make_unique<Silent>();
}

}  // namespace interlink::test
