#include "cri/acceptor.h"

#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <cstring>
#include <fstream>
#include <string_view>

#include "base/mutex.h"
#include "support/eventually.h"
#include "support/temporary_folder.h"

namespace interlink::cri {
namespace {

using test::Eventually;

sockaddr_un AddressOf(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

UniqueFd Connect(const std::string& path) {
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_un address = AddressOf(path);
  REQUIRE(connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  return fd;
}

void Send(const UniqueFd& fd, std::string_view bytes) {
  REQUIRE(send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
          static_cast<ssize_t>(bytes.size()));
}

// Whether the other side has closed, within 30 s.
bool IsClosed(const UniqueFd& fd) {
  pollfd item{fd.get(), POLLIN, 0};
  char byte = 0;
  return ::poll(&item, 1, 30'000) == 1 && recv(fd.get(), &byte, 1, 0) == 0;
}

// What an acceptor has handed over, with the first bytes that a taker reads.
class Taken {
 public:
  Acceptor::Take Take() {
    return [this](UniqueFd fd, const PeerProcess& /*peer*/) {
      std::array<char, 64> bytes{};
      const ssize_t size = recv(fd.get(), bytes.data(), bytes.size(), 0);
      MutexLock lock(mutex_);
      texts_.emplace_back(bytes.data(), static_cast<size_t>(std::max<ssize_t>(size, 0)));
    };
  }
  std::vector<std::string> Texts() {
    MutexLock lock(mutex_);
    return texts_;
  }

 private:
  Mutex mutex_;
  std::vector<std::string> texts_ GUARDED_BY(mutex_);
};

struct AcceptorLab {
  explicit AcceptorLab(const AcceptorLimits& limits = {}) {
    auto made = Acceptor::Listen(path, log, limits);
    INFO(made.status().ToString());
    REQUIRE(made.ok());
    acceptor = *std::move(made);
    acceptor->Run(grpc.Take(), http.Take());
  }
  const test::TemporaryFolder folder;
  const std::string path = folder.File("cri.sock");
  NullLog log;
  Taken grpc;
  Taken http;
  std::unique_ptr<Acceptor> acceptor;
};

double CpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

TEST_CASE("the first bytes say who gets a connection, and stay in it") {
  AcceptorLab lab;

  const UniqueFd grpc = Connect(lab.path);
  Send(grpc, "PRI * HTTP/2.0\r\n");
  const UniqueFd http = Connect(lab.path);
  Send(http, "GET /healthz HTTP/1.1\r\n");
  const UniqueFd post = Connect(lab.path);
  Send(post, "POST /healthz HTTP/1.1\r\n");

  REQUIRE(Eventually([&] { return lab.grpc.Texts().size() == 1; }));
  REQUIRE(Eventually([&] { return lab.http.Texts().size() == 2; }));
  CHECK(lab.grpc.Texts()[0] == "PRI * HTTP/2.0\r\n");
  CHECK(lab.http.Texts()[0] == "GET /healthz HTTP/1.1\r\n");
  CHECK(lab.http.Texts()[1] == "POST /healthz HTTP/1.1\r\n");
}

TEST_CASE("a preface in parts is waited for, without a spinning thread") {
  AcceptorLab lab;
  const UniqueFd slow = Connect(lab.path);
  Send(slow, "PR");

  const double before = CpuSeconds();
  CHECK_FALSE(Eventually([&] { return !lab.grpc.Texts().empty(); }, std::chrono::seconds(1)));
  const double used = CpuSeconds() - before;
  Send(slow, "I * HTTP/2.0\r\n");

  REQUIRE(Eventually([&] { return lab.grpc.Texts().size() == 1; }));
  CHECK(lab.grpc.Texts()[0] == "PRI * HTTP/2.0\r\n");
  CHECK(used < 0.4);
}

TEST_CASE("a connection that stays silent, or stops in the preface, is closed at the limit") {
  CHECK(AcceptorLimits().first_bytes == std::chrono::seconds(10));
  AcceptorLab lab({.first_bytes = std::chrono::milliseconds(500)});
  const UniqueFd silent = Connect(lab.path);
  const UniqueFd partial = Connect(lab.path);
  Send(partial, "PR");

  CHECK(IsClosed(silent));
  // Bytes that nobody has read make it a reset.
  pollfd item{partial.get(), POLLIN, 0};
  CHECK(::poll(&item, 1, 30'000) == 1);
  CHECK(lab.grpc.Texts().empty());
  CHECK(lab.http.Texts().empty());
}

TEST_CASE("without room connections wait in the queue, without a spinning thread") {
  AcceptorLab lab({.pending = 2});
  const UniqueFd first = Connect(lab.path);
  const UniqueFd second = Connect(lab.path);
  const UniqueFd third = Connect(lab.path);
  Send(third, "GET / HTTP/1.1\r\n");

  const double before = CpuSeconds();
  CHECK_FALSE(Eventually([&] { return !lab.http.Texts().empty(); }, std::chrono::seconds(1)));
  const double used = CpuSeconds() - before;
  Send(first, "PRI * HTTP/2.0\r\n");

  CHECK(Eventually([&] { return lab.http.Texts().size() == 1; }));
  CHECK(used < 0.4);
}

TEST_CASE("the socket is for its owner and group, and goes with the acceptor") {
  auto lab = std::make_unique<AcceptorLab>();
  struct stat about {};
  REQUIRE(stat(lab->path.c_str(), &about) == 0);
  CHECK((about.st_mode & 0777U) == 0660);

  lab->acceptor.reset();

  CHECK(stat(lab->path.c_str(), &about) != 0);
}

TEST_CASE("a socket of a daemon that died is replaced") {
  const test::TemporaryFolder folder;
  const std::string path = folder.File("deep/cri.sock");
  REQUIRE(std::filesystem::create_directory(folder.File("deep")));
  {
    const UniqueFd dead(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const sockaddr_un address = AddressOf(path);
    REQUIRE(bind(dead.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  }
  NullLog log;

  CHECK(Acceptor::Listen(path, log).ok());
}

TEST_CASE("what is not ours to take is refused and left alone") {
  const test::TemporaryFolder folder;
  NullLog log;
  const std::string file = folder.File("file");
  std::ofstream(file) << "precious";
  const Status foreign = Acceptor::Listen(file, log).status();
  CHECK(foreign.code() == Code::kFailedPrecondition);
  CHECK(foreign.message().find("is no socket") != std::string::npos);
  CHECK(std::filesystem::file_size(file) == 8);

  const std::string path = folder.File("cri.sock");
  const auto other = Acceptor::Listen(path, log);
  REQUIRE(other.ok());
  const Status busy = Acceptor::Listen(path, log).status();
  CHECK(busy.code() == Code::kFailedPrecondition);
  CHECK(busy.message().find("another process answers") != std::string::npos);
  Connect(path);

  CHECK(Acceptor::Listen("relative", log).status().code() == Code::kInvalidArgument);
  CHECK(Acceptor::Listen("/" + std::string(120, 'x'), log).status().code() ==
        Code::kInvalidArgument);
}

}  // namespace
}  // namespace interlink::cri
