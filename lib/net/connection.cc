#include "net/connection.h"

#include <netinet/tcp.h>
#include <openssl/x509.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include "net/resolve.h"
#include "net/tls_peer.h"
#include "net/tls_state.h"

namespace interlink::net {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using Unix = asio::local::stream_protocol;
using boost::system::error_code;

auto Into(error_code& error) { return asio::redirect_error(asio::use_awaitable, error); }

// One deadline at a time for one direction: when it fires, the socket's operations end. Kept alive
// by its handlers.
template <typename Socket>
class Guard : public std::enable_shared_from_this<Guard<Socket>> {
 public:
  Guard(asio::any_io_executor executor, std::shared_ptr<Socket> socket)
      : timer_(executor), socket_(std::move(socket)) {}

  void Arm(SteadyTime deadline) {
    fired_ = false;
    timer_.expires_at(deadline);
    timer_.async_wait([self = this->shared_from_this(), turn = ++turn_](const error_code& error) {
      // A handler that was already queued when its operation ended must not end the next one.
      if (error || turn != self->turn_) return;
      self->fired_ = true;
      error_code ignored;
      self->socket_->lowest_layer().cancel(ignored);
    });
  }
  void Disarm() {
    ++turn_;
    timer_.cancel();
  }
  bool fired() const { return fired_; }

 private:
  asio::steady_timer timer_;
  std::shared_ptr<Socket> socket_;
  uint64_t turn_ = 0;
  bool fired_ = false;
};

// TLS and plain sockets with one face.
struct PlainTcp : tcp::socket {
  using tcp::socket::socket;
  explicit PlainTcp(tcp::socket&& other) : tcp::socket(std::move(other)) {}
  lowest_layer_type& lowest_layer() { return tcp::socket::lowest_layer(); }
};
struct PlainUnix : Unix::socket {
  using Unix::socket::socket;
  explicit PlainUnix(Unix::socket&& other) : Unix::socket(std::move(other)) {}
};
struct Tls : asio::ssl::stream<tcp::socket> {
  Tls(tcp::socket socket, std::shared_ptr<TlsContext::State> keep)
      : asio::ssl::stream<tcp::socket>(std::move(socket), keep->context),
        context(std::move(keep)) {}
  std::shared_ptr<TlsContext::State> context;
};

template <typename Socket>
class SocketConnection final : public Connection {
 public:
  SocketConnection(asio::any_io_executor executor, std::shared_ptr<Socket> socket, Peer peer)
      : executor_(std::move(executor)),
        socket_(std::move(socket)),
        read_guard_(std::make_shared<Guard<Socket>>(executor_, socket_)),
        write_guard_(std::make_shared<Guard<Socket>>(executor_, socket_)),
        peer_(std::move(peer)) {}

  ~SocketConnection() override {
    // The last owner may be any thread: the socket ends on its strand.
    asio::post(executor_, [socket = socket_] {
      error_code ignored;
      socket->lowest_layer().close(ignored);
    });
  }

  Awaitable<Result<size_t>> Read(std::span<char> buffer, SteadyTime deadline) override {
    if (cancelled_) co_return CancelledError("the connection was given up");
    read_guard_->Arm(deadline);
    error_code error;
    const size_t n =
        co_await socket_->async_read_some(asio::buffer(buffer.data(), buffer.size()), Into(error));
    read_guard_->Disarm();
    if (!error) co_return n;
    if (error == asio::error::eof || error == asio::ssl::error::stream_truncated)
      co_return size_t{0};
    co_return Explain("read", error, read_guard_->fired() || write_guard_->fired());
  }

  Awaitable<Status> Write(std::string_view bytes, SteadyTime deadline) override {
    if (cancelled_) co_return CancelledError("the connection was given up");
    write_guard_->Arm(deadline);
    error_code error;
    co_await asio::async_write(*socket_, asio::buffer(bytes.data(), bytes.size()), Into(error));
    write_guard_->Disarm();
    if (!error) co_return Status::Ok();
    co_return Explain("write", error, write_guard_->fired() || read_guard_->fired());
  }

