#include "cri/named_peers.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <vector>

#include "base/id.h"
#include "net/connection.h"

namespace interlink::cri {
namespace {

constexpr size_t kBuffer = 64U << 10U;
constexpr auto kRemembered = std::chrono::minutes(1);
// An idle connection is cut after this; its client connects again.
constexpr auto kIdleLimit = std::chrono::hours(24 * 7);
// gRPC and its clients always read: whoever does not for so long is gone.
constexpr auto kWriteLimit = std::chrono::minutes(10);

// An abstract name (unix(7)) of the outer end; nobody can connect to it, since it does not listen.
Status Name(int fd, const std::string& name) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(&address.sun_path[1], name.data(), name.size());
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  if (bind(fd, reinterpret_cast<const sockaddr*>(&address), size) != 0)
    return ErrnoStatus(errno, "name a socket");
  return {};
}

}  // namespace

// One connection. Owners: its two coroutines.
class Carried : public std::enable_shared_from_this<Carried> {
 public:
  Carried(std::shared_ptr<NamedPeers> peers, std::string name,
          std::shared_ptr<net::Connection> client, std::shared_ptr<net::Connection> outer)
      : peers_(std::move(peers)),
        name_(std::move(name)),
        client_(std::move(client)),
        outer_(std::move(outer)) {}
  ~Carried() { peers_->Left(name_); }
  Carried(const Carried&) = delete;
  Carried& operator=(const Carried&) = delete;

  static void Start(const std::shared_ptr<Carried>& self) {
    net::Io::Spawn(self->client_->executor(), Copy(self, self->client_, self->outer_));
    net::Io::Spawn(self->client_->executor(), Copy(self, self->outer_, self->client_));
  }

 private:
  static net::Awaitable<void> Copy(std::shared_ptr<Carried> /*until both have ended*/,
                                   std::shared_ptr<net::Connection> from,
                                   std::shared_ptr<net::Connection> to) {
    std::vector<char> buffer(kBuffer);
    while (true) {
      const auto read = co_await from->Read(buffer, std::chrono::steady_clock::now() + kIdleLimit);
      if (!read.ok() || *read == 0) {
        if (read.ok()) {
          co_await to->ShutdownWrite();
        } else {
          to->Cancel();
        }
        co_return;
      }
      const Status written = co_await to->Write({buffer.data(), *read},
                                                std::chrono::steady_clock::now() + kWriteLimit);
      if (!written.ok()) {
        from->Cancel();
        to->Cancel();
        co_return;
      }
    }
  }

  const std::shared_ptr<NamedPeers> peers_;
  const std::string name_;
  const std::shared_ptr<net::Connection> client_;
  const std::shared_ptr<net::Connection> outer_;
};

Result<UniqueFd> NamedPeers::Carry(UniqueFd client, PeerProcess peer) {
  int pair[2] = {-1, -1};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0)
    return ErrnoStatus(errno, "make a socket pair");
  UniqueFd outer(pair[0]);
  UniqueFd inner(pair[1]);
  const std::string name = "interlink-cri-" + RandomHex(16);
  RETURN_IF_ERROR(Name(outer.get(), name));
  const auto strand = io_.Strand();
  ASSIGN_OR_RETURN(auto client_side, net::Adopt(strand, std::move(client)));
  ASSIGN_OR_RETURN(auto outer_side, net::Adopt(strand, std::move(outer)));
  {
    MutexLock lock(mutex_);
    ForgetOld();
    peers_.emplace(name, std::move(peer));
  }
  Carried::Start(std::make_shared<Carried>(shared_from_this(), name, std::move(client_side),
                                           std::move(outer_side)));
  return inner;
}

std::optional<PeerProcess> NamedPeers::Find(const std::string& address) const {
  const size_t colon = address.find(':');
  const std::string name = colon == std::string::npos ? address : address.substr(colon + 1);
  MutexLock lock(mutex_);
  const auto it = peers_.find(name);
  if (it == peers_.end()) return std::nullopt;
  return it->second;
}

void NamedPeers::Left(const std::string& name) {
  MutexLock lock(mutex_);
  left_.emplace_back(std::chrono::steady_clock::now(), name);
  ForgetOld();
}

void NamedPeers::ForgetOld() {
  const SteadyTime limit = std::chrono::steady_clock::now() - Duration(kRemembered);
  for (; !left_.empty() && left_.front().first < limit; left_.pop_front())
    peers_.erase(left_.front().second);
}

}  // namespace interlink::cri
