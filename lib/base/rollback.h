// Rollback: the undo list of a use case. Push the undo on the line after the step; unless
// dismissed, all run in reverse when the object dies or Run() is called. Not thread-safe.
#ifndef INTERLINK_BASE_ROLLBACK_H_
#define INTERLINK_BASE_ROLLBACK_H_

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"

namespace interlink {

class Rollback {
 public:
  Rollback() = default;
  ~Rollback() { Run().ok(); }
  Rollback(const Rollback&) = delete;
  Rollback& operator=(const Rollback&) = delete;

  // `name` appears in the message when the undo fails.
  void Push(std::string name, std::function<Status()> undo) {
    undos_.emplace_back(std::move(name), std::move(undo));
  }
  // The work is done: nothing is undone.
  void Dismiss() { undos_.clear(); }
  // Runs all, in reverse, whatever fails; joins the messages under the code of the first failure.
  Status Run();
  // Runs all and returns `cause`, with what could not be undone appended to its message.
  Status Fail(Status cause);

 private:
  std::vector<std::pair<std::string, std::function<Status()>>> undos_;
};

}  // namespace interlink

#endif  // INTERLINK_BASE_ROLLBACK_H_
