#include "agent_hub/hub.h"

#include <utility>

#include "agent_hub/port_certificate.h"
#include "agent_hub/queued_line.h"
#include "agent_hub/slot_entry.h"
#include "agent_hub/token.h"

namespace interlink::agent_hub {
namespace {

constexpr auto kHelloWithin = std::chrono::seconds(10);
constexpr auto kDrain = std::chrono::seconds(5);
constexpr int kHubThreads = 8;
constexpr size_t kMaxHubSteps = 100'000;
constexpr uint32_t kProtocolSpoken = 1;
// Acknowledgements that wait beside the commands: an agent that does not read is cut off.
constexpr size_t kMaxWaitingAcks = 256;
constexpr const char* kCertificate = "certificate.pem";

}  // namespace

Result<std::unique_ptr<AgentHub>> AgentHub::Start(HubOptions options, AgentEvents& events,
                                                  net::Io& io, Log& log, const Clock& clock) {
  if (options.heartbeat.count() <= 0)
    return InvalidArgument("the agents' heartbeat must be above 0");
  ASSIGN_OR_RETURN(HubFiles files, HubFiles::Open(options.folder, clock));
  HubServerOptions server;
  server.address = options.address;
  server.port = options.port;
  server.certificate = options.folder + "/" + kCertificate;
  RETURN_IF_ERROR(StageCertificate(options.cert_file, options.key_file, server.certificate));
  server.agent_key = files.agent_key();
  server.max_calls = 2 * options.max_agents + options.max_streams;
  std::unique_ptr<AgentHub> hub(
      new AgentHub(std::move(options), std::move(files), events, io, log, clock));
  ASSIGN_OR_RETURN(hub->server_, HubServer::Start(server, *hub, log));
  hub->Tick();
  return hub;
}

AgentHub::AgentHub(HubOptions options, HubFiles files, AgentEvents& events, net::Io& io, Log& log,
                   const Clock& clock)
    : options_(std::move(options)),
      files_(std::move(files)),
      terms_{files_.term(), options_.site, options_.heartbeat, options_.lease,
             options_.max_commands},
      events_(events),
      io_(io),
      log_(log),
      clock_(clock),
      steps_("agents", kHubThreads, kMaxHubSteps) {}

AgentHub::~AgentHub() { Stop(); }

void AgentHub::Stop() {
  stopping_ = true;
  timer_.Stop();
  // Calls come and use this object until it returns.
  if (server_ != nullptr) server_->Stop();
  steps_.Stop(kDrain);
}

Status AgentHub::RenewCertificate() {
  return StageCertificate(options_.cert_file, options_.key_file,
                          options_.folder + "/" + kCertificate);
}

std::string AgentHub::TokenOf(const SandboxId& id) const {
  return PodToken(files_.agent_key(), id);
}

void AgentHub::Post(const SandboxId& id, std::function<void()> step) {
  const Status posted = steps_.PostAlways(id.str(), std::move(step));
  if (!posted.ok()) log_.Debug("a step of an agent was not taken", {{"why", posted.message()}});
}

Result<std::shared_ptr<AgentHub::SlotEntry>> AgentHub::SlotOf(const SandboxId& id, bool make) {
  MutexLock lock(mutex_);
  const auto found = slots_.find(id);
  if (found != slots_.end()) return found->second;
  if (!make) return Unavailable("no agent of sandbox \"" + id.str() + "\" has come in");
  if (slots_.size() >= options_.max_agents) {
    return ResourceExhausted("the site has " + std::to_string(slots_.size()) + " agents already");
  }
  auto entry = std::make_shared<SlotEntry>(*this, id);
  slots_.emplace(id, entry);
  return entry;
}

void AgentHub::OnControl(const SandboxId& id, StreamPtr stream) {
  const auto line = std::make_shared<QueuedLine>(id, std::move(stream), timer_,
                                                 options_.max_commands + kMaxWaitingAcks);
  timer_.After(kHelloWithin, [weak = std::weak_ptr<QueuedLine>(line)] {
    const auto late = weak.lock();
    if (late && !late->said_hello) late->End(DeadlineExceeded("no hello within 10 s"));
  });
  ReadNext(line);
}

void AgentHub::ReadNext(const std::shared_ptr<QueuedLine>& line) {
  line->Read([this, line](std::optional<std::string> message) {
    Post(line->sandbox, [this, line, message = std::move(message)] {
      if (message) {
        TakeMessage(line, *message);
        return ReadNext(line);
      }
      line->End(Unavailable("the connection is gone"));
      const auto entry = SlotOf(line->sandbox, false);
      if (entry.ok()) (*entry)->slot.Ended(line, line->why(), clock_.Steady());
    });
  });
}

void AgentHub::TakeMessage(const std::shared_ptr<QueuedLine>& line, const std::string& bytes) {
  agent::v1::AgentMessage message;
  if (!message.ParseFromString(bytes)) {
    return line->End(InvalidArgument("a message is not of interlink.agent.v1"));
  }
  if (!line->said_hello) {
    line->said_hello = true;
    return TakeHello(line, message.hello());
  }
  const auto entry = SlotOf(line->sandbox, false);
  if (!entry.ok()) return line->End(entry.status());
  const SteadyTime now = clock_.Steady();
  (*entry)->heard_ns = now.time_since_epoch().count();
  (*entry)->slot.Take(line, message, now);
}

void AgentHub::Refuse(const std::shared_ptr<QueuedLine>& line, agent::v1::Refused::Reason reason,
                      const std::string& why) {
  log_.Warning("an agent is refused", {{"sandbox", line->sandbox.str()}, {"why", why}});
  agent::v1::HubMessage message;
  message.mutable_refused()->set_reason(reason);
  message.mutable_refused()->set_message(why);
  line->Send(message);
  line->End(FailedPrecondition(why));
}

void AgentHub::TakeHello(const std::shared_ptr<QueuedLine>& line, const agent::v1::Hello& hello) {
  using agent::v1::Refused;
  if (hello.protocol() != kProtocolSpoken) {
    return Refuse(line, Refused::PROTOCOL,
                  "the agent (" + hello.build_id() + ") speaks version " +
                      std::to_string(hello.protocol()) + " of the agent protocol, this site (" +
                      INTERLINK_VERSION + ") speaks version " + std::to_string(kProtocolSpoken));
  }
  if (hello.sandbox_id() != line->sandbox.str()) {
    return Refuse(line, Refused::MALFORMED, "the hello's sandbox is not the token's");
  }
  if (!IsNonce(hello.nonce())) {
    return Refuse(line, Refused::MALFORMED,
                  "the hello's nonce is not 32 to 64 lower-case hex digits");
  }
  if (hello.highest_term() > term()) {
    return Refuse(line, Refused::NEWER_TERM,
                  "the agent obeys term " + std::to_string(hello.highest_term()) +
                      ", this site has only " + std::to_string(term()) +
                      ": another process of this site is newer");
  }
  const Status wanted = events_.MayCome(line->sandbox, PlaceOf(hello));
  if (!wanted.ok()) {
    const bool later = wanted.code() == Code::kUnavailable;
    return Refuse(line, later ? Refused::UNDECIDED : Refused::NOT_EXPECTED, wanted.message());
  }
  const auto entry = SlotOf(line->sandbox, true);
  if (!entry.ok()) return Refuse(line, Refused::LIMIT, entry.status().message());
  const auto bound = files_.Bind(line->sandbox, hello.nonce());
  if (!bound.ok()) return Refuse(line, Refused::UNDECIDED, bound.status().message());
  if (*bound == kNobody) {
    return Refuse(line, Refused::TAKEN_BY_SITE, "the site has given this sandbox up");
  }
  if (*bound != hello.nonce()) {
    return Refuse(line, Refused::OTHER_NONCE, "this sandbox belongs to another agent");
  }
  const SteadyTime now = clock_.Steady();
  (*entry)->heard_ns = now.time_since_epoch().count();
  (*entry)->slot.Welcome(line, hello, now);
}

void AgentHub::Tick() {
  std::vector<std::pair<SandboxId, std::shared_ptr<SlotEntry>>> entries;
  {
    MutexLock lock(mutex_);
    entries.assign(slots_.begin(), slots_.end());
  }
  for (const auto& [id, entry] : entries) {
    Post(id, [this, entry] { entry->slot.Tick(clock_.Steady()); });
  }
  timer_.After(options_.heartbeat, [this] { Tick(); });
}

}  // namespace interlink::agent_hub
