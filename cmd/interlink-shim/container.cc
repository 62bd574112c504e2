#include "container.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <cstring>

#include "console.h"
#include "sessions.h"
#include "shim/exit_record.h"
#include "shim/layout.h"
#include "shim/pidfile.h"

namespace interlink::shim {
namespace {

constexpr const char* kRuntimePid = "pid.oci";
constexpr const char* kConsole = "tty.oci";
constexpr size_t kReserve = 4096;
constexpr int64_t kRetryMs = 1000;
constexpr int64_t kStartMs = 2000;  // of a start whose container has ended

// The last number of NSpid: is the process the first one of its innermost pid namespace?
bool IsNamespaceInit(pid_t pid) {
  Text<64> path;
  path.Add("/proc/").AddNumber(pid).Add("/status");
  char bytes[4096];
  const ssize_t size = ReadSmallFile(path.c_str(), bytes, sizeof bytes);
  Scanner scan({bytes, size > 0 ? static_cast<size_t>(size) : 0});
  std::string_view line;
  while (scan.Until('\n', line)) {
    if (Prefix(line, 6) != "NSpid:") continue;
    return line.size() > 8 && line[line.size() - 1] == '1' && line[line.size() - 2] == '\t';
  }
  return false;
}

}  // namespace

void Drain::Begin(const Source& out, const Source& err, int64_t now_ms) {
  deadline_ms = now_ms + kMs;
  const Source* sources[2] = {&out, &err};
  for (size_t i = 0; i < 2; ++i) {
    left[i] = 0;
    if (sources[i]->fd.valid() && ioctl(sources[i]->fd.get(), FIONREAD, &left[i]) != 0) left[i] = 0;
  }
}

void Drain::Read(size_t stream, size_t count) {
  const int bytes = static_cast<int>(count);
  left[stream] = count == 0 || bytes >= left[stream] ? 0 : left[stream] - bytes;
}

bool Drain::Done(const Source& out, const Source& err, int64_t now_ms) const {
  if (deadline_ms == 0) return false;
  if (!out.fd.valid() && !err.fd.valid()) return true;
  return now_ms >= deadline_ms && left[0] == 0 && left[1] == 0;
}

Outcome RuntimeError(int fd, int status, std::string_view what) {
  char bytes[1000];
  size_t size = 0;
  while (fd >= 0 && size < sizeof bytes) {
    const ssize_t count = read(fd, bytes + size, sizeof bytes - size);
    if (count <= 0) break;
    size += static_cast<size_t>(count);
  }
  if (size > 0) return Outcome::Words(EIO, {bytes, size});
  Text<128> text;
  text.Add(what).Add(" ended with code ").AddNumber(ExitCodeOf(status));
  return Outcome::Words(EIO, text.view());
}

void Note(const Outcome& outcome) {
  const Fd fd(open(kShimLogFile, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  char time[kLogTime];
  FormatLogTime(NowNs(), time);
  Text<1200> line;
  line.Add({time, sizeof time}).Add(" ").Add(outcome.text()).Add("\n");
  // The last resort: there is nobody else to tell.
  if (fd.valid()) static_cast<void>(WriteAll(fd.get(), line.view()));
}

Outcome TakeRuntimePid(const char* name, pid_t& pid) {
  char bytes[32];
  const ssize_t size = ReadSmallFile(name, bytes, sizeof bytes);
  const int error = errno;
  unlink(name);
  if (size < 0) return Outcome::Errno(error, "pid file of the runtime");
  Scanner scan({bytes, static_cast<size_t>(size)});
  uint64_t number = 0;
  if (!scan.Unsigned(number) || number < 2 || number > INT32_MAX) {
    return Outcome::Words(EPROTO, "pid file of the runtime holds no pid");
  }
  pid = static_cast<pid_t>(number);
  return {};
}

Container::Container(const RunOptions& options, Loop& loop, Strays& strays)
    : options_(options), loop_(loop), strays_(strays), log_(options.log_limit) {
  in_.owner = out_.owner = err_.owner = this;
  in_.ready = OnInReady;
  out_.ready = OnOut;
  err_.ready = OnErr;
}

Outcome Container::Create() {
  creation_ = log_.Open();
  if (creation_.ok()) creation_ = StartCreate();
  return creation_;
}

Outcome Container::StartCreate() {
  RuntimeCall call;
  Text<64> pid_path;
  Text<64> console_path;
  AddOurPath(pid_path, kRuntimePid);
  AddOurPath(console_path, kConsole);
  for (const char* argument :
       {"create", "--bundle", options_.bundle, "--pid-file", pid_path.c_str()}) {
    call.Add(argument);
  }
  Fd in_read;
  Fd out_write;
  Fd err_write;
  Outcome outcome = MakePipe(err_.fd, err_write);
  if (options_.tty) {
    if (outcome.ok()) outcome = ListenConsole(kConsole, console_);
    call.Add("--console-socket");
    call.Add(console_path.c_str());
  } else {
    if (outcome.ok()) outcome = MakePipe(out_.fd, out_write);
    if (outcome.ok() && options_.in) outcome = MakePipe(in_read, in_.fd);
  }
  if (!outcome.ok()) return outcome;
  call.Add(options_.id);
  call.in = in_read.get();
  call.out = out_write.get();
  call.err = err_write.get();
  const bool ready = SetNonBlocking(err_.fd.get()) &&
                     (!out_.fd.valid() || SetNonBlocking(out_.fd.get())) &&
                     (!in_.fd.valid() || SetNonBlocking(in_.fd.get()));
  create_pid_ = ready ? StartRuntime(options_.runtime, call) : -1;
  if (create_pid_ < 0) return Outcome::Errno(errno, "start the runtime");
  return {};
}

void Container::OnCreateEnded(int status) {
  create_pid_ = 0;
  creation_ = status == 0 ? TakeCreated() : RuntimeError(err_.fd.get(), status, "create");
  if (creation_.ok()) {
    phase_ = Phase::kCreated;
  } else if (init_pid_ > 0 && !reaped_) {
    kill(init_pid_, SIGKILL);
  }
}

Outcome Container::TakeCreated() {
  Outcome outcome = TakeRuntimePid(kRuntimePid, init_pid_);
  if (!outcome.ok()) return outcome;
  int status = 0;
  if (strays_.Take(init_pid_, status)) {
    reaped_ = true;
    return Outcome::Words(ESRCH, "the container ended while it was created");
  }
  if (options_.tty) {
    loop_.Close(err_);  // it carried only the runtime's own errors
    outcome = TakeConsole(kConsole, std::move(console_), out_.fd);
    if (!outcome.ok()) return outcome;
    if (options_.in) in_.fd = Fd(fcntl(out_.fd.get(), F_DUPFD_CLOEXEC, 3));
  }
  cgroup_.Find(init_pid_);
  owns_pid_namespace_ = IsNamespaceInit(init_pid_);
  // The container's processes must be known also when we are gone: before `pid` says that it is.
  if (!owns_pid_namespace_ && !cgroup_.found()) outcome = users_.Pin(init_pid_);
  if (outcome.ok()) outcome = ReserveRecord();
  if (outcome.ok()) outcome = WritePidFile();
  if (outcome.ok()) outcome = loop_.Watch(out_, EPOLLIN);
  if (outcome.ok()) outcome = loop_.Watch(err_, EPOLLIN);
  return outcome;
}

Outcome Container::ReserveRecord() {
  const Fd fd(open(kExitReserve, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  char bytes[kReserve];
  std::memset(bytes, 'x', sizeof bytes);
  if (fd.valid() && WriteAll(fd.get(), {bytes, sizeof bytes})) return {};
  return Outcome::Errno(errno, "room for the exit record");
}

Outcome Container::WritePidFile() {
  PidFile file;
  char bytes[128];
  if (!IdentifyProcess(init_pid_, file)) return Outcome::Errno(errno, "identify the container");
  return ReplaceFile(kPidFile, {bytes, FormatPidFile(file, bytes, sizeof bytes)});
}

Outcome Container::Start() {
  if (phase_ == Phase::kCreating) return Outcome::Words(EAGAIN, "the container is being created");
  if (phase_ == Phase::kExited || reaped_) {
    return Outcome::Words(ESRCH, "the container has ended");
  }
  if (start_pid_ > 0) return {};
  if (phase_ == Phase::kRunning) return Outcome::Words(EALREADY, "the container runs");
  Fd errors_write;
  Outcome outcome = MakePipe(start_errors_, errors_write);
  if (!outcome.ok()) return outcome;
  RuntimeCall call;
  call.Add("start");
  call.Add(options_.id);
  call.err = errors_write.get();
  start_asked_ns_ = NowNs();
  const bool ready = SetNonBlocking(start_errors_.get());
  start_pid_ = ready ? StartRuntime(options_.runtime, call) : -1;
  if (start_pid_ < 0) {
    start_pid_ = 0;
    return Outcome::Errno(errno, "start the runtime");
  }
  return {};
}

void Container::OnStartEnded(int status) {
  start_pid_ = 0;
  Outcome outcome;
  if (status == 0) {
    phase_ = Phase::kRunning;
    started_ns_ = start_asked_ns_;
  } else if (reaped_ && (SignalOf(status) != 0 || SignalOf(status_) != 0)) {
    // Nothing was wrong with the start: the container was killed before it, or the start was given
    // up.
    outcome = Outcome::Words(ESRCH, "the container has ended");
  } else {
    outcome = RuntimeError(start_errors_.get(), status, "start");
  }
  start_errors_.Close();
  sessions_->OnStarted(outcome);
  if (reaped_) BeginDrain();
}

Outcome Container::Signal(const SignalRequest& request) {
  if (phase_ == Phase::kCreating && create_pid_ > 0) {
    if (request.signal != SIGKILL) return Outcome::Words(EAGAIN, "the container is being created");
    kill(create_pid_, SIGKILL);
    return {};
  }
  if (init_pid_ <= 0 || reaped_) return Outcome::Words(ESRCH, "the container has ended");
  size_t seen = 0;
  if (request.signal == SIGKILL) kill_asked_ = true;
  if (request.all && cgroup_.SignalAll(request.signal, seen)) return {};
  if (request.all && request.signal == SIGKILL) {
    tree_.Kill(init_pid_);
  } else if (kill(init_pid_, request.signal) != 0) {  // ours and not reaped: it is that process
    return Outcome::Errno(errno, "signal the container");
  }
  return {};
}

Outcome Container::End(std::string_view reason) {
  const Outcome killed = Signal(SignalRequest{SIGKILL, true});
  if (killed.ok()) reason_ = reason;
  return killed;
}

Outcome Container::Resize(const WindowSize& size) {
  if (!options_.tty) return Outcome::Words(EINVAL, "the container has no terminal");
  if (!out_.fd.valid()) return Outcome::Words(ESRCH, "the container has ended");
  if (!ResizeConsole(out_.fd.get(), size)) return Outcome::Errno(errno, "resize the terminal");
  return {};
}

ContainerState Container::State() const {
  ContainerState state;
  state.phase = phase_;
  state.pid = init_pid_;
  state.started_ns = started_ns_;
  state.log_size = log_.size();
  state.code = phase_ == Phase::kExited ? ExitCodeOf(status_) : 0;
  return state;
}

bool Container::dying() const {
  ProcessStat stat;
  if (ending()) return true;
  return init_pid_ > 0 && ReadProcessStat(init_pid_, stat) && IsDying(stat);
}

size_t Container::Input(std::string_view bytes) {
  if (!options_.in || !in_.fd.valid()) return bytes.size();
  const ssize_t count = write(in_.fd.get(), bytes.data(), bytes.size());
  if (count >= 0) return static_cast<size_t>(count);
  if (errno == EAGAIN && loop_.Watch(in_, EPOLLOUT).ok()) return 0;
  loop_.Close(in_);  // nobody reads it any more
  return bytes.size();
}

void Container::EndInput() {
  if (!options_.in || !options_.in_once || !in_.fd.valid()) return;
  if (options_.tty) {
    WriteEndOfInput(in_.fd.get());
  } else {
    loop_.Close(in_);
  }
}

void Container::OnInReady(void* self, uint32_t events) {
  auto* container = static_cast<Container*>(self);
  static_cast<void>(container->loop_.Watch(container->in_, 0));
  if ((events & (EPOLLERR | EPOLLHUP)) != 0) container->loop_.Close(container->in_);
  container->sessions_->OnInputReady();
}

void Container::OnOut(void* self, uint32_t /*events*/) {
  static_cast<Container*>(self)->ReadStream(LogStream::kStdout);
}

void Container::OnErr(void* self, uint32_t /*events*/) {
  static_cast<Container*>(self)->ReadStream(LogStream::kStderr);
}

void Container::ReadStream(LogStream stream) {
  Source& source = stream == LogStream::kStdout ? out_ : err_;
  char chunk[kReadChunk];
  const ssize_t count = read(source.fd.get(), chunk, sizeof chunk);
  if (count > 0) {
    const std::string_view bytes(chunk, static_cast<size_t>(count));
    log_.Add(stream, bytes);
    sessions_->OnOutput(stream, bytes, log_.size());
  } else if (count == 0 || (errno != EAGAIN && errno != EINTR)) {
    loop_.Close(source);  // EIO: the last process let go of the terminal
  }
  if (stage_ == Stage::kDraining) {
    drain_.Read(static_cast<size_t>(stream), count > 0 ? static_cast<size_t>(count) : 0);
    Tick(NowMs());
  }
}

bool Container::OnReaped(pid_t pid, int status) {
  if (pid == create_pid_) {
    OnCreateEnded(status);
  } else if (pid == start_pid_) {
    OnStartEnded(status);
  } else if (pid == init_pid_ && !reaped_) {
    reaped_ = true;
    status_ = status;
    finished_ns_ = NowNs();
    // The answer of a start under way comes first: a container that ended at once was running.
    if (start_pid_ == 0) {
      BeginDrain();
    } else {
      // The runtime may wait for ever for the process that has ended.
      give_up_start_ms_ = NowMs() + kStartMs;
    }
  } else {
    return false;
  }
  return true;
}

void Container::BeginDrain() {
  if (!owns_pid_namespace_) {
    cgroup_.KillAll();
    users_.KillAll();
  }
  // Of a cgroup with others in it: not when it is known who killed.
  oom_kills_ = cgroup_.shared() && kill_asked_ ? 0 : cgroup_.OomKills();
  stage_ = Stage::kDraining;
  drain_.Begin(out_, err_, NowMs());
  Tick(NowMs());
}

void Container::Tick(int64_t now_ms) {
  if (give_up_start_ms_ >= 0 && now_ms >= give_up_start_ms_) {
    give_up_start_ms_ = -1;
    if (start_pid_ > 0) kill(start_pid_, SIGKILL);
  }
  if (stage_ == Stage::kDraining && drain_.Done(out_, err_, now_ms)) {
    loop_.Close(out_);
    loop_.Close(err_);
    loop_.Close(in_);
    log_.Finish();
    sessions_->OnOutput(LogStream::kStdout, {}, log_.size());
    stage_ = Stage::kRecording;
    retry_ms_ = now_ms;
  }
  if (stage_ == Stage::kRecording && now_ms >= retry_ms_) Record();
}

void Container::Record() {
  ExitRecord record;
  record.code = ExitCodeOf(status_);
  record.signal = SignalOf(status_);
  record.started_ns = started_ns_;
  record.finished_ns = finished_ns_;
  record.oom_kills = oom_kills_;
  record.log_end = log_.size();
  record.reason = reason_;
  char bytes[kMaxExitRecord];
  const Outcome written =
      ReplaceFile(kExitFile, {bytes, FormatExitRecord(record, bytes, sizeof bytes)});
  // ENOENT: our folder is removed, nobody wants to know any more.
  if (!written.ok() && written.error() != ENOENT) {
    // A full disk: the exit is not lost as long as we live, State tells it.
    if (phase_ != Phase::kExited) Note(written);
    phase_ = Phase::kExited;
    retry_ms_ = NowMs() + kRetryMs;
    return;
  }
  phase_ = Phase::kExited;
  stage_ = Stage::kRecorded;
  sessions_->OnExited();
}

int64_t Container::Deadline() const {
  if (stage_ == Stage::kDraining) return drain_.deadline_ms;
  if (stage_ == Stage::kRecording) return retry_ms_;
  return give_up_start_ms_;
}

}  // namespace interlink::shim
