#include "slurm/queue_room.h"

#include "slurm/pod_life.h"

namespace interlink::slurm {
namespace {

constexpr int kSlowerForRoom = 10;  // than other tries

}  // namespace

bool QueueRoom::Admit(const SandboxId& id, SteadyTime now) {
  if (words_.empty() || asking_ == id) return true;
  if (asking_ || now < again_at_) return false;
  asking_ = id;
  return true;
}

void QueueRoom::Full(const SandboxId& id, const std::string& words, SteadyTime now) {
  const bool news = words_.empty() || asking_ == id;
  words_ = words;
  if (news) again_at_ = now + kSlowerForRoom * PauseAfter(++full_);
}

void QueueRoom::Accepted() {
  words_.clear();
  full_ = 0;
  asking_.reset();
}

void QueueRoom::Done(const SandboxId& id) {
  if (asking_ == id) asking_.reset();
}

}  // namespace interlink::slurm