  Awaitable<void> ShutdownWrite() override {
    error_code error;
    if constexpr (std::is_same_v<Socket, Tls>) {
      // Says the end (close_notify) and reads nothing: SSL_shutdown would wait for the other side's
      // end, and take what it sends before that for an error. It is called before this returns.
      SSL* const ssl = socket_->native_handle();
      const int before = SSL_get_shutdown(ssl);
      auto limit = std::make_shared<asio::steady_timer>(executor_, std::chrono::seconds(2));
      SSL_set_shutdown(ssl, before | SSL_RECEIVED_SHUTDOWN);
      socket_->async_shutdown([socket = socket_, limit](const error_code&) { limit->cancel(); });
      SSL_set_shutdown(ssl, before | SSL_SENT_SHUTDOWN);
      co_await limit->async_wait(Into(error));
      if (!error) co_return;  // it is written when the other side reads
    }
    socket_->lowest_layer().shutdown(asio::socket_base::shutdown_send, error);
  }

  void Cancel() override {
    asio::post(executor_, [socket = socket_, cancelled = cancelled_flag_] {
      *cancelled = true;
      error_code ignored;
      socket->lowest_layer().cancel(ignored);
      socket->lowest_layer().shutdown(asio::socket_base::shutdown_both, ignored);
    });
  }

