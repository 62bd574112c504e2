// ExecSyncCollector: collects sessions to their end, for ExecSync. One thread polls all of them.
// Thread-safe.
#ifndef INTERLINK_SITE_EXEC_SYNC_H_
#define INTERLINK_SITE_EXEC_SYNC_H_

#include <functional>
#include <list>
#include <memory>
#include <thread>
#include <vector>

#include "base/call.h"
#include "base/mutex.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "interlink/v1/record.pb.h"

namespace interlink::site {

class ExecSyncCollector {
 public:
  // At most this much of each stream is kept (as CRI says); the rest is read and dropped.
  static constexpr size_t kMaxOutput = 16U << 20U;

  ExecSyncCollector();
  // Answers what is left with kUnavailable.
  ~ExecSyncCollector();
  ExecSyncCollector(const ExecSyncCollector&) = delete;
  ExecSyncCollector& operator=(const ExecSyncCollector&) = delete;

  // Collects `session` (frames of lib/shim). After `timeout` (zero: none) the command is killed
  // with its whole tree and the response says timed_out, once its end is told. When the call is
  // cancelled or its deadline passes the command is killed too and the answer is kUnavailable. So
  // it is when no end is told, whatever the reason.
  // `reply` runs on the collector's thread.
  void Collect(const Call& call, UniqueFd session, Duration timeout,
               std::function<void(Result<interlink::v1::ExecSyncResponse>)> reply);
  // Sessions in progress.
  size_t size() const;

 private:
  struct Session;
  void Run();
  void Wake();
  // False: it has been answered.
  static bool Step(Session& session);

  UniqueFd wake_;
  mutable Mutex mutex_;
  std::vector<std::unique_ptr<Session>> added_ GUARDED_BY(mutex_);
  size_t live_ GUARDED_BY(mutex_) = 0;
  bool ended_ GUARDED_BY(mutex_) = false;
  std::jthread thread_;
};

}  // namespace interlink::site

#endif  // INTERLINK_SITE_EXEC_SYNC_H_
