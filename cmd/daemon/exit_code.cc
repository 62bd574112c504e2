#include "daemon/exit_code.h"

namespace interlink::cmd_daemon {

int ExitCodeOf(const Status& status) {
  switch (status.code()) {
    case Code::kOk:
      return 0;
    case Code::kInvalidArgument:
    case Code::kFailedPrecondition:
    case Code::kNotFound:
    case Code::kPermissionDenied:
    case Code::kUnauthenticated:
    case Code::kAlreadyExists:
      return 2;
    default:
      return 1;
  }
}

}  // namespace interlink::cmd_daemon
