// Internal: one SPDY/3.1 connection that a client upgraded, and its streams. Runs on the net
// connection's strand; only Cancel may be called from elsewhere.
//
//   connection = Start (streams) Close?          ends also by itself: Ended() tells why
//
// No byte is sent before the client's first frame (client-go drops what comes with the 101).
//
// SPDY as these clients speak it has no flow control, so memory is bounded by not reading. Each
// stream holds up to SpdyOptions::stream_input bytes that its reader has not taken, all together
// connection_input: one slow reader holds up nobody until its client has sent it that much. Then
// nothing can be read, for the next frame may be anybody's; a Go server would wait for ever. Here
// the transport is asked after `held_up` whether the stream that is in the way may be reset.
// A client that is gone is noticed also while nothing is read.
#ifndef INTERLINK_STREAMING_SPDY_CONNECTION_H_
#define INTERLINK_STREAMING_SPDY_CONNECTION_H_

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/status.h"
#include "net/connection.h"
#include "net/reply_wait.h"
#include "streaming/spdy_frames.h"

namespace interlink::streaming {

struct SpdyOptions {
  SpdyLimits limits;
  size_t max_streams = 1100;  // open at once; more are refused
  size_t stream_input = size_t{512} << 10U;
  size_t connection_input = size_t{8} << 20U;
  size_t stream_output = size_t{128} << 10U;  // Write waits for room
  size_t connection_output = size_t{8} << 20U;
  // Without a frame in either direction. Pings count: a client that sends them is there.
  Duration idle = std::chrono::hours(4);
  // One write. As long as `idle`: a person may stop reading (`kubectl exec ... | less`).
  Duration stalled = std::chrono::hours(4);
  // How long a reader that takes nothing may hold up what comes after it.
  Duration held_up = std::chrono::seconds(30);
  Duration tick = std::chrono::seconds(5);  // how often a client that is not read is looked at
  // Until a request's streams, or a forwarded connection's pair, are complete.
  Duration complete = std::chrono::seconds(30);
  size_t max_forwards = 512;  // forwarded connections at once
  Log* log = nullptr;         // null: none. Told what SPDY has no words for
};

class SpdyConnection;

// One stream of a client. On the strand.
class SpdyStream {
 public:
  SpdyStream(const std::shared_ptr<SpdyConnection>& connection, const SpdyFrame& opening);

  uint32_t id() const { return id_; }
  // The first value; empty when there is none.
  std::string Header(const std::string& name) const;

  // At most `max` bytes; empty: the client has finished sending. Not OK: it has reset the stream
  // (kCancelled), or the connection has ended. One at a time.
  net::Awaitable<Result<std::string>> Read(size_t max);
  // What Read would answer now, nothing when it would wait.
  std::optional<Result<std::string>> TakeNow(size_t max);
  // Set whenever TakeNow may have something new. Owners: the stream and whoever waits.
  void WakeReader(std::shared_ptr<net::Signal> signal) { readable_ = std::move(signal); }

  // Returns when all bytes are in our buffer. Not OK as for Read; kFailedPrecondition after Finish.
  // One at a time.
  net::Awaitable<Status> Write(std::string_view bytes);
  // A last, short text and the end of our half, whatever is in the buffers. REQUIRES: < 16 KiB.
  void WriteLast(std::string_view text);
  // Our half ends after all that was written. Idempotent.
  void Finish();
  // Ends both halves; what was not sent yet is dropped. Idempotent.
  void Reset(SpdyReset why);
  // Sends what was written, then resets if the client has not finished sending. What it sends is
  // dropped from now on, a Read answers kCancelled. Idempotent.
  void Abandon();
  // Nothing moves any more, and nothing is left to take.
  bool Over() const {
    return !status_.ok() || (ours_ == Half::kFinished && theirs_ended_ && Held() == 0);
  }

 private:
  friend class SpdyConnection;
  enum class Half { kOpen, kFinishing, kFinished };  // kFinishing: FIN waits behind the bytes

  size_t Held() const { return in_.size() - in_taken_; }
  size_t Queued() const { return out_.size() - out_sent_; }
  void ResetWith(SpdyReset code, Status why);
  // Drops all bytes, both ways; readers and writers learn `why`.
  void End(SpdyConnection& connection, Status why);
  void Hold(std::string_view bytes);
  void Wake() const;

