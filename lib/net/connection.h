// Connection: a byte stream over TCP, TLS or a unix socket. All its methods run on its own strand;
// each operation has a deadline; one read and one write may be in progress together.
#ifndef INTERLINK_NET_CONNECTION_H_
#define INTERLINK_NET_CONNECTION_H_

#include <sys/types.h>

#include <boost/asio/any_io_executor.hpp>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "net/awaitable.h"
#include "net/io.h"
#include "net/tls.h"

namespace interlink::net {

// Who is at the other end.
struct Peer {
  std::string address;  // "127.0.0.1:1234", or "unix"
  bool loopback = false;
  bool verified = false;           // presented a certificate that our CA signed
  std::string common_name;         // of that certificate; empty when it has none or several
  std::vector<std::string> names;  // its DNS alternative names
  std::vector<std::string> uris;   // its URI alternative names
  std::string certificate_id;      // its issuer and serial number, as TlsContext::Revokes knows it
  int64_t not_after = 0;           // Unix seconds of its last moment; 0: there is none
};

class Connection {
 public:
  virtual ~Connection() = default;
  // Bytes read; 0: the peer has finished. kDeadlineExceeded, kCancelled (Cancel was called),
  // kUnavailable.
  virtual Awaitable<Result<size_t>> Read(std::span<char> buffer, SteadyTime deadline) = 0;
  // All of it.
  virtual Awaitable<Status> Write(std::string_view bytes, SteadyTime deadline) = 0;
  // We have finished writing; reading goes on, also a Read in progress. Over TLS it waits 2 s at
  // most for an other side that does not read.
  virtual Awaitable<void> ShutdownWrite() = 0;
  // Ends what is in progress with kCancelled, and all that follows. From any thread.
  virtual void Cancel() = 0;
  // True: the peer has finished sending or is gone, even while bytes of it are unread.
  virtual bool PeerFinished() const { return false; }
  // False: it was made with TLS files that `now` has replaced since.
  virtual bool MadeWith(const TlsContext& /*now*/) const { return true; }
  // Lets a living peer take nothing for as long as a Write's deadline says: without it the
  // connection fails after 30 s of that, whatever the deadline. One that is gone without a word
  // while bytes are on their way to it is then noticed by TCP's own retries only (15 min).
  virtual void AllowPauses() {}
  virtual const Peer& peer() const = 0;
  virtual boost::asio::any_io_executor executor() const = 0;
};

struct Endpoint {
  std::string host;  // a name or an address
  uint16_t port = 0;
  std::string unix_path;                  // if not empty, instead of host and port
  std::shared_ptr<const TlsContext> tls;  // null: plain
  std::string Name() const;
};

// Connects within the deadline, TLS handshake and verification of the server's name included.
// kUnavailable says what failed: no address, refused, wrong CA, wrong name, expired.
Awaitable<Result<std::shared_ptr<Connection>>> Connect(boost::asio::any_io_executor strand,
                                                       Endpoint endpoint, SteadyTime deadline);

// A listening socket.
class Listener {
 public:
  virtual ~Listener() = default;
  // The next connection, on a strand of its own, handshake not yet done: see Handshake. Backs off
  // by itself when descriptors run out. Runs on executor(), where Close ends it: kCancelled.
  virtual Awaitable<Result<std::shared_ptr<Connection>>> Accept(Io& io) = 0;
  virtual boost::asio::any_io_executor executor() const = 0;
  virtual uint16_t port() const = 0;
  // From any thread.
  virtual void Close() = 0;
  // `address`: a literal IP address; port 0: any free one. `tls` null: plain.
  static Result<std::unique_ptr<Listener>> Tcp(Io& io, const std::string& address, uint16_t port,
                                               std::shared_ptr<const TlsContext> tls);
  // A unix socket with these permissions; one that a dead process left behind is replaced. port()
  // is 0. kAlreadyExists: somebody serves it. Close removes it.
  static Result<std::unique_ptr<Listener>> OnUnix(Io& io, const std::string& path, mode_t mode);
};

// The server's half of the TLS handshake; nothing to do for plain connections. Afterwards peer() is
// complete.
Awaitable<Status> Handshake(Connection& connection, SteadyTime deadline);

// A connected unix socket, e.g. from a listener of the edge. Takes the descriptor.
Result<std::shared_ptr<Connection>> AdoptUnix(Io& io, int fd);
// A connected SOCK_STREAM socket of any family on `strand`, for its bytes alone: peer() is "unix".
Result<std::shared_ptr<Connection>> Adopt(const boost::asio::any_io_executor& strand, UniqueFd fd);

}  // namespace interlink::net

#endif  // INTERLINK_NET_CONNECTION_H_