  bool PeerFinished() const override {
    pollfd state{socket_->lowest_layer().native_handle(), POLLRDHUP, 0};
    return *cancelled_flag_ ||
           (poll(&state, 1, 0) == 1 && (state.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0);
  }

  bool MadeWith(const TlsContext& now) const override {
    if constexpr (std::is_same_v<Socket, Tls>) return socket_->context == now.state();
    return true;
  }

  void AllowPauses() override {
    // Since Linux 5.11 the limit counts against a window of zero too. Unix sockets have none.
    const int none = 0;
    const bool known = setsockopt(socket_->lowest_layer().native_handle(), IPPROTO_TCP,
                                  TCP_USER_TIMEOUT, &none, sizeof none) == 0;
    static_cast<void>(known);
  }

  const Peer& peer() const override { return peer_; }
  asio::any_io_executor executor() const override { return executor_; }

  Awaitable<Status> Handshake(bool server, SteadyTime deadline) {
    if constexpr (std::is_same_v<Socket, Tls>) {
      read_guard_->Arm(deadline);
      error_code error;
      co_await socket_->async_handshake(
          server ? asio::ssl::stream_base::server : asio::ssl::stream_base::client, Into(error));
      read_guard_->Disarm();
      if (error) co_return ExplainHandshake(error);
      ReadPeer();
    }
    co_return Status::Ok();
  }

 private:
  Status Explain(const char* what, const error_code& error, bool timed_out) const {
    const std::string text = std::string(what) + " " + peer_.address + ": ";
    if (*cancelled_flag_) return CancelledError(text + "given up");
    if (timed_out) return DeadlineExceeded(text + "no progress in time");
    return Unavailable(text + error.message());
  }

  Status ExplainHandshake(const error_code& error) {
    std::string text = "TLS handshake with " + peer_.address + ": ";
    if (read_guard_->fired()) return DeadlineExceeded(text + "no answer in time");
    if constexpr (std::is_same_v<Socket, Tls>) {
      const long verdict = SSL_get_verify_result(socket_->native_handle());
      if (verdict != X509_V_OK) {
        return Unavailable(text + "the certificate of the other side is not accepted: " +
                           X509_verify_cert_error_string(verdict) + VerdictHint(verdict));
      }
    }
    const char* reason = ERR_reason_error_string(static_cast<unsigned long>(error.value()));
    return Unavailable(text + (reason != nullptr ? reason : error.message()));
  }

  void ReadPeer() {
    if constexpr (std::is_same_v<Socket, Tls>) {
      SSL* ssl = socket_->native_handle();
      const std::unique_ptr<X509, decltype(&X509_free)> leaf(SSL_get1_peer_certificate(ssl),
                                                             X509_free);
      if (leaf == nullptr || SSL_get_verify_result(ssl) != X509_V_OK) return;
      peer_.verified = true;
      ReadPeerNames(*leaf, peer_);
    }
  }

  asio::any_io_executor executor_;
  std::shared_ptr<Socket> socket_;  // owners: this, its guards, posted handlers
  std::shared_ptr<Guard<Socket>> read_guard_;
  std::shared_ptr<Guard<Socket>> write_guard_;
  Peer peer_;
  std::shared_ptr<bool> cancelled_flag_ =
      std::make_shared<bool>(false);  // touched on the strand only
  bool& cancelled_ = *cancelled_flag_;
};

Peer PeerOf(const tcp::socket& socket) {
  error_code error;
  const auto end = socket.remote_endpoint(error);
  Peer peer;
  if (error) return peer;
  const bool six = end.address().is_v6();
  peer.address = (six ? "[" : "") + end.address().to_string() + (six ? "]:" : ":") +
                 std::to_string(end.port());
  peer.loopback = end.address().is_loopback();
  return peer;
}

Peer UnixPeer() {
  Peer peer;
  peer.address = "unix";
  peer.loopback = true;
  return peer;
}

// A peer that is gone without a word (power, network) is noticed within 30 s, also by a stream that
// only waits.
void NoticeDeadPeer(tcp::socket& socket) {
  const int fd = socket.native_handle();
  const auto set = [fd](int level, int name, int value) {
    // Refused only by kernels that do not know the option; deadlines are then all there is.
    return setsockopt(fd, level, name, &value, sizeof value) == 0;
  };
  const bool known = set(SOL_SOCKET, SO_KEEPALIVE, 1) && set(IPPROTO_TCP, TCP_KEEPIDLE, 15) &&
                     set(IPPROTO_TCP, TCP_KEEPINTVL, 5) && set(IPPROTO_TCP, TCP_KEEPCNT, 3) &&
                     set(IPPROTO_TCP, TCP_USER_TIMEOUT, 30'000);
  static_cast<void>(known);
}

class TcpListener final : public Listener {
 public:
  TcpListener(asio::any_io_executor executor, tcp::acceptor acceptor,
              std::shared_ptr<const TlsContext> tls)
      : executor_(std::move(executor)),
        acceptor_(std::make_shared<tcp::acceptor>(std::move(acceptor))),
        tls_(std::move(tls)) {
    port_ = acceptor_->local_endpoint().port();
  }
  ~TcpListener() override { Close(); }

  Awaitable<Result<std::shared_ptr<Connection>>> Accept(Io& io) override {
    auto strand = io.Strand();
    tcp::socket socket(strand);
    error_code error;
    co_await acceptor_->async_accept(socket, Into(error));
    if (error == asio::error::operation_aborted || error == asio::error::bad_descriptor)
      co_return CancelledError("listener closed");
    if (error) {
      // Descriptors ran out, or the peer left at once: the next one may do better, a little later.
      asio::steady_timer pause(executor_, std::chrono::milliseconds(50));
      error_code ignored;
      co_await pause.async_wait(Into(ignored));
      co_return Unavailable("accept: " + error.message());
    }
    socket.set_option(tcp::no_delay(true), error);
    NoticeDeadPeer(socket);
    Peer peer = PeerOf(socket);
    if (tls_ == nullptr) {
      co_return std::make_shared<SocketConnection<PlainTcp>>(
          strand, std::make_shared<PlainTcp>(std::move(socket)), std::move(peer));
    }
    co_return std::make_shared<SocketConnection<Tls>>(
        strand, std::make_shared<Tls>(std::move(socket), tls_->state()), std::move(peer));
  }

  asio::any_io_executor executor() const override { return executor_; }
  uint16_t port() const override { return port_; }
  void Close() override {
    asio::post(executor_, [acceptor = acceptor_] {
      error_code ignored;
      acceptor->close(ignored);
    });
  }

 private:
  asio::any_io_executor executor_;
  std::shared_ptr<tcp::acceptor> acceptor_;  // owners: this and the posted close
  std::shared_ptr<const TlsContext> tls_;
  uint16_t port_ = 0;
};

class UnixListener final : public Listener {
 public:
  UnixListener(asio::any_io_executor executor, Unix::acceptor acceptor, std::string path)
      : executor_(std::move(executor)),
        acceptor_(std::make_shared<Unix::acceptor>(std::move(acceptor))),
        path_(std::move(path)) {}
  ~UnixListener() override { Close(); }

  Awaitable<Result<std::shared_ptr<Connection>>> Accept(Io& io) override {
    auto strand = io.Strand();
    auto socket = std::make_shared<PlainUnix>(strand);
    error_code error;
    co_await acceptor_->async_accept(*socket, Into(error));
    if (error == asio::error::operation_aborted || error == asio::error::bad_descriptor)
      co_return CancelledError("listener closed");
    if (error) {
      asio::steady_timer pause(executor_, std::chrono::milliseconds(50));
      error_code ignored;
      co_await pause.async_wait(Into(ignored));
      co_return Unavailable("accept: " + error.message());
    }
    co_return std::make_shared<SocketConnection<PlainUnix>>(strand, std::move(socket), UnixPeer());
  }

  asio::any_io_executor executor() const override { return executor_; }
  uint16_t port() const override { return 0; }
  void Close() override {
    if (closed_.exchange(true)) return;
    unlink(path_.c_str());
    asio::post(executor_, [acceptor = acceptor_] {
      error_code ignored;
      acceptor->close(ignored);
    });
  }

 private:
  asio::any_io_executor executor_;
  std::shared_ptr<Unix::acceptor> acceptor_;  // owners: this and the posted close
  const std::string path_;
  std::atomic<bool> closed_ = false;
};

Awaitable<Result<std::shared_ptr<Connection>>> ConnectUnix(asio::any_io_executor strand,
                                                           Endpoint endpoint) {
  auto socket = std::make_shared<PlainUnix>(strand);
  error_code error;
  co_await socket->async_connect(Unix::endpoint(endpoint.unix_path), Into(error));
  if (error) co_return Unavailable("connect to \"" + endpoint.unix_path + "\": " + error.message());
  co_return std::make_shared<SocketConnection<PlainUnix>>(strand, socket, UnixPeer());
}

Awaitable<Result<tcp::socket>> ConnectTcp(asio::any_io_executor strand, const Endpoint& endpoint,
                                          SteadyTime deadline) {
  const std::string name = endpoint.Name();
  auto addresses = co_await Resolve(strand, endpoint.host, endpoint.port, deadline);
  if (!addresses.ok()) co_return addresses.status();
  auto socket = std::make_shared<PlainTcp>(strand);
  auto guard = std::make_shared<Guard<PlainTcp>>(strand, socket);
  error_code error;
  guard->Arm(deadline);
  Status why = Unavailable("connect to " + name + ": no address");
  for (const auto& address : *addresses) {
    error_code ignored;
    socket->close(ignored);
    error = {};
    co_await socket->async_connect(address.endpoint(), Into(error));
    if (!error) break;
    if (guard->fired()) co_return Unavailable("connect to " + name + ": no answer in time");
    why = Unavailable("connect to " + name + ": " + error.message());
  }
  guard->Disarm();
  if (error || !socket->is_open()) co_return why;
  socket->set_option(tcp::no_delay(true), error);
  NoticeDeadPeer(*socket);
  co_return tcp::socket(std::move(static_cast<tcp::socket&>(*socket)));
}

}  // namespace

std::string Endpoint::Name() const {
  if (!unix_path.empty()) return "\"" + unix_path + "\"";
  return host + ":" + std::to_string(port);
}

Awaitable<Result<std::shared_ptr<Connection>>> Connect(asio::any_io_executor strand,
                                                       Endpoint endpoint, SteadyTime deadline) {
  if (!endpoint.unix_path.empty()) co_return co_await ConnectUnix(strand, endpoint);
  auto socket = co_await ConnectTcp(strand, endpoint, deadline);
  if (!socket.ok()) co_return socket.status();
  Peer peer = PeerOf(*socket);
  if (endpoint.tls == nullptr) {
    co_return std::make_shared<SocketConnection<PlainTcp>>(
        strand, std::make_shared<PlainTcp>(*std::move(socket)), peer);
  }
  auto tls = std::make_shared<Tls>(*std::move(socket), endpoint.tls->state());
  ExpectServerName(tls->native_handle(), endpoint.host);
  tls->context->sessions.Offer(tls->native_handle(), endpoint.Name());
  auto connection = std::make_shared<SocketConnection<Tls>>(strand, tls, peer);
  const Status status = co_await connection->Handshake(false, deadline);
  if (!status.ok()) co_return Unavailable(endpoint.Name() + ": " + status.message());
  co_return connection;
}

Awaitable<Status> Handshake(Connection& connection, SteadyTime deadline) {
  if (auto* tls = dynamic_cast<SocketConnection<Tls>*>(&connection))
    co_return co_await tls->Handshake(true, deadline);
  co_return Status::Ok();
}

Result<std::unique_ptr<Listener>> Listener::Tcp(Io& io, const std::string& address, uint16_t port,
                                                std::shared_ptr<const TlsContext> tls) {
  error_code error;
  const auto ip = asio::ip::make_address(address, error);
  if (error) return InvalidArgument("\"" + address + "\" is not an IP address");
  auto strand = io.Strand();
  tcp::acceptor acceptor(strand);
  const tcp::endpoint end(ip, port);
  acceptor.open(end.protocol(), error);
  if (!error) acceptor.set_option(asio::socket_base::reuse_address(true), error);
  if (!error) acceptor.bind(end, error);
  if (!error) acceptor.listen(1024, error);
  if (error)
    return Unavailable("listen on " + address + ":" + std::to_string(port) + ": " +
                       error.message());
  return std::unique_ptr<Listener>(
      std::make_unique<TcpListener>(strand, std::move(acceptor), std::move(tls)));
}

Result<std::unique_ptr<Listener>> Listener::OnUnix(Io& io, const std::string& path, mode_t mode) {
  const std::string what = "listen on \"" + path + "\": ";
  auto strand = io.Strand();
  error_code error;
  Unix::endpoint end;
  if (path.empty() || path.size() >= sizeof(sockaddr_un::sun_path))
    return InvalidArgument(what + "a socket's path has 1 to 107 characters");
  end.path(path);
  Unix::socket probe(strand);
  probe.connect(end, error);
  if (!error) return AlreadyExists(what + "another process serves it");
  // Left behind by a process that has died. Anything but a socket is not ours to remove.
  struct stat attributes {};
  if (error == asio::error::connection_refused && lstat(path.c_str(), &attributes) == 0 &&
      S_ISSOCK(attributes.st_mode)) {
    unlink(path.c_str());
  }
  Unix::acceptor acceptor(strand);
  acceptor.open(end.protocol(), error);
  // The mode of the descriptor becomes that of the file: there is no moment with a wider one.
  if (!error && fchmod(acceptor.native_handle(), mode) != 0)
    error = error_code(errno, boost::system::system_category());
  if (!error) acceptor.bind(end, error);
  if (!error && chmod(path.c_str(), mode) != 0)
    error = error_code(errno, boost::system::system_category());
  if (!error) acceptor.listen(128, error);
  if (error) return Unavailable(what + error.message());
  return std::unique_ptr<Listener>(
      std::make_unique<UnixListener>(strand, std::move(acceptor), path));
}

Result<std::shared_ptr<Connection>> AdoptUnix(Io& io, int fd) {
  return Adopt(io.Strand(), UniqueFd(fd));
}

Result<std::shared_ptr<Connection>> Adopt(const asio::any_io_executor& strand, UniqueFd fd) {
  const int on = 1;
  // Of a TCP connection: what comes in small pieces goes at once. Other families have no such
  // option.
  const bool tcp = setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0;
  static_cast<void>(tcp);
  auto socket = std::make_shared<PlainUnix>(strand);
  error_code error;
  // The protocol is only a name here: reading, writing and closing are the same for all.
  socket->assign(Unix(), fd.get(), error);
  if (error) return Unavailable("adopt a socket: " + error.message());
  static_cast<void>(fd.Release());
  return std::shared_ptr<Connection>(
      std::make_shared<SocketConnection<PlainUnix>>(strand, socket, UnixPeer()));
}

}  // namespace interlink::net
