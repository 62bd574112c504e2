#include "base/rollback.h"

namespace interlink {

Status Rollback::Run() {
  Status joined;
  while (!undos_.empty()) {
    auto [name, undo] = std::move(undos_.back());
    undos_.pop_back();
    Status status = undo();
    if (status.ok()) continue;
    status = status.WithContext("undo of " + name);
    joined =
        joined.ok() ? status : Status(joined.code(), joined.message() + "; " + status.message());
  }
  return joined;
}

Status Rollback::Fail(Status cause) {
  const Status undone = Run();
  if (undone.ok()) return cause;
  return {cause.code(), cause.message() + " (" + undone.message() + ")"};
}

}  // namespace interlink
