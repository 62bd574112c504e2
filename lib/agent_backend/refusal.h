// What an error of a provisioner or of an agent says about what was asked for (sdk/backend.h).
#ifndef INTERLINK_AGENT_BACKEND_REFUSAL_H_
#define INTERLINK_AGENT_BACKEND_REFUSAL_H_

#include <cstdint>

#include "base/status.h"

namespace interlink::agent_backend {

// Each says all that those before it say.
enum class Refusal : uint8_t {
  kNone,        // no refusal: it may have been carried out, and is asked for again
  kNothing,     // nothing was made: what is recorded of a container for it goes
  kFinal,       // and it will fail again in the same way
  kBeforehand,  // and nothing was asked for: as if it had never come
};

Refusal RefusalOf(Code code);

}  // namespace interlink::agent_backend

#endif  // INTERLINK_AGENT_BACKEND_REFUSAL_H_
