// QueueRoom: whether SLURM takes another job, as far as sbatch has said. SLURM has a limit for jobs
// of all users (MaxJobCount): at it sbatch waits until it is killed, which helps no pod and costs a
// thread. So while the queue is full one pod at a time asks for all, later each time. No I/O, no
// locks.
#ifndef INTERLINK_PLUGINS_SLURM_QUEUE_ROOM_H_
#define INTERLINK_PLUGINS_SLURM_QUEUE_ROOM_H_

#include <optional>
#include <string>

#include "base/clock.h"
#include "base/id.h"

namespace interlink::slurm {

class QueueRoom {
 public:
  // The pod may run sbatch. While the queue is full that is one pod from when it is time, again
  // when it is repeated, until its Done.
  bool Admit(const SandboxId& id, SteadyTime now);
  // Its sbatch found the queue full: 10 s, 20 s ... 5 min of rest. Others that had begun before say
  // nothing new.
  void Full(const SandboxId& id, const std::string& words, SteadyTime now);
  // A job was accepted: there is room for all.
  void Accepted();
  // Its submission is over, whatever came of it.
  void Done(const SandboxId& id);

  // SLURM's words; empty: the queue is not known to be full.
  const std::string& words() const { return words_; }

 private:
  std::string words_;
  int full_ = 0;  // in a row
  SteadyTime again_at_{};
  std::optional<SandboxId> asking_;
};

}  // namespace interlink::slurm

#endif  // INTERLINK_PLUGINS_SLURM_QUEUE_ROOM_H_