  const std::weak_ptr<SpdyConnection> connection_;
  const uint32_t id_;
  const SpdyHeaders headers_;
  Status status_;  // not OK: reset, or the connection has ended
  // From the client.
  std::string in_;
  size_t in_taken_ = 0;
  bool theirs_ended_ = false;
  bool abandoned_ = false;
  SteadyTime last_taken_;
  std::shared_ptr<net::Signal> readable_;
  // To the client.
  std::string out_;
  size_t out_sent_ = 0;
  Half ours_ = Half::kOpen;
  bool in_turn_ = false;  // waits in the connection's round
  std::shared_ptr<net::Signal> writable_;
};

using SpdyStreamPtr = std::shared_ptr<SpdyStream>;

// What a transport decides. On the strand.
class SpdyStreams {
 public:
  virtual ~SpdyStreams() = default;
  // The client opens a stream. Nothing: it is replied to at once; else it is reset.
  virtual std::optional<SpdyReset> Opened(const SpdyStreamPtr& stream) = 0;
  // Whether to reset this one, whose reader has taken nothing for `held_up`.
  virtual bool MayReset(const SpdyStream& stream) = 0;
  // The client opens no more streams, its last one is over, or the connection has ended.
  virtual void NoMoreStreams() = 0;
};

class SpdyConnection : public std::enable_shared_from_this<SpdyConnection> {
 public:
  // `early`: bytes that were read beyond the upgrade. `streams`: asked while it lives.
  SpdyConnection(std::shared_ptr<net::Connection> connection, std::string early,
                 SpdyOptions options);
  void Start(std::weak_ptr<SpdyStreams> streams);

  // Waits until all that was written is with the kernel.
  net::Awaitable<Status> Flush();
  // Flush, reset what is open, GOAWAY, end of our bytes; then drops what comes until the client
  // closes, so that nothing on its way to the client is lost. OK: all was sent.
  net::Awaitable<Status> Close();
  // Ends it then, whatever is in progress.
  void EndBy(SteadyTime deadline);
  // From any thread.
  void Cancel();

  // Not OK: it has ended. kUnavailable: the client is gone; kInvalidArgument, kResourceExhausted:
  // it broke the protocol; kDeadlineExceeded; kCancelled: Close or Cancel.
  const Status& ended() const { return ended_; }
  // The client has said that it opens no more streams.
  bool gone_away() const { return gone_away_; }
  bool HasStreams() const { return !streams_.empty(); }
  const SpdyOptions& options() const { return options_; }
  boost::asio::any_io_executor executor() const { return connection_->executor(); }
  std::shared_ptr<net::Signal> NewSignal() const;

 private:
  friend class SpdyStream;
  using Self = std::shared_ptr<SpdyConnection>;

  static net::Awaitable<void> ReadLoop(Self self);
  static net::Awaitable<void> WriteLoop(Self self);
  static net::Awaitable<void> WatchLoop(Self self);
  net::Awaitable<Status> ReadFrames(std::string_view bytes);
  net::Awaitable<Status> TakeData(const SpdyFrame& piece);
  net::Awaitable<void> WaitForRoom(const SpdyStreamPtr& stream, size_t bytes);
  Status Take(SpdyFrame& frame);
  Status Open(const SpdyFrame& frame);
  void TellRefusal();
  void TheirEnd(const SpdyStreamPtr& stream);
  bool HasRoom(const SpdyStream& stream, size_t bytes) const;
  // The stream that must be read before there is room.
  SpdyStreamPtr InTheWay(const SpdyStreamPtr& wanted, size_t bytes) const;

  bool Dislodge(SpdyStream& slow);

  // The next bytes to send, or none.
  std::string NextBytes();
  void Queue(SpdyStream& stream);
  void Control(std::string_view frame);
  void ForgetIfOver(const SpdyStream& stream);
  bool AllSent() const { return control_.empty() && round_.empty() && !writing_; }
  // Ended for everybody here; the client is told, then Stop.
  void Fail(Status why, uint32_t go_away);
  void End(Status why);
  void EndStreams(const Status& why);
  void Stop();
  void Touch() { last_frame_ = std::chrono::steady_clock::now(); }

  const std::shared_ptr<net::Connection> connection_;  // owners: this and operations in progress
  const std::string early_;
  const SpdyOptions options_;
  std::weak_ptr<SpdyStreams> transport_;
  Status ended_;
  std::map<uint32_t, SpdyStreamPtr> streams_;  // owners: this, the transport
  // Reading.
  SpdyDecoder decoder_;
  std::vector<char> buffer_;
  uint32_t last_id_ = 0;
  size_t held_ = 0;  // by all streams
  bool waits_for_room_ = false;
  bool heard_ = false;
  bool gone_away_ = false;
  bool closing_ = false;     // Close, Fail: what comes is dropped, nothing more is queued
  bool read_ended_ = false;  // the client has closed
  bool refusal_told_ = false;
  // Writing.
  SpdyEncoder encoder_;
  std::string control_;
  std::deque<SpdyStreamPtr> round_;
  size_t queued_ = 0;  // by all streams
  bool writing_ = false;
  bool stopped_ = false;
  // Time.
  SteadyTime last_frame_;
  SteadyTime end_by_ = SteadyTime::max();
  // Owners: this and whoever waits or sets.
  const std::shared_ptr<net::Signal> to_write_;
  const std::shared_ptr<net::Signal> written_;   // Flush and Close wait
  const std::shared_ptr<net::Signal> room_;      // the reading side waits
  const std::shared_ptr<net::Signal> watching_;  // WatchLoop waits
};

}  // namespace interlink::streaming

#endif  // INTERLINK_STREAMING_SPDY_CONNECTION_H_
