#include "agent_backend/refusal.h"

namespace interlink::agent_backend {

Refusal RefusalOf(Code code) {
  switch (code) {
    case Code::kInvalidArgument:
    case Code::kUnimplemented:
    case Code::kPermissionDenied:
      return Refusal::kBeforehand;
    case Code::kFailedPrecondition:
      return Refusal::kFinal;
    case Code::kNotFound:
      return Refusal::kNothing;
    default:
      return Refusal::kNone;
  }
}

}  // namespace interlink::agent_backend
