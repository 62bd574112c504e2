// What the agent keeps of its pod on disk, for its next process and for the site. Thread-safe;
// everything is durable when a method returns.
//
//   FOLDER/             0700
//     term              "1 N": version, the highest term that was obeyed
//     gone/ID           a container, or the sandbox, that was stopped or removed: never started
//                       again
//     exits/CONTAINER   ExitFile of interlink.agent.v1
//     heartbeat/beat    "1 NONCE N": version, who beats, a number that rises. The site makes the
//                       folder, and renames it to give the pod up: then nobody can beat any more
//     logs/CONTAINER/   shim/left_log.h: where the folder is shared, what the site has not read
//     left              "1 NONCE ended" or "1 NONCE unsure": this agent has left, whatever for;
//                       everything of it has ended and nothing starts any more, or something may
//                       still run
//     fenced            the same, of one that has left because it found the folder gone
//     refusal           "1 NONCE WORDS": the agent of that nonce has never begun, and why (one
//     line)
//     reserve           room: what is written here on a full disk, or beyond a quota, takes its
//                       place; made with a beat, again and again where there was none
#ifndef INTERLINK_AGENT_POD_FOLDER_H_
#define INTERLINK_AGENT_POD_FOLDER_H_

#include <memory>
#include <set>
#include <string>

#include "base/id.h"
#include "base/mutex.h"
#include "base/status.h"
#include "interlink/agent/v1/agent.pb.h"
#include "shim/left_log.h"

namespace interlink::agent {

class PodFolder {
 public:
  // Makes what is missing. kDataLoss names a damaged file.
  static Result<std::unique_ptr<PodFolder>> Open(const std::string& folder,
                                                 const SandboxId& sandbox,
                                                 const std::string& nonce);

  uint64_t highest_term();
  Status StoreTerm(uint64_t term);

  // From now on this process does not start `id`. Waits for no disk.
  void Refuse(const std::string& id);
  // For the pod's life, `id` is not started. Refuses it first, whatever comes of the mark.
  // Idempotent.
  Status MarkGone(const std::string& id);
  // It is marked, for every later process.
  bool IsGone(const std::string& id);
  // This process does not start it.
  bool IsRefused(const std::string& id);

  // Beats. kNotFound: the site has given the pod up. Any other error: unknown, as good as silence.
  Status Beat();
  // The last word of an agent. REQUIRES: with `ended`, the sandbox is marked gone.
  Status WriteLeft(bool ended);
  // Why this agent does not begin; WriteLeft comes after it. At most 500 bytes of it are kept.
  Status WriteRefusal(const std::string& why);
  // The answer to the site that has given the pod up.
  Status WriteFenced(bool ended);

  std::string Logs() const { return folder_ + "/" + shim::kLeftLogs; }

  // Writes the file unless there is one: an end does not change. REQUIRES: `fact` is a container's
  // end.
  Status WriteExit(const v1::Fact& fact);
  // It is written.
  bool HasExit(const ContainerId& container);

 private:
  PodFolder(std::string folder, const SandboxId& sandbox, std::string nonce)
      : folder_(std::move(folder)), sandbox_(sandbox), nonce_(std::move(nonce)) {}
  Status Load();
  Status WriteWord(const std::string& name, bool ended);
  // Durable; on a full disk in the room of the reserve.
  Status Write(const std::string& name, const std::string& bytes) EXCLUDES_LOCK(reserve_);
  void KeepReserve() EXCLUDES_LOCK(reserve_);
  std::string ReservePath() const { return folder_ + "/reserve"; }

  const std::string folder_;
  const SandboxId sandbox_;
  const std::string nonce_;
  Mutex reserve_;
  Mutex mutex_;
  uint64_t term_ GUARDED_BY(mutex_) = 0;
  std::set<std::string> gone_ GUARDED_BY(mutex_);
  std::set<std::string> refused_ GUARDED_BY(mutex_);  // by this process
  std::set<std::string> exits_ GUARDED_BY(mutex_);
  uint64_t beats_ GUARDED_BY(mutex_) = 0;
};

}  // namespace interlink::agent

#endif  // INTERLINK_AGENT_POD_FOLDER_H_
