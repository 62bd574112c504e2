// Sessions: the connections of the control socket, and the commands that exec sessions run.
//
//   kRequest -> kStarting | kWatch | kAttach | kExec -> kLeaving -> kFree
// kLeaving: everything is said, what waits is still sent (10 s at most). An exec session whose
// client is gone lives on until its process is reaped.
#ifndef INTERLINK_CMD_SHIM_SESSIONS_H_
#define INTERLINK_CMD_SHIM_SESSIONS_H_

#include <sys/types.h>

#include <cstdint>
#include <span>
#include <string_view>

#include "container.h"
#include "loop.h"
#include "outbox.h"
#include "process_tree.h"
#include "run_options.h"
#include "shim/frames.h"
#include "shim/messages.h"

namespace interlink::shim {

inline constexpr size_t kMaxSessions = 128;
// Of them only for requests and watches: a container that is full of sessions can be stopped.
inline constexpr size_t kRequestSessions = 16;
inline constexpr size_t kOutboxLimit = size_t{256} * 1024;

struct Session {
  enum class Role { kFree, kRequest, kStarting, kWatch, kAttach, kExec, kLeaving };

  Sessions* sessions = nullptr;
  unsigned number = 0;  // its slot
  Role role = Role::kFree;
  int64_t deadline_ms = -1;  // of kRequest and kLeaving

  // The client.
  Source socket;
  Pages input;
  FrameDecoder decoder{nullptr, 0};
  Outbox outbox{kOutboxLimit};
  SessionRequest request;       // its path is not valid any more
  std::string_view stdin_left;  // of the frame that is being written to stdin
  bool armed = false;           // kWatch
  uint64_t armed_at = 0;

  // kExec: the command.
  pid_t runtime_pid = 0;  // crun exec, while it runs
  pid_t process = 0;      // the command's process, until it is reaped
  bool ended = false;
  int status = 0;
  int64_t kill_ms = -1;  // when HUP becomes KILL
  int64_t gone_ms = -1;  // killed: how long we look for its tree to go
  Drain drain;
  Fd console;
  Source in;
  Source out;
  Source err;
  ProcessTree tree;

  bool connected() const { return socket.fd.valid(); }
};

class Sessions {
 public:
  Sessions(const RunOptions& options, Loop& loop, Strays& strays, Container& container);

  // Listens on the control socket in the current directory.
  Outcome Listen();
  // No new connections; the socket is removed.
  void StopListening();

  // Told by the container.
  void OnStarted(const Outcome& outcome);
  void OnOutput(LogStream stream, std::string_view bytes, uint64_t log_size);
  void OnInputReady();
  void OnExited();

  // A child has ended. False: none of ours.
  bool OnReaped(pid_t pid, int status);
  // A call of the runtime is under way.
  bool runtime_busy() const;
  // Somebody waits for the container's end.
  bool watched() const;
  // When the last watch ended, of those that have; 0: none has.
  int64_t watch_ended_ms() const { return watch_ended_ms_; }
  // Somebody has still to be told something.
  bool busy() const;
  void Tick(int64_t now_ms);
  int64_t Deadline() const;

 private:
  static void OnAccept(void* self, uint32_t events);
  static void OnSocket(void* self, uint32_t events);
  static void OnExecIn(void* self, uint32_t events);
  static void OnExecOut(void* self, uint32_t events);
  static void OnExecErr(void* self, uint32_t events);

  // sessions.cc: connections and requests.
  void Accept();
  Session* FreeSlot();
  void ReadClient(Session& session, uint32_t events);
  void HandleFrames(Session& session);
  void HandleFrame(Session& session, const Frame& frame);
  void HandleRequest(Session& session, const Frame& frame);
  void HandleStart(Session& session);
  void HandleSession(Session& session, const Frame& frame);
  void Answer(Session& session, const Outcome& outcome);
  void WatchSocket(Session& session);
  void SettleSent(Session& session, Outbox::Sent sent);
  void ClientGone(Session& session);
  // Before its role changes: notes the end of a watch.
  void NoteWatch(const Session& session);
  void Leave(Session& session);
  void Free(Session& session);

  // stream.cc: what flows in attach and exec sessions.
  void HandleStream(Session& session, const Frame& frame);
  void WriteStdin(Session& session);
  void EndStdin(Session& session);
  void SendLogSize(Session& session, uint64_t log_size);
  uint32_t OpenSessions() const;

  // exec.cc: commands.
  void BeginExec(Session& session, std::string_view process);
  Outcome StartExec(Session& session, const char* process);
  void OnExecStarted(Session& session, int status);
  Outcome TakeExec(Session& session);
  void WatchExec(Session& session);
  void PumpExec(Session& session, size_t stream);
  void KillExec(Session& session);
  void HangUpExec(Session& session);
  void FinishExec(Session& session, int64_t now_ms);
  void TickExec(Session& session, int64_t now_ms);

  const RunOptions& options_;
  Loop& loop_;
  Strays& strays_;
  Container& container_;
  int64_t watch_ended_ms_ = 0;
  Source listener_;
  // Slots are made when they are first needed and used again: memory that is not touched is not
  // there.
  std::span<Session> slots_;
  Pages memory_;
};

}  // namespace interlink::shim

#endif  // INTERLINK_CMD_SHIM_SESSIONS_H_
