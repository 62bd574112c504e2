// node::Sessions whose site the test plays: it sees what came in, says what comes out, and holds
// back what it likes. Thread-safe.
#ifndef INTERLINK_TEST_SUPPORT_SCRIPTED_SESSIONS_H_
#define INTERLINK_TEST_SUPPORT_SCRIPTED_SESSIONS_H_

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "node/sessions.h"

namespace interlink::test {

// What one session does, shared by the test and the session.
class Script {
 public:
  using Output = node::SessionOutput;
  using Input = node::SessionInput;

  // --- the site
  void Say(const std::string& bytes, Output::Channel channel = Output::Channel::kStdout) {
    Add({.kind = Output::Kind::kData, .channel = channel, .bytes = bytes});
  }
  void EndOutput(Output::Channel channel = Output::Channel::kStdout) {
    Add({.kind = Output::Kind::kEnd, .channel = channel});
  }
  void Exit(int32_t code) { Add({.kind = Output::Kind::kExit, .exit_code = code}); }
  // After what was said.
  void Lose(Status why) {
    Change([&] { lost_ = std::move(why); });
  }
  // Each message that comes in is said again; its end is exit code 0.
  void Echo() {
    Change([&] { echo_ = true; });
  }
  // Says `bytes` for ever, as fast as it is read.
  void Flood(std::string bytes) {
    Change([&] { flood_ = std::move(bytes); });
  }
  // Writes are not taken until Take is called.
  void HoldWrites() {
    MutexLock lock(mutex_);
    hold_ = true;
  }
  void TakeWrites() {
    std::function<void(Status)> done;
    {
      MutexLock lock(mutex_);
      hold_ = false;
      done = std::exchange(held_, nullptr);
    }
    if (done) done(Status::Ok());
  }
  // Of every write from now on.
  void RefuseWrites() {
    MutexLock lock(mutex_);
    refuse_ = true;
  }

  // --- what came
  std::string input() {
    MutexLock lock(mutex_);
    return input_;
  }
  bool input_ended() {
    MutexLock lock(mutex_);
    return input_ended_;
  }
  std::vector<std::pair<uint16_t, uint16_t>> sizes() {
    MutexLock lock(mutex_);
    return sizes_;
  }
  size_t largest_input() {
    MutexLock lock(mutex_);
    return largest_;
  }
  size_t reads() {
    MutexLock lock(mutex_);
    return reads_;
  }
  bool cancelled() {
    MutexLock lock(mutex_);
    return cancelled_;
  }
  bool held() {
    MutexLock lock(mutex_);
    return held_ != nullptr;
  }
  bool dead() {
    MutexLock lock(mutex_);
    return dead_;
  }

 private:
  friend class ScriptedSession;

  template <typename Changing>
  void Change(Changing changing) {
    std::function<void()> deliver;
    {
      MutexLock lock(mutex_);
      changing();
      deliver = NextLocked();
    }
    if (deliver) deliver();
  }
  void Add(Output output) {
    Change([&] { outputs_.push_back(std::move(output)); });
  }

  // What answers the reader that waits, to be run without the lock.
  std::function<void()> NextLocked() NO_LOCK_ANALYSIS {
    if (reader_ == nullptr) return nullptr;
    std::optional<Result<Output>> next;
    if (cancelled_) {
      next = Result<Output>(CancelledError("the session was ended here"));
    } else if (!outputs_.empty()) {
      next = Result<Output>(std::move(outputs_.front()));
      outputs_.pop_front();
    } else if (flood_) {
      Output output;
      output.bytes = *flood_;
      next = Result<Output>(std::move(output));
    } else if (!lost_.ok()) {
      next = Result<Output>(lost_);
    }
    if (!next) return nullptr;
    ++reads_;
    return [reader = std::exchange(reader_, nullptr), value = *std::move(next)]() mutable {
      reader(std::move(value));
    };
  }

  Mutex mutex_;
  std::deque<Output> outputs_ GUARDED_BY(mutex_);
  std::optional<std::string> flood_ GUARDED_BY(mutex_);
  Status lost_ GUARDED_BY(mutex_);
  bool echo_ GUARDED_BY(mutex_) = false;
  bool hold_ GUARDED_BY(mutex_) = false;
  bool refuse_ GUARDED_BY(mutex_) = false;
  node::Reply<Output> reader_ GUARDED_BY(mutex_);
  std::function<void(Status)> held_ GUARDED_BY(mutex_);
  std::string input_ GUARDED_BY(mutex_);
  bool input_ended_ GUARDED_BY(mutex_) = false;
  std::vector<std::pair<uint16_t, uint16_t>> sizes_ GUARDED_BY(mutex_);
  size_t largest_ GUARDED_BY(mutex_) = 0;
  size_t reads_ GUARDED_BY(mutex_) = 0;
  bool cancelled_ GUARDED_BY(mutex_) = false;
  bool dead_ GUARDED_BY(mutex_) = false;  // the session's object has died
};

class ScriptedSession final : public node::Session {
 public:
  explicit ScriptedSession(std::shared_ptr<Script> script) : script_(std::move(script)) {}
  ~ScriptedSession() override {
    Cancel();
    MutexLock lock(script_->mutex_);
    script_->dead_ = true;
  }

  void Read(node::Reply<node::SessionOutput> reply) override {
    script_->Change([&]() NO_LOCK_ANALYSIS { script_->reader_ = std::move(reply); });
  }

