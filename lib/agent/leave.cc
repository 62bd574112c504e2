// The end: every container is stopped with its grace, its exit is recorded and told.
#include <algorithm>
#include <charconv>
#include <utility>

#include "agent/agent.h"

namespace interlink::agent {
namespace {

// kubelet writes it on every container.
constexpr const char* kGraceAnnotation = "io.kubernetes.pod.terminationGracePeriod";
constexpr int64_t kDefaultGraceSeconds = 30;
// Of leave_within: from KILL to the last exit record, and to tell it.
constexpr auto kAfterKill = std::chrono::seconds(5);
constexpr auto kToTell = std::chrono::seconds(2);
constexpr auto kToSave = std::chrono::seconds(1);  // of that, the last bytes of logs
constexpr auto kLookAtLogs = std::chrono::milliseconds(100);
// The mark of the pod's end in its folder, before its containers are stopped all the same.
constexpr auto kToMark = std::chrono::seconds(2);
constexpr auto kWriteAgain = std::chrono::seconds(1);
constexpr const char* kGoneLane = "gone";
constexpr auto kLookForStop = std::chrono::milliseconds(100);  // nobody tells of it

std::chrono::seconds GraceOf(const v1::Fact& fact) {
  runtime::v1::ContainerConfig config;
  int64_t seconds = kDefaultGraceSeconds;
  if (!config.ParseFromString(fact.config())) return std::chrono::seconds(seconds);
  const auto found = config.annotations().find(kGraceAnnotation);
  if (found == config.annotations().end()) return std::chrono::seconds(seconds);
  const std::string& text = found->second;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (parsed.ec != std::errc() || seconds < 0) seconds = kDefaultGraceSeconds;
  return std::chrono::seconds(seconds);
}

}  // namespace

void Agent::Leave(const std::string& why) { Leave(why, false); }

void Agent::Leave(const std::string& why, bool asked) {
  MutexLock lock(mutex_);
  if (leaving_) return;
  leaving_ = why;
  leave_asked_ = asked;
  leave_by_ = parts_.clock.Steady() + options_.leave_within;
  leaver_ = std::jthread([this](const std::stop_token& stop) { LeaveNow(stop); });
}

void Agent::LeaveNow(const std::stop_token& stop) {
  SteadyTime deadline;
  {
    MutexLock lock(mutex_);
    deadline = leave_by_ - kToTell;
    parts_.log.Info("the agent leaves", {{"why", *leaving_}});
  }
  Status end = StopEverything(stop, deadline);
  if (end.ok() && !AwaitExits(stop, deadline))
    end = DeadlineExceeded("the end of a container is neither written nor told");
  if (!end.ok()) parts_.log.Error("the pod has not ended", {{"why", end.ToString()}});
  if (keeper_ && !keeper_->AwaitSaved(deadline + kToSave))
    parts_.log.Error("not all logs are saved for the site", {});
  AwaitLogs(stop, deadline);
  const bool proven = !stop.stop_requested() && LeaveWord(end.ok());
  MutexLock lock(mutex_);
  proven_ = proven;
  ended_ = std::move(end);
  changed_.NotifyAll();
}

bool Agent::ExitsKeptLocked() {
  return std::all_of(state_.facts().begin(), state_.facts().end(), [&](const auto& entry) {
    const auto& [id, fact] = entry;
    if (id.empty() || fact.state() != v1::Fact::DOWN) return fact.state() >= v1::Fact::DOWN;
    return parts_.folder.HasExit(ContainerId(id)) || state_.told_all();
  });
}

bool Agent::AwaitExits(const std::stop_token& stop, SteadyTime deadline) {
  while (true) {
    {
      MutexLock lock(mutex_);
      const auto over = [&]()
                            NO_LOCK_ANALYSIS { return stop.stop_requested() || ExitsKeptLocked(); };
      const SteadyTime limit = std::min(deadline, parts_.clock.Steady() + kWriteAgain);
      changed_.WaitUntil(mutex_, limit, over);
      if (ExitsKeptLocked()) return true;
    }
    const Duration left = deadline - parts_.clock.Steady();
    if (stop.stop_requested() || left <= Duration::zero()) return false;
    // Behind those that are under way. What has failed is tried again.
    const Status written = Aside(kFactsLane, left, [this] {
      ASSIGN_OR_RETURN(const auto seen, parts_.backend.Observe(Call::WithTimeout(kLookWithin)));
      Recorded(seen);
      return Status::Ok();
    });
    if (!written.ok()) {
      parts_.log.Warning("the ends of containers are not all written",
                         {{"why", written.ToString()}});
    }
  }
}

// Nobody tells of an acknowledgement: it is in a file of the container's shim.
void Agent::AwaitLogs(const std::stop_token& stop, SteadyTime deadline) {
  if (!unread_) return;
  std::vector<ContainerId> unread = unread_->All();
  while (!unread.empty() && !stop.stop_requested() && parts_.clock.Steady() < deadline) {
    {
      MutexLock lock(mutex_);
      // Nobody comes for them.
      if (refused_ || state_.highest_term() == 0) break;
      changed_.WaitFor(mutex_, kLookAtLogs,
                       [&]() NO_LOCK_ANALYSIS { return stop.stop_requested(); });
    }
    unread = unread_->All();
  }
  for (const ContainerId& id : unread) {
    parts_.log.Error("the site has not read all of a log: the rest of it is lost",
                     {{"container", id.str()}});
  }
}

bool Agent::LeaveWord(bool ended) {
  bool fenced = false;
  {
    MutexLock lock(mutex_);
    fenced = fenced_;
  }
  // Without its mark the next process could still start something.
  const bool proven = ended && parts_.folder.IsGone(options_.sandbox.str());
  Status told = parts_.folder.WriteLeft(proven);
  if (fenced && told.ok()) told = parts_.folder.WriteFenced(proven);
  if (!told.ok()) {
    parts_.log.Error("the site cannot be told in the pod's folder that this agent has left",
                     {{"error", told.ToString()}});
  }
  return proven;
}

Status Agent::StopEverything(const std::stop_token& stop, SteadyTime deadline) {
  // First: nothing starts from here on, also in the next process. A folder that hangs holds up the
  // proof of the end (LeaveWord) and not the end: the site may count on it (fence).
  const std::string pod_id = options_.sandbox.str();
  parts_.folder.Refuse(pod_id);
  const Status marked =
      Aside(kGoneLane, kToMark, [this, pod_id] { return parts_.folder.MarkGone(pod_id); });
  if (!marked.ok()) {
    parts_.log.Error("the end of the pod cannot be stored", {{"error", marked.ToString()}});
  }
  if (!AwaitRecovered(stop, deadline)) {
    return DeadlineExceeded("it is not known yet what an earlier process of the agent has left");
  }
  std::map<std::string, v1::Fact> facts;
  {
    MutexLock lock(mutex_);
    facts = state_.facts();
  }
  const SteadyTime kill_by = deadline - kAfterKill;
  Status failed;
  for (const auto& [id, fact] : facts) {
    if (id.empty() || fact.state() >= v1::Fact::DOWN) continue;
    {
      MutexLock lock(mutex_);
      if (!leave_asked_) told_to_end_.emplace(id, parts_.clock.WallNanos());
    }
    const auto left = std::chrono::duration_cast<std::chrono::seconds>(
        std::max(Duration::zero(), kill_by - parts_.clock.Steady()));
    const Status stopped =
        parts_.backend.StopContainer(Call::WithTimeout(kAfterKill), options_.sandbox,
                                     ContainerId(id), std::min(left, GraceOf(fact)));
    if (!stopped.ok() && failed.ok()) failed = stopped.WithContext("stop container \"" + id + "\"");
  }
  AwaitEnds(stop, kill_by, false);
  const auto pod = facts.find("");
  if (pod == facts.end()) return failed;
  // With grace 0 for what is left.
  const Status stopped = parts_.backend.StopSandbox(
      Call::WithTimeout(kAfterKill), NodeId(pod->second.node_id()), options_.sandbox);
  if (!stopped.ok()) return stopped.WithContext("stop the sandbox");
  if (AwaitEnds(stop, deadline, true)) return {};
  return failed.ok() ? DeadlineExceeded("something of the pod still runs") : failed;
}

bool Agent::AwaitRecovered(const std::stop_token& stop, SteadyTime deadline) {
  MutexLock lock(mutex_);
  while (!recovered_ && !stop.stop_requested() && parts_.clock.Steady() < deadline) {
    changed_.WaitFor(mutex_, kLookForStop, [&]() NO_LOCK_ANALYSIS { return recovered_; });
  }
  return recovered_;
}

bool Agent::AwaitEnds(const std::stop_token& stop, SteadyTime deadline, bool sandbox) {
  MutexLock lock(mutex_);
  const auto ended = [&]() NO_LOCK_ANALYSIS {
    if (stop.stop_requested()) return true;
    return std::all_of(state_.facts().begin(), state_.facts().end(), [&](const auto& entry) {
      return entry.second.state() >= v1::Fact::DOWN || down_.count(entry.first) != 0 ||
             (entry.first.empty() && !sandbox);
    });
  };
  return changed_.WaitUntil(mutex_, deadline, ended) && !stop.stop_requested();
}

}  // namespace interlink::agent
