// Observation: one fact that a backend saw. Facts of one id only move forward (state rank, then
// revision), so order and repetition of arrival do not matter. Value type.
#ifndef INTERLINK_SDK_OBSERVATION_H_
#define INTERLINK_SDK_OBSERVATION_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/id.h"

namespace interlink::sdk {

struct Observation {
  // In order of rank.
  //   sandbox:   kPending -> kUp -> kDown       kPending -> kFailed      any -> kAbsent
  //   container: kPending -> kCreated -> kUp -> kDown                   any -> kAbsent
  enum class State {
    // asked for: queued, starting. Of a container that is being created: what its creation waited
    // for has come; it is asked for again at once.
    kPending,
    kCreated,  // container only: exists, never started
    kUp,       // sandbox ready, container running
    kDown,     // ended; a container has exited (or its start failed: reason StartError)
    kFailed,   // sandbox only: the start failed for good; `reason` and `message` say why
    kAbsent,   // proven: nothing of it exists. Never "not seen"
  };

  NodeId node;
  SandboxId sandbox;
  ContainerId container;  // empty: the fact is about the sandbox
  State state = State::kPending;
  uint64_t revision = 0;

  int exit_code = 0;       // kDown of a container; 128 + n for signal n
  uint64_t log_end = 0;    // kDown: offset after the last log byte
  int64_t started_ns = 0;  // Unix time; 0 = never
  int64_t finished_ns = 0;
  std::string
      reason;  // CRI words: Completed, Error, OOMKilled, StartError; kPending: the queue's reason
  std::string message;              // for a person
  std::vector<std::string> ips;     // sandbox, kUp; empty for the host's network
  std::string allocation;           // what a scheduler gave, e.g. a SLURM job id
  int64_t expected_start_ns = 0;    // kPending: what the scheduler says; 0 = unknown
  bool granted = false;             // kPending: no queue any more, it starts in its allocation
  std::string termination_message;  // kDown of a container, <= 4096 bytes
  // A container's user as it was resolved in the image: valid from kCreated on.
  bool user_known = false;
  int64_t uid = 0;
  int64_t gid = 0;
  std::vector<int64_t> supplemental_groups;
  // Found at Recover without a record of the site: what is needed to import it, as the backend
  // stored it (serialised runtime.v1 PodSandboxConfig or ContainerConfig; handler; image id; of
  // each image that a mount names: its id). A container's config has the resources that it has now
  // (sdk/merged_resources.h), also for a site that has a record of it.
  std::string config;
  std::string handler;
  std::string image_id;
  std::map<std::string, std::string> volume_images;
};

}  // namespace interlink::sdk

#endif  // INTERLINK_SDK_OBSERVATION_H_
