#include "sessions.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <new>
#include <utility>

#include "shim/layout.h"

namespace interlink::shim {
namespace {

constexpr int64_t kRequestMs = 30'000;
constexpr int64_t kLeaveMs = 10'000;

}  // namespace

Sessions::Sessions(const RunOptions& options, Loop& loop, Strays& strays, Container& container)
    : options_(options), loop_(loop), strays_(strays), container_(container) {
  listener_.owner = this;
  listener_.ready = OnAccept;
}

Outcome Sessions::Listen() {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  TextBuffer path(address.sun_path, sizeof address.sun_path - 1);
  path.Add(kControlSocket);
  unlink(kControlSocket);
  listener_.fd = Fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!listener_.fd.valid()) return Outcome::Errno(errno, "control socket");
  const mode_t before = umask(0177);
  const bool bound =
      bind(listener_.fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  umask(before);
  if (!bound || listen(listener_.fd.get(), SOMAXCONN) != 0)
    return Outcome::Errno(errno, "control socket");
  return loop_.Watch(listener_, EPOLLIN);
}

void Sessions::StopListening() {
  unlink(kControlSocket);
  loop_.Close(listener_);
}

void Sessions::OnAccept(void* self, uint32_t /*events*/) { static_cast<Sessions*>(self)->Accept(); }

void Sessions::OnSocket(void* self, uint32_t events) {
  auto* session = static_cast<Session*>(self);
  session->sessions->ReadClient(*session, events);
}

void Sessions::Accept() {
  Fd fd(accept4(listener_.fd.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!fd.valid()) return;
  Session* session = FreeSlot();
  if (session == nullptr || !session->input.Reserve(kMaxFrame)) {
    // A new socket's buffer takes this much.
    Outbox outbox(0);
    static_cast<void>(outbox.PutMessage(fd.get(), FrameType::kError,
                                        ErrorAnswer{EMFILE, "too many connections"}));
    return;
  }
  session->role = Session::Role::kRequest;
  session->deadline_ms = NowMs() + kRequestMs;
  session->socket.fd = std::move(fd);
  session->decoder = FrameDecoder(session->input.data(), session->input.size());
  if (!loop_.Watch(session->socket, EPOLLIN).ok()) Free(*session);
}

Session* Sessions::FreeSlot() {
  for (Session& session : slots_) {
    if (session.role == Session::Role::kFree) return &session;
  }
  if (slots_.size() == kMaxSessions || !memory_.Reserve(kMaxSessions * sizeof(Session))) {
    return nullptr;
  }
  auto* first = reinterpret_cast<Session*>(memory_.data());
  // In memory that Pages owns. NOLINTNEXTLINE(cppcoreguidelines-owning-memory)
  auto* session = new (first + slots_.size()) Session;
  session->sessions = this;
  session->number = static_cast<unsigned>(slots_.size());
  for (Source* source : {&session->socket, &session->in, &session->out, &session->err}) {
    source->owner = session;
  }
  session->socket.ready = OnSocket;
  session->in.ready = OnExecIn;
  session->out.ready = OnExecOut;
  session->err.ready = OnExecErr;
  slots_ = {first, slots_.size() + 1};
  return session;
}

void Sessions::ReadClient(Session& session, uint32_t events) {
  if ((events & EPOLLOUT) != 0) SettleSent(session, session.outbox.Flush(session.socket.fd.get()));
  if (!session.connected() || session.role == Session::Role::kFree) return;
  if (!session.stdin_left.empty() || session.role == Session::Role::kStarting ||
      session.role == Session::Role::kLeaving || session.runtime_pid > 0) {
    // Nothing is read now: only the client's end matters.
    if ((events & (EPOLLHUP | EPOLLRDHUP | EPOLLERR)) != 0) ClientGone(session);
    return;
  }
  if ((events & (EPOLLIN | EPOLLHUP | EPOLLRDHUP | EPOLLERR)) == 0) return;
  const std::span<char> space = session.decoder.Space();
  const ssize_t count = recv(session.socket.fd.get(), space.data(), space.size(), MSG_DONTWAIT);
  if (count > 0) {
    session.decoder.Received(static_cast<size_t>(count));
    HandleFrames(session);
  } else if (count == 0 || (errno != EAGAIN && errno != EINTR)) {
    ClientGone(session);
  }
}

void Sessions::HandleFrames(Session& session) {
  while (session.connected() && session.stdin_left.empty() && session.runtime_pid == 0 &&
         session.role != Session::Role::kLeaving && session.role != Session::Role::kStarting) {
    Frame frame{};
    const FrameDecoder::Outcome outcome = session.decoder.Next(frame);
    if (outcome == FrameDecoder::Outcome::kNeedMore) return;
    if (outcome == FrameDecoder::Outcome::kMalformed) {
      Answer(session, Outcome::Words(EPROTO, "not a frame of this protocol"));
      return;
    }
    HandleFrame(session, frame);
  }
}

void Sessions::HandleFrame(Session& session, const Frame& frame) {
  LogOffset offset;
  switch (session.role) {
    case Session::Role::kRequest:
      session.deadline_ms = -1;
      HandleRequest(session, frame);
      return;
    case Session::Role::kAttach:
    case Session::Role::kExec:
      HandleStream(session, frame);
      return;
    case Session::Role::kWatch:
      if (frame.type == FrameType::kArm && offset.Decode(frame.text())) {
        session.armed = true;
        session.armed_at = offset.bytes;
        SendLogSize(session, container_.State().log_size);
        return;
      }
      break;
    default:
      break;
  }
  Answer(session, Outcome::Words(EPROTO, "this frame has no place here"));
}

void Sessions::HandleRequest(Session& session, const Frame& frame) {
  SignalRequest signal;
  WindowSize size;
  const Outcome malformed = Outcome::Words(EINVAL, "malformed request");
  switch (frame.type) {
    case FrameType::kStart:
      HandleStart(session);
      return;
    case FrameType::kSignal:
      Answer(session, signal.Decode(frame.text()) ? container_.Signal(signal) : malformed);
      return;
    case FrameType::kResize:
      Answer(session, size.Decode(frame.text()) ? container_.Resize(size) : malformed);
      return;
    case FrameType::kState: {
      ContainerState state = container_.State();
      state.sessions = OpenSessions();
      SettleSent(session, session.outbox.PutMessage(session.socket.fd.get(),
                                                    FrameType::kStateAnswer, state));
      Leave(session);
      return;
    }
    case FrameType::kWatch:
      session.role = Session::Role::kWatch;
      SettleSent(session, session.outbox.Put(session.socket.fd.get(), FrameType::kOk, {}));
      return;
    case FrameType::kAttach:
    case FrameType::kExec:
      HandleSession(session, frame);
      return;
    default:
      Answer(session, Outcome::Words(EPROTO, "not a request"));
  }
}

void Sessions::HandleStart(Session& session) {
  const Outcome begun = container_.Start();
  if (begun.ok()) {
    session.role = Session::Role::kStarting;
    WatchSocket(session);
  } else {
    Answer(session, begun.error() == EALREADY ? Outcome() : begun);
  }
}

void Sessions::HandleSession(Session& session, const Frame& frame) {
  if (!session.request.Decode(frame.text())) {
    Answer(session, Outcome::Words(EINVAL, "malformed request"));
    return;
  }
  const std::string_view process = std::exchange(session.request.process, {});
  if (container_.ending()) {
    Answer(session, Outcome::Words(ESRCH, "the container has ended"));
  } else if (container_.creating()) {
    Answer(session, Outcome::Words(EAGAIN, "the container is being created"));
  } else if (OpenSessions() >= kMaxSessions - kRequestSessions) {
    Answer(session, Outcome::Words(EMFILE, "too many sessions"));
  } else if (frame.type == FrameType::kExec) {
    BeginExec(session, process);
  } else {
    session.role = Session::Role::kAttach;
    SettleSent(session, session.outbox.Put(session.socket.fd.get(), FrameType::kOk, {}));
  }
}

// The answer of a request that is not a session, or the end of what cannot go on.
void Sessions::Answer(Session& session, const Outcome& outcome) {
  if (!session.connected()) return;
  const int fd = session.socket.fd.get();
  const Outbox::Sent sent =
      outcome.ok() ? session.outbox.Put(fd, FrameType::kOk, {})
                   : session.outbox.PutMessage(fd, FrameType::kError,
                                               ErrorAnswer{outcome.error(), outcome.text()});
  if (session.role == Session::Role::kExec || session.role == Session::Role::kAttach) {
    // Not the protocol, in the middle of a session: as if the client had left.
    ClientGone(session);
    return;
  }
  SettleSent(session, sent);
  Leave(session);
}

void Sessions::WatchSocket(Session& session) {
  if (!session.connected()) return;
  const bool reads = session.stdin_left.empty() && session.runtime_pid == 0 &&
                     session.role != Session::Role::kStarting &&
                     session.role != Session::Role::kLeaving;
  const uint32_t events = (reads ? uint32_t{EPOLLIN} : uint32_t{EPOLLRDHUP}) |
                          (session.outbox.waiting() > 0 ? uint32_t{EPOLLOUT} : 0U);
  if (!loop_.Watch(session.socket, events).ok()) ClientGone(session);
}

// What follows from an attempt to send.
void Sessions::SettleSent(Session& session, Outbox::Sent sent) {
  if (sent == Outbox::Sent::kBroken || sent == Outbox::Sent::kFull) {
    ClientGone(session);
  } else if (session.role == Session::Role::kLeaving && session.outbox.waiting() == 0) {
    Free(session);
  } else {
    WatchSocket(session);
    if (session.role == Session::Role::kExec) WatchExec(session);
  }
}

void Sessions::ClientGone(Session& session) {
  session.stdin_left = {};
  if (session.role == Session::Role::kExec) {
    loop_.Close(session.socket);
    session.outbox.Discard();
    session.input.Release();
    HangUpExec(session);
    return;
  }
  if (session.role == Session::Role::kAttach && session.request.in) container_.EndInput();
  Free(session);
}

void Sessions::NoteWatch(const Session& session) {
  if (session.role == Session::Role::kWatch) watch_ended_ms_ = NowMs();
}

void Sessions::Leave(Session& session) {
  if (!session.connected()) {
    Free(session);
    return;
  }
  NoteWatch(session);
  session.role = Session::Role::kLeaving;
  session.deadline_ms = NowMs() + kLeaveMs;
  if (session.outbox.waiting() == 0) {
    Free(session);
  } else {
    WatchSocket(session);
  }
}

void Sessions::Free(Session& session) {
  if (session.role == Session::Role::kFree) return;
  NoteWatch(session);
  if (session.connected() && session.input.data() != nullptr) {
    // Unread input would turn our close into a reset.
    while (recv(session.socket.fd.get(), session.input.data(), kMaxFrame, MSG_DONTWAIT) > 0) {
    }
  }
  for (Source* source : {&session.socket, &session.in, &session.out, &session.err}) {
    loop_.Close(*source);
  }
  session.console.Close();
  session.outbox.Discard();
  session.input.Release();
  session.request = {};
  session.stdin_left = {};
  session.armed = false;
  session.runtime_pid = session.process = 0;
  session.ended = false;
  session.deadline_ms = session.kill_ms = session.gone_ms = -1;
  session.drain = {};
  session.role = Session::Role::kFree;
}

bool Sessions::OnReaped(pid_t pid, int status) {
  for (Session& session : slots_) {
    if (session.role != Session::Role::kExec) continue;
    if (pid == session.runtime_pid) {
      OnExecStarted(session, status);
      return true;
    }
    if (pid == session.process) {
      session.process = 0;
      session.ended = true;
      session.status = status;
      session.drain.Begin(session.out, session.err, NowMs());
      FinishExec(session, NowMs());
      return true;
    }
  }
  return false;
}

bool Sessions::runtime_busy() const {
  for (const Session& session : slots_) {
    if (session.runtime_pid > 0) return true;
  }
  return false;
}

bool Sessions::watched() const {
  for (const Session& session : slots_) {
    if (session.role == Session::Role::kWatch) return true;
  }
  return false;
}

bool Sessions::busy() const {
  for (const Session& session : slots_) {
    if (session.role != Session::Role::kFree && session.role != Session::Role::kRequest)
      return true;
  }
  return false;
}

void Sessions::Tick(int64_t now_ms) {
  for (Session& session : slots_) {
    if (session.role == Session::Role::kFree) continue;
    if (session.role == Session::Role::kExec) {
      TickExec(session, now_ms);
    } else if (session.deadline_ms >= 0 && now_ms >= session.deadline_ms) {
      Free(session);
    }
  }
}

int64_t Sessions::Deadline() const {
  int64_t first = -1;
  for (const Session& session : slots_) {
    if (session.role == Session::Role::kFree) continue;
    // While a client does not read, and while a tree dies, the end of the drain changes nothing.
    const bool drains = session.role == Session::Role::kExec && session.drain.deadline_ms > 0 &&
                        session.outbox.waiting() == 0 && session.gone_ms < 0;
    // A killed tree is looked at every few milliseconds, until it is gone.
    const int64_t looks =
        session.gone_ms >= 0 && session.ended && session.outbox.waiting() == 0 ? NowMs() + 5 : -1;
    for (const int64_t deadline : {session.deadline_ms, session.kill_ms, looks,
                                   drains ? session.drain.deadline_ms : int64_t{-1}}) {
      if (deadline >= 0 && (first < 0 || deadline < first)) first = deadline;
    }
  }
  return first;
}

}  // namespace interlink::shim