  void Write(node::SessionInput input, std::function<void(Status)> done) override {
    Status status;
    script_->Change([&]() NO_LOCK_ANALYSIS {
      Script& s = *script_;
      if (s.cancelled_ || s.refuse_) {
        status = CancelledError("the session is over");
        return;
      }
      Note(s, input);
      if (s.hold_) s.held_ = std::exchange(done, nullptr);
    });
    if (done) done(status);
  }

  void Cancel() override {
    std::function<void(Status)> held;
    script_->Change([&]() NO_LOCK_ANALYSIS {
      script_->cancelled_ = true;
      held = std::exchange(script_->held_, nullptr);
    });
    if (held) held(CancelledError("the session was ended here"));
  }

 private:
  static void Note(Script& s, const node::SessionInput& input) NO_LOCK_ANALYSIS {
    switch (input.kind) {
      case node::SessionInput::Kind::kData:
        s.input_ += input.bytes;
        s.largest_ = std::max(s.largest_, input.bytes.size());
        if (s.echo_) s.outputs_.push_back({.bytes = input.bytes});
        break;
      case node::SessionInput::Kind::kEnd:
        s.input_ended_ = true;
        if (s.echo_) s.outputs_.push_back({.kind = node::SessionOutput::Kind::kExit});
        break;
      case node::SessionInput::Kind::kResize:
        s.sizes_.emplace_back(input.columns, input.rows);
        break;
    }
  }

  const std::shared_ptr<Script> script_;
};

class ScriptedSessions final : public node::Sessions {
 public:
  // The next session that is opened or dialled; without one the reply is `refusal`.
  std::shared_ptr<Script> Next() {
    auto script = std::make_shared<Script>();
    MutexLock lock(mutex_);
    scripts_.push_back(script);
    return script;
  }
  void RefuseWith(Status status) {
    MutexLock lock(mutex_);
    refusal_ = std::move(status);
  }
  // Openings wait until Release, or until their call is cancelled.
  void Hold() {
    MutexLock lock(mutex_);
    hold_ = true;
  }
  bool waiting() {
    MutexLock lock(mutex_);
    return waiting_ > 0;
  }
  void Release() {
    std::vector<std::function<void()>> held;
    {
      MutexLock lock(mutex_);
      hold_ = false;
      held.swap(held_);
    }
    for (const auto& open : held) open();
  }
  std::vector<node::StreamRequest> opened() {
    MutexLock lock(mutex_);
    return opened_;
  }
  std::vector<std::pair<std::string, uint16_t>> dialled() {
    MutexLock lock(mutex_);
    return dialled_;
  }

  Result<runtime::v1::ExecResponse> Exec(const runtime::v1::ExecRequest&) override {
    return Unimplemented("not here");
  }
  Result<runtime::v1::AttachResponse> Attach(const runtime::v1::AttachRequest&) override {
    return Unimplemented("not here");
  }
  Result<runtime::v1::PortForwardResponse> PortForward(
      const runtime::v1::PortForwardRequest&) override {
    return Unimplemented("not here");
  }
  void Open(const Call& call, const node::StreamRequest& request,
            node::Reply<node::SessionPtr> reply) override {
    {
      MutexLock lock(mutex_);
      opened_.push_back(request);
    }
    Answer(call, std::move(reply));
  }
  void Dial(const Call& call, const SandboxId& sandbox, uint16_t port,
            node::Reply<node::SessionPtr> reply) override {
    {
      MutexLock lock(mutex_);
      dialled_.emplace_back(sandbox.str(), port);
    }
    Answer(call, std::move(reply));
  }

 private:
  void Answer(const Call& call, node::Reply<node::SessionPtr> reply) {
    auto answer = std::make_shared<node::Answer<node::SessionPtr>>(std::move(reply));
    // Not under the lock: a call that is cancelled already answers here and now.
    auto cancelled = std::make_shared<Call::Registration>(
        call.OnCancel([answer] { answer->Give(CancelledError("nobody waits any more")); }));
    const auto open = [this, answer, cancelled] { Give(*answer); };
    {
      MutexLock lock(mutex_);
      if (hold_) {
        ++waiting_;
        held_.emplace_back(open);
        return;
      }
    }
    open();
  }
  void Give(node::Answer<node::SessionPtr>& answer) {
    std::shared_ptr<Script> script;
    Status refusal;
    {
      MutexLock lock(mutex_);
      if (scripts_.empty()) {
        refusal = refusal_;
      } else {
        script = std::move(scripts_.front());
        scripts_.pop_front();
      }
    }
    if (script == nullptr) return answer.Give(refusal);
    answer.Give(node::SessionPtr(std::make_shared<ScriptedSession>(std::move(script))));
  }

  Mutex mutex_;
  std::deque<std::shared_ptr<Script>> scripts_ GUARDED_BY(mutex_);
  Status refusal_ GUARDED_BY(mutex_) = NotFound("no session was scripted");
  bool hold_ GUARDED_BY(mutex_) = false;
  size_t waiting_ GUARDED_BY(mutex_) = 0;
  std::vector<std::function<void()>> held_ GUARDED_BY(mutex_);
  std::vector<node::StreamRequest> opened_ GUARDED_BY(mutex_);
  std::vector<std::pair<std::string, uint16_t>> dialled_ GUARDED_BY(mutex_);
};

}  // namespace interlink::test

#endif  // INTERLINK_TEST_SUPPORT_SCRIPTED_SESSIONS_H_
