#include "agent/agent.h"

#include <algorithm>
#include <random>
#include <utility>

#include "agent/facts.h"

namespace interlink::agent {
namespace {

constexpr int kAgentThreads = 6;
constexpr size_t kMaxAgentSteps = 10'000;
constexpr auto kStepsWithin = std::chrono::seconds(5);
constexpr auto kWatchEvery = std::chrono::seconds(1);
constexpr auto kLongestCommand = std::chrono::minutes(10);
// Of a beat when the lease is over: the process, or the whole machine, may have been suspended.
constexpr auto kLastBeatWithin = std::chrono::seconds(10);
constexpr auto kRecoverWithin = std::chrono::minutes(1);
// A larger message would end the stream, not the call.
constexpr size_t kMaxAnswer = (16U << 20U) - (64U << 10U);
constexpr const char* kChangesLane = "changes";
constexpr const char* kBeatLane = "beat";
constexpr int kTermCode = 143;  // of a program that TERM has ended
constexpr const char* kLeaseOver = "the site was not heard of for a lease";

}  // namespace

Agent::Agent(AgentOptions options, const Parts& parts)
    : options_(std::move(options)),
      parts_(parts),
      commands_(options_.sandbox, parts.backend, parts.host, parts.folder, parts.layers),
      keeper_(options_.shared_folder && parts.shim_folder
                  ? std::make_unique<LogKeeper>(
                        LogKeeper::Options{parts.folder.Logs(), parts.shim_folder}, parts.log)
                  : nullptr),
      unread_(!options_.shared_folder && parts.shim_folder
                  ? std::make_unique<UnreadLogs>(parts.shim_folder, parts.clock)
                  : nullptr),
      state_(parts.folder.highest_term(), options_.lease, parts.clock.Steady()),
      wait_(options_.shortest_wait),
      steps_("agent", kAgentThreads, kMaxAgentSteps) {
  parts_.host.SetSink(this);
}

Agent::~Agent() {
  parts_.host.SetSink(nullptr);
  std::jthread leaver;  // ends without the lock
  {
    MutexLock lock(mutex_);
    if (!leaving_) leaving_ = "its process ends";  // no step begins another
    leaver.swap(leaver_);
  }
  leaver = {};
  steps_.Stop(kStepsWithin);
  std::list<std::unique_ptr<CarriedStream>> streams;  // closed without the lock
  MutexLock lock(mutex_);
  streams.swap(streams_);
}

Status Agent::Run() {
  RETURN_IF_ERROR(Recover());
  while (true) {
    const Status lost = Connect();
    bool told = false;  // LeaveNow has written the word
    std::optional<Status> end;
    {
      MutexLock lock(mutex_);
      end = EndLocked(lost);
      told = ended_.has_value();
    }
    if (end) return told ? *end : EndUnserved(*end);
    // Once for each reason: a site may be away for hours.
    if (const std::string why = lost.ToString(); why != last_why_) {
      parts_.log.Warning("no connection to the site", {{"why", why}});
      last_why_ = why;
    }
    WaitForNextTry();
    MutexLock lock(mutex_);
    if (const auto left = EndLocked({})) return *left;
  }
}

Status Agent::EndUnserved(Status why) {
  const Status marked = parts_.folder.MarkGone(options_.sandbox.str());
  if (!marked.ok()) {
    parts_.log.Error("the end of the pod cannot be stored", {{"error", marked.ToString()}});
  }
  LeaveWord(true);
  return why;
}

Status Agent::Recover() {
  const auto found = parts_.backend.Recover(Call::WithTimeout(kRecoverWithin), {});
  if (!found.ok()) return found.status().WithContext("look for what an earlier process left");
  const std::vector<v1::Fact> facts = Recorded(*found);
  MutexLock lock(mutex_);
  state_.Put(facts);
  recovered_ = true;
  changed_.NotifyAll();
  return {};
}

std::optional<Status> Agent::EndLocked(const Status& lost) {
  const bool served = state_.highest_term() != 0;
  if (ended_) {
    // Whoever is refused tells nobody; who was never served has nothing to tell.
    if (refused_) return refused_;
    const bool late = parts_.clock.Steady() >= leave_by_;
    if (farewell_ || late || !served) return ended_;
  }
  const bool hopeless =
      lost.code() == Code::kUnauthenticated || lost.code() == Code::kFailedPrecondition;
  if (hopeless && !served) return lost;
  return {};
}

void Agent::WaitForNextTry() {
  // Spread: a site that comes back must not see all of its agents at once.
  std::minstd_rand random(static_cast<unsigned>(parts_.clock.WallNanos()));
  std::uniform_real_distribution<double> spread(0.75, 1.25);
  const auto wait = std::chrono::duration_cast<Duration>(wait_ * spread(random));
  wait_ = std::min(2 * wait_, options_.longest_wait);
  const SteadyTime until = parts_.clock.Steady() + wait;
  while (parts_.clock.Steady() < until) {
    Watch();
    MutexLock lock(mutex_);
    const SteadyTime limit = std::min({until, leave_by_, parts_.clock.Steady() + kWatchEvery});
    const auto over = [&]() NO_LOCK_ANALYSIS { return EndLocked({}).has_value(); };
    if (changed_.WaitUntil(mutex_, limit, over)) return;
  }
}

void Agent::Watch() {
  bool lease_over = false;
  bool look = false;
  bool beat = false;
  const SteadyTime now = parts_.clock.Steady();
  {
    MutexLock lock(mutex_);
    lease_over = IsLeaseOver(now);
    beat = options_.shared_folder && !beating_ && !fenced_ && now >= next_beat_;
    beating_ = beating_ || beat;
    if (beat) next_beat_ = now + options_.beat_every;
    look = state_.wants_all() && !looking_;
    looking_ = looking_ || look;
  }
  if (lease_over) Leave(kLeaseOver);
  // In a lane of its own: a shared file system may make it wait for long.
  if (beat) Post(kBeatLane, [this, now] { Beat(now); });
  if (look) Post(kFactsLane, [this] { LookAround(); });
}

// Where the folder is shared nobody has given the pod up as long as a beat can be written there.
bool Agent::IsLeaseOver(SteadyTime now) {
  if (leaving_ || options_.no_lease || !state_.LeaseOver(now)) {
    last_beat_by_.reset();
    return false;
  }
  if (!options_.shared_folder) return true;
  if (!last_beat_by_) last_beat_by_ = now + kLastBeatWithin;
  next_beat_ = now;
  return now >= *last_beat_by_;
}

void Agent::Beat(SteadyTime began) {
  const Status beaten = parts_.folder.Beat();
  const bool fenced = beaten.code() == Code::kNotFound;
  bool was_last = false;
  {
    MutexLock lock(mutex_);
    beating_ = false;
    was_last = !beaten.ok() && last_beat_by_.has_value();
    fenced_ = fenced_ || fenced;
    // From its beginning: whoever took the folder away later counts from there.
    if (beaten.ok()) state_.Renew(began);
  }
  if (fenced) {
    Leave("the site has given this pod up");
  } else if (!beaten.ok()) {
    parts_.log.Warning("the heartbeat cannot be written", {{"error", beaten.ToString()}});
  }
  if (was_last) Leave(kLeaseOver);
}

void Agent::Post(const std::string& lane, std::function<void()> step) {
  const Status posted = steps_.PostAlways(lane, std::move(step));
  if (!posted.ok()) parts_.log.Debug("a step was not taken", {{"why", posted.message()}});
}

Status Agent::Aside(const std::string& lane, Duration limit, std::function<Status()> what) {
  struct Outcome {
    Mutex mutex;
    CondVar known;
    std::optional<Status> status GUARDED_BY(mutex);
  };
  const auto outcome = std::make_shared<Outcome>();  // owners: this call and the step
  RETURN_IF_ERROR(steps_.Post(lane, [outcome, what = std::move(what)] {
    const Status status = what();
    MutexLock lock(outcome->mutex);
    outcome->status = status;
    outcome->known.NotifyAll();
  }));
  MutexLock lock(outcome->mutex);
  outcome->known.WaitFor(outcome->mutex, limit,
                         [&]() NO_LOCK_ANALYSIS { return outcome->status.has_value(); });
  if (outcome->status) return *outcome->status;
  return DeadlineExceeded("the pod's folder does not answer");
}

// --- what is seen

void Agent::Saw(std::vector<sdk::Observation> seen) {
  NoteEnds(seen);
  Post(kFactsLane, [this, seen = std::move(seen)] {
    const std::vector<v1::Fact> facts = Recorded(seen);
    MutexLock lock(mutex_);
    state_.Put(facts);
    changed_.NotifyAll();
  });
}

void Agent::NoteEnds(const std::vector<sdk::Observation>& seen) {
  MutexLock lock(mutex_);
  for (const sdk::Observation& one : seen) {
    if (one.state >= sdk::Observation::State::kDown) down_.insert(one.container.str());
  }
  changed_.NotifyAll();
}

void Agent::JudgeEnd(v1::Fact& fact) {
  if (fact.exit_code() != 0) return;
  MutexLock lock(mutex_);
  const auto told = told_to_end_.find(fact.container_id());
  if (told == told_to_end_.end() || fact.finished_ns() < told->second) return;
  fact.set_exit_code(kTermCode);
  fact.set_reason("Error");
  fact.set_message("exit code 0 after it was told to end, so its work need not be done: " +
                   leaving_.value_or(""));
}

void Agent::LogHasGrown(const ContainerId& id) {
  MutexLock lock(mutex_);
  logs_grown_.insert(id.str());
  changed_.NotifyAll();
}

std::vector<v1::Fact> Agent::Recorded(const std::vector<sdk::Observation>& seen) {
  std::vector<v1::Fact> facts;
  for (const sdk::Observation& one : seen) {
    v1::Fact fact = ToFact(one);
    if (keeper_ && !one.container.empty() && one.state >= sdk::Observation::State::kCreated &&
        one.state <= sdk::Observation::State::kDown) {
      keeper_->Track(one.container, one.state == sdk::Observation::State::kDown);
    }
    if (unread_ && !one.container.empty() && one.state == sdk::Observation::State::kDown) {
      unread_->Ended(one.container);
    }
    if (fact.state() == v1::Fact::DOWN && !fact.container_id().empty()) {
      JudgeEnd(fact);
      const Status written = parts_.folder.WriteExit(fact);
      // Told all the same: a full disk must not make a container immortal. It is tried again when
      // the fact is seen again.
      if (!written.ok()) {
        parts_.log.Error("an exit record cannot be written",
                         {{"container", fact.container_id()}, {"error", written.ToString()}});
      }
    }
    facts.push_back(std::move(fact));
  }
  return facts;
}

void Agent::LookAround() {
  const auto seen = parts_.backend.Observe(Call::WithTimeout(kLookWithin));
  std::vector<v1::Fact> facts;
  if (seen.ok()) {
    NoteEnds(*seen);
    facts = Recorded(*seen);
  }
  MutexLock lock(mutex_);
  looking_ = false;
  // Not seen: Watch asks again.
  if (seen.ok() && state_.wants_all()) state_.PutAll(facts);
  changed_.NotifyAll();
}

// --- what is asked for

Status Agent::TakeCommand(const v1::Command& command) {
  uint64_t stream = 0;
  {
    MutexLock lock(mutex_);
    ASSIGN_OR_RETURN(const bool obey, state_.OnCommand(command));
    if (!obey) return {};
    stream = stream_;
  }
  const std::string lane =
      IsChange(command) ? kChangesLane : "look " + std::to_string(command.number());
  Post(lane, [this, command, stream] { CarryOut(command, stream); });
  return {};
}

void Agent::CarryOut(const v1::Command& command, uint64_t stream) {
  {
    MutexLock lock(mutex_);
    // Taken under a term that has passed: whoever asked is gone, and asks again if need be.
    if (!state_.Obeys(command.term())) return;
  }
  const Duration timeout = std::chrono::milliseconds(command.timeout_ms());
  const Call call = Call::WithTimeout(std::min<Duration>(timeout, kLongestCommand));
  v1::Answer answer;
  answer.set_number(command.number());
  if (command.has_open_stream()) {
    answer = OpenStream(call, command);
  } else if (command.has_leave()) {
    Leave("the site has asked for it", true);
  } else {
    ForgetLogs(command);
    answer = commands_.Carry(call, command);
    NoteRead(command, answer);
  }
  if (answer.ByteSizeLong() > kMaxAnswer) {
    const std::string size = std::to_string(answer.ByteSizeLong());
    answer.Clear();
    answer.set_number(command.number());
    answer.set_code(static_cast<int>(Code::kResourceExhausted));
    answer.set_message("the answer has " + size + " bytes, the limit is " +
                       std::to_string(kMaxAnswer));
  }
  MutexLock lock(mutex_);
  if (stream != stream_) return;  // its number means something else now
  answers_.push_back(std::move(answer));
  changed_.NotifyAll();
}

void Agent::ForgetLogs(const v1::Command& command) {
  if (command.has_remove_sandbox()) {
    if (keeper_) keeper_->ForgetAll();
    if (unread_) unread_->ForgetAll();
  }
  if (!command.has_remove_container()) return;
  const ContainerId id(command.remove_container().container_id());
  if (keeper_) keeper_->Forget(id);
  if (unread_) unread_->Forget(id);
}

void Agent::NoteRead(const v1::Command& command, const v1::Answer& answer) {
  if (!unread_ || !answer.has_log()) return;
  unread_->WasRead(ContainerId(command.read_log().container_id()), answer.log().end());
}

v1::Answer Agent::OpenStream(const Call& call, const v1::Command& command) {
  const v1::OpenStream& request = command.open_stream();
  v1::Answer answer;
  answer.set_number(command.number());
  const auto refuse = [&answer](const Status& why) {
    answer.set_code(static_cast<int>(why.code()));
    answer.set_message(why.message());
    return answer;
  };
  std::list<std::unique_ptr<CarriedStream>> over;  // closed without the lock
  {
    MutexLock lock(mutex_);
    for (auto it = streams_.begin(); it != streams_.end();) {
      const auto next = std::next(it);
      if ((*it)->over()) over.splice(over.end(), streams_, it);
      it = next;
    }
    if (streams_.size() >= options_.max_streams) {
      return refuse(ResourceExhausted("the agent has " + std::to_string(streams_.size()) +
                                      " sessions already"));
    }
  }
  auto end = commands_.Open(call, request);
  if (!end.ok()) return refuse(end.status());
  const bool frames = request.has_exec() || request.has_attach();
  auto carried = std::make_unique<CarriedStream>(
      *std::move(end), parts_.channel.OpenStream(request.stream_id()), frames);
  MutexLock lock(mutex_);
  streams_.push_back(std::move(carried));
  return answer;
}

}  // namespace interlink::agent
