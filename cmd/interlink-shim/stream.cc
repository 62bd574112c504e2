// What flows in attach and exec sessions.
#include <sys/epoll.h>

#include <cerrno>

#include "console.h"
#include "sessions.h"

namespace interlink::shim {

void Sessions::HandleStream(Session& session, const Frame& frame) {
  const bool exec = session.role == Session::Role::kExec;
  WindowSize size;
  switch (frame.type) {
    case FrameType::kStdin:
      if (session.request.in) session.stdin_left = frame.text();
      WriteStdin(session);
      return;
    case FrameType::kClose:
      if (frame.payload.size() != 1 || frame.payload[0] != static_cast<char>(FrameType::kStdin)) {
        break;
      }
      EndStdin(session);
      return;
    case FrameType::kResize:
      if (!size.Decode(frame.text())) break;
      // Without a terminal, or when it is gone, there is nothing to resize and nobody to tell.
      if (!exec) {
        static_cast<void>(container_.Resize(size));
      } else if (session.request.tty && session.out.fd.valid()) {
        static_cast<void>(ResizeConsole(session.out.fd.get(), size));
      }
      return;
    case FrameType::kKill:
      if (!exec) break;
      KillExec(session);
      return;
    default:
      break;
  }
  Answer(session, Outcome::Words(EPROTO, "this frame has no place in a session"));
}

// Writes what is left of the current stdin frame; goes on when stdin is writable.
void Sessions::WriteStdin(Session& session) {
  while (!session.stdin_left.empty()) {
    size_t taken = session.stdin_left.size();  // what nobody reads is dropped
    if (session.role == Session::Role::kAttach) {
      taken = container_.Input(session.stdin_left);
    } else if (session.in.fd.valid()) {
      const ssize_t count =
          write(session.in.fd.get(), session.stdin_left.data(), session.stdin_left.size());
      if (count >= 0) {
        taken = static_cast<size_t>(count);
      } else if (errno == EAGAIN) {
        taken = 0;
        if (!loop_.Watch(session.in, EPOLLOUT).ok()) loop_.Close(session.in);
      } else if (errno != EINTR) {
        loop_.Close(session.in);
      }
    }
    if (taken == 0) break;
    session.stdin_left.remove_prefix(taken);
  }
  WatchSocket(session);
}

void Sessions::EndStdin(Session& session) {
  if (!session.request.in) return;
  if (session.role == Session::Role::kAttach) {
    container_.EndInput();
  } else if (session.request.tty) {
    if (session.in.fd.valid()) WriteEndOfInput(session.in.fd.get());
  } else {
    loop_.Close(session.in);
  }
}

void Sessions::OnExecIn(void* self, uint32_t events) {
  auto* session = static_cast<Session*>(self);
  Sessions& sessions = *session->sessions;
  static_cast<void>(sessions.loop_.Watch(session->in, 0));
  if ((events & (EPOLLERR | EPOLLHUP)) != 0) sessions.loop_.Close(session->in);
  sessions.WriteStdin(*session);
  sessions.HandleFrames(*session);
}

void Sessions::OnInputReady() {
  for (Session& session : slots_) {
    if (session.role != Session::Role::kAttach || session.stdin_left.empty()) continue;
    WriteStdin(session);
    HandleFrames(session);
  }
}

void Sessions::OnStarted(const Outcome& outcome) {
  for (Session& session : slots_) {
    if (session.role == Session::Role::kStarting) Answer(session, outcome);
  }
}

void Sessions::SendLogSize(Session& session, uint64_t log_size) {
  if (!session.armed || log_size <= session.armed_at) return;
  session.armed = false;
  SettleSent(session, session.outbox.PutMessage(session.socket.fd.get(), FrameType::kLogGrew,
                                                LogOffset{log_size}));
}

void Sessions::OnOutput(LogStream stream, std::string_view bytes, uint64_t log_size) {
  const FrameType type = stream == LogStream::kStdout ? FrameType::kStdout : FrameType::kStderr;
  for (Session& session : slots_) {
    if (session.role == Session::Role::kWatch) {
      SendLogSize(session, log_size);
    } else if (session.role == Session::Role::kAttach && !bytes.empty()) {
      const bool wanted = type == FrameType::kStdout ? session.request.out : session.request.err;
      if (wanted) {
        SettleSent(session, session.outbox.Put(session.socket.fd.get(), type, bytes));
      }
    }
  }
}

void Sessions::OnExited() {
  StopListening();
  for (Session& session : slots_) {
    if (session.role == Session::Role::kWatch) {
      SettleSent(session, session.outbox.Put(session.socket.fd.get(), FrameType::kExited, {}));
      if (session.role == Session::Role::kWatch) Leave(session);
    } else if (session.role == Session::Role::kAttach) {
      SettleSent(session, session.outbox.PutMessage(session.socket.fd.get(), FrameType::kStatus,
                                                    container_.exit_status()));
      if (session.role == Session::Role::kAttach) Leave(session);
    } else if (session.role == Session::Role::kExec) {
      KillExec(session);  // what still lives was in no cgroup of the container
    }
  }
}

uint32_t Sessions::OpenSessions() const {
  uint32_t count = 0;
  for (const Session& session : slots_) {
    if (session.role == Session::Role::kExec || session.role == Session::Role::kAttach) ++count;
  }
  return count;
}

}  // namespace interlink::shim
