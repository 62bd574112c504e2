// Commands of exec sessions.
#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>

#include <cerrno>

#include "console.h"
#include "sessions.h"
#include "shim/pidfile.h"

namespace interlink::shim {
namespace {

constexpr int64_t kHangUpMs = 10'000;
constexpr int64_t kGoneMs = 2'000;

void AddName(TextBuffer& name, const Session& session, std::string_view what) {
  name.Add("exec.").AddUnsigned(session.number).Add(".").Add(what);
}

}  // namespace

void Sessions::BeginExec(Session& session, std::string_view process) {
  Text<kMaxText> path;
  path.Add(process);
  const Outcome begun = process.empty() || process.front() != '/'
                            ? Outcome::Words(EINVAL, "exec needs an absolute path of process.json")
                            : StartExec(session, path.c_str());
  if (!begun.ok()) {
    Answer(session, begun);
    return;
  }
  session.role = Session::Role::kExec;
  WatchSocket(session);
}

Outcome Sessions::StartExec(Session& session, const char* process) {
  Text<64> pid_name;
  Text<128> pid_path;
  Text<64> console_name;
  Text<128> console_path;
  AddName(pid_name, session, "pid");
  AddName(console_name, session, "tty");
  AddOurPath(pid_path, pid_name.view());
  AddOurPath(console_path, console_name.view());
  RuntimeCall call;
  for (const char* argument :
       {"exec", "--detach", "--process", process, "--pid-file", pid_path.c_str()}) {
    call.Add(argument);
  }
  Fd in_read;
  Fd out_write;
  Fd err_write;
  // stderr always: it tells why crun failed.
  Outcome outcome = MakePipe(session.err.fd, err_write);
  if (session.request.tty) {
    call.Add("--console-socket");
    call.Add(console_path.c_str());
    if (outcome.ok()) outcome = ListenConsole(console_name.c_str(), session.console);
  } else {
    if (outcome.ok() && session.request.in) outcome = MakePipe(in_read, session.in.fd);
    if (outcome.ok() && session.request.out) outcome = MakePipe(session.out.fd, out_write);
  }
  // For /dev/stdout and the like: inside the user namespace the runtime has no right to do it.
  const auto owner = static_cast<uid_t>(options_.stream_owner);
  for (const Fd* end : {&in_read, &out_write, &err_write}) {
    if (!outcome.ok() || owner == 0 || !end->valid()) continue;
    if (fchown(end->get(), owner, owner) != 0) outcome = Outcome::Errno(errno, "chown a pipe");
  }
  if (!outcome.ok()) return outcome;
  call.Add(options_.id);
  call.in = in_read.get();
  call.out = out_write.get();
  call.err = err_write.get();
  for (Source* source : {&session.in, &session.out, &session.err}) {
    if (source->fd.valid() && !SetNonBlocking(source->fd.get())) {
      return Outcome::Errno(errno, "pipe");
    }
  }
  const pid_t pid = StartRuntime(options_.runtime, call);
  if (pid < 0) return Outcome::Errno(errno, "start the runtime");
  session.runtime_pid = pid;
  return {};
}

void Sessions::OnExecStarted(Session& session, int status) {
  session.runtime_pid = 0;
  Outcome outcome =
      status == 0 ? TakeExec(session) : RuntimeError(session.err.fd.get(), status, "exec");
  // What a container takes along when it dies is a failure of the runtime, in words of its own.
  if (status != 0 && container_.dying()) {
    outcome = Outcome::Words(ESRCH, "the container has ended");
  }
  if (!outcome.ok()) {
    Text<64> name;
    AddName(name, session, "tty");
    unlink(name.c_str());
    session.role = Session::Role::kRequest;  // it never became a session
    if (session.connected()) {
      Answer(session, outcome);
    } else {
      Free(session);
    }
    return;
  }
  if (!session.connected()) {
    HangUpExec(session);
  } else {
    SettleSent(session, session.outbox.Put(session.socket.fd.get(), FrameType::kOk, {}));
    HandleFrames(session);
  }
  if (session.role != Session::Role::kExec) return;
  WatchExec(session);
  WatchSocket(session);
  FinishExec(session, NowMs());
}

// Learns the command's process and its terminal.
Outcome Sessions::TakeExec(Session& session) {
  Text<64> name;
  AddName(name, session, "pid");
  Outcome outcome = TakeRuntimePid(name.c_str(), session.process);
  if (!outcome.ok()) return outcome;
  if (session.request.tty) {
    Text<64> console_name;
    AddName(console_name, session, "tty");
    loop_.Close(session.err);  // it carried only the runtime's own errors
    outcome = TakeConsole(console_name.c_str(), std::move(session.console), session.out.fd);
    if (outcome.ok() && session.request.in) {
      session.in.fd = Fd(fcntl(session.out.fd.get(), F_DUPFD_CLOEXEC, 3));
    }
  }
  if (strays_.Take(session.process, session.status)) {
    session.process = 0;
    session.ended = true;
    session.drain.Begin(session.out, session.err, NowMs());
    return outcome;
  }
  ProcessStat stat;
  if (!ReadProcessStat(session.process, stat) || stat.parent != getpid()) {
    session.process = 0;
    return Outcome::Words(EIO, "the command is not a child of the shim: its end cannot be known");
  }
  if (!outcome.ok()) kill(session.process, SIGKILL);
  return outcome;
}

// Reads output while the client takes it; without a client, to drop it.
void Sessions::WatchExec(Session& session) {
  if (session.runtime_pid > 0) return;
  const bool reads = session.outbox.waiting() == 0;
  for (Source* source : {&session.out, &session.err}) {
    if (!loop_.Watch(*source, reads ? uint32_t{EPOLLIN} : 0U).ok()) loop_.Close(*source);
  }
}

void Sessions::OnExecOut(void* self, uint32_t /*events*/) {
  auto* session = static_cast<Session*>(self);
  session->sessions->PumpExec(*session, 0);
}

void Sessions::OnExecErr(void* self, uint32_t /*events*/) {
  auto* session = static_cast<Session*>(self);
  session->sessions->PumpExec(*session, 1);
}

void Sessions::PumpExec(Session& session, size_t stream) {
  Source& source = stream == 0 ? session.out : session.err;
  const bool wanted = stream == 0 ? session.request.out : session.request.err;
  char chunk[kReadChunk];
  const ssize_t count = read(source.fd.get(), chunk, sizeof chunk);
  session.drain.Read(stream, count > 0 ? static_cast<size_t>(count) : 0);
  if (count > 0) {
    if (wanted && session.connected()) {
      SettleSent(session, session.outbox.Put(session.socket.fd.get(),
                                             stream == 0 ? FrameType::kStdout : FrameType::kStderr,
                                             {chunk, static_cast<size_t>(count)}));
    }
  } else if (count == 0 || (errno != EAGAIN && errno != EINTR)) {
    loop_.Close(source);
  }
  FinishExec(session, NowMs());
}

void Sessions::KillExec(Session& session) {
  if (session.process <= 0) return;
  session.tree.Kill(session.process);
  session.gone_ms = NowMs() + kGoneMs;
  session.kill_ms = -1;
}

// The client has left.
void Sessions::HangUpExec(Session& session) {
  loop_.Close(session.in);
  if (session.process > 0 && session.gone_ms < 0) {
    if (session.request.kill_on_close) {
      KillExec(session);
    } else {
      kill(session.process, SIGHUP);
      session.kill_ms = NowMs() + kHangUpMs;
    }
  }
  WatchExec(session);
  FinishExec(session, NowMs());
}

// The last frame, when the process has ended, its output is through, and a killed tree is gone.
void Sessions::FinishExec(Session& session, int64_t now_ms) {
  if (session.role != Session::Role::kExec || !session.ended || session.runtime_pid > 0) return;
  if (!session.drain.Done(session.out, session.err, now_ms)) return;
  if (session.connected() && session.outbox.waiting() > 0) return;
  if (session.gone_ms >= 0 && !session.tree.Gone() && now_ms < session.gone_ms) return;
  if (session.connected()) {
    const ExitStatus status{ExitCodeOf(session.status), SignalOf(session.status), {}};
    const Outbox::Sent sent =
        session.outbox.PutMessage(session.socket.fd.get(), FrameType::kStatus, status);
    if (sent == Outbox::Sent::kBroken) loop_.Close(session.socket);
  }
  Leave(session);
}

void Sessions::TickExec(Session& session, int64_t now_ms) {
  if (session.kill_ms >= 0 && now_ms >= session.kill_ms) KillExec(session);
  FinishExec(session, now_ms);
}

}  // namespace interlink::shim
