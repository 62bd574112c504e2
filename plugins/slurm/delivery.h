// One delivery: an srun that brings the agent into a job (delivery_command.h), from its start to
// its end.
#ifndef INTERLINK_PLUGINS_SLURM_DELIVERY_H_
#define INTERLINK_PLUGINS_SLURM_DELIVERY_H_

#include <chrono>
#include <functional>
#include <string>

#include "base/clock.h"
#include "base/status.h"
#include "slurm/claim.h"
#include "slurm/commands.h"
#include "slurm/delivery_command.h"

namespace interlink::slurm {

struct Parcel {
  std::string agent;  // its file, on this machine
  std::string ca_pem;
  std::string token;
};

struct DeliveryLimits {
  Duration greets_within = std::chrono::seconds(30);  // from srun's start
  Duration moves_within = std::chrono::seconds(60);   // from one byte to the next
  Duration ends_within = std::chrono::seconds(3);     // then TERM, then KILL
  Duration all_within = std::chrono::minutes(10);
};

struct DeliveryWay {
  Commands& commands;
  // It becomes readable when nothing is wanted any more.
  int quit = -1;
  // Stores the claim, durably, before a byte is sent to it. An error: none is.
  std::function<Status(const Claim&)> take_claim;
  DeliveryLimits limits = {};
};

// True: the agent is there with all that it needs, now or already. False: the job's script has made
// no folder yet. An error: it may be there in part, which is nothing, or wholly; repeat. Greeting
// and sizes of `command` are set here. Blocks; leaves no srun.
Result<bool> Deliver(const DeliveryWay& way, DeliveryCommand command, const Parcel& parcel);

}  // namespace interlink::slurm

#endif  // INTERLINK_PLUGINS_SLURM_DELIVERY_H_
