// Container: the one container of a shim, from creation to its exit record.
//
//   kCreating -> kCreated -> kRunning -> kExited
//                   `-----------------------^     killed before its start
// The phase changes in OnReaped and Tick only. When the first process was reaped the phase stays
// until its output is drained and the exit record is durable.
#ifndef INTERLINK_CMD_SHIM_CONTAINER_H_
#define INTERLINK_CMD_SHIM_CONTAINER_H_

#include <sys/types.h>

#include <cstdint>
#include <string_view>

#include "cgroup.h"
#include "log_file.h"
#include "loop.h"
#include "process_tree.h"
#include "run_options.h"
#include "shim/messages.h"
#include "user_processes.h"

namespace interlink::shim {

class Sessions;

// A stream that ends some time after its process: what was written before the end is read for
// certain, later bytes only for a short time (a grandchild may hold the other end for ever).
struct Drain {
  static constexpr int64_t kMs = 200;
  int left[2] = {};         // bytes that were there at the end, per stream
  int64_t deadline_ms = 0;  // 0: not draining

  void Begin(const Source& out, const Source& err, int64_t now_ms);
  // `count` bytes were read (0: nothing there, for now).
  void Read(size_t stream, size_t count);
  bool Done(const Source& out, const Source& err, int64_t now_ms) const;
};

class Container {
 public:
  Container(const RunOptions& options, Loop& loop, Strays& strays);
  // REQUIRES: called once, before anything else.
  void Connect(Sessions& sessions) { sessions_ = &sessions; }

  // Makes the log and begins the creation; it ends in OnReaped.
  Outcome Create();
  bool creating() const { return phase_ == Phase::kCreating && create_pid_ > 0; }
  // Why the creation failed; OK while it goes on and after its success.
  const Outcome& creation() const { return creation_; }

  // Begins the start; its end is told to Sessions::OnStarted. EALREADY: it runs.
  Outcome Start();
  Outcome Signal(const SignalRequest& request);
  // KILL for all of it, whose reason the exit record tells: one line, constant.
  Outcome End(std::string_view reason);
  Outcome Resize(const WindowSize& size);
  ContainerState State() const;
  // Its first process has ended.
  bool ending() const { return reaped_; }
  // It has, or is about to: it was killed, and what dies with it may be gone before it.
  bool dying() const;
  // Its exit record is durable.
  bool recorded() const { return stage_ == Stage::kRecorded; }

  // Gives bytes to stdin. How many it took: fewer = Sessions::OnInputReady will come. What cannot
  // be given to anybody is taken.
  size_t Input(std::string_view bytes);
  // A client of stdin has closed it or has left.
  void EndInput();

  // A child has ended. False: none of the container's.
  bool OnReaped(pid_t pid, int status);
  bool runtime_busy() const { return create_pid_ > 0 || start_pid_ > 0; }
  void Tick(int64_t now_ms);
  // When Tick must be called; -1: need not.
  int64_t Deadline() const;
  ExitStatus exit_status() const { return {ExitCodeOf(status_), SignalOf(status_), {}}; }

 private:
  enum class Stage { kAlive, kDraining, kRecording, kRecorded };

  static void OnOut(void* self, uint32_t events);
  static void OnErr(void* self, uint32_t events);
  static void OnInReady(void* self, uint32_t events);

  Outcome StartCreate();
  Outcome TakeCreated();
  // Room for the exit record, so that a full disk cannot keep it from being written.
  Outcome ReserveRecord();
  Outcome WritePidFile();
  void OnCreateEnded(int status);
  void OnStartEnded(int status);
  void ReadStream(LogStream stream);
  void BeginDrain();
  void Record();

  const RunOptions& options_;
  Loop& loop_;
  Strays& strays_;
  Sessions* sessions_ = nullptr;
  Phase phase_ = Phase::kCreating;
  Stage stage_ = Stage::kAlive;
  Outcome creation_;

  pid_t create_pid_ = 0;  // crun create, while it runs
  pid_t start_pid_ = 0;   // crun start, while it runs
  pid_t init_pid_ = 0;    // the container's first process
  bool reaped_ = false;
  bool owns_pid_namespace_ = false;
  int status_ = 0;
  uint64_t start_asked_ns_ = 0;
  uint64_t started_ns_ = 0;
  uint64_t finished_ns_ = 0;
  uint64_t oom_kills_ = 0;
  bool kill_asked_ = false;  // of us
  std::string_view reason_;
  int64_t give_up_start_ms_ = -1;  // -1: it goes on
  int64_t retry_ms_ = 0;
  Drain drain_;

  Cgroup cgroup_;
  UserProcesses users_;  // found where there is no cgroup to tell what is the container's
  LogFile log_;
  Fd console_;
  Fd start_errors_;
  Source in_;
  Source out_;
  Source err_;
  ProcessTree tree_;
};

// Reads what a runtime that has ended left on its stderr: its error.
Outcome RuntimeError(int fd, int status, std::string_view what);
// Notes in shim.log what went wrong and cannot be told to anybody.
void Note(const Outcome& outcome);
// Reads the pid file that the runtime wrote, and unlinks it.
Outcome TakeRuntimePid(const char* name, pid_t& pid);

}  // namespace interlink::shim

#endif  // INTERLINK_CMD_SHIM_CONTAINER_H_
