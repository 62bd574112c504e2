// A TCP client that sends exactly what a test says, right or wrong.
#ifndef INTERLINK_TEST_UNIT_NET_RAW_PEER_H_
#define INTERLINK_TEST_UNIT_NET_RAW_PEER_H_

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <chrono>
#include <string>
#include <string_view>
#include <utility>

#include "base/unique_fd.h"

namespace interlink::test {

class RawPeer {
 public:
  explicit RawPeer(uint16_t port) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  }

  // False: the server has closed.
  bool Send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(n));
    }
    return true;
  }
  void FinishSending() { shutdown(fd_.get(), SHUT_WR); }

  // Everything until the server closes or resets; "TIMEOUT" is appended after 20 s.
  std::string ReadToEnd() {
    while (ReadSome()) {
    }
    return text_;
  }
  // Until `mark` was received `times`, or the end.
  std::string ReadUntil(std::string_view mark, int times = 1) {
    while (Count(mark) < times && ReadSome()) {
    }
    return text_;
  }
  int Count(std::string_view mark) const {
    int count = 0;
    for (size_t at = text_.find(mark); at != std::string::npos; at = text_.find(mark, at + 1))
      ++count;
    return count;
  }
  // Whether something, or the end, has come within so many milliseconds.
  bool HasInput(int milliseconds) const {
    pollfd waiting{fd_.get(), POLLIN, 0};
    return poll(&waiting, 1, milliseconds) == 1;
  }
  bool was_reset() const { return reset_; }
  // What was received and is not taken off by the test.
  std::string& text() { return text_; }
  // Of our end.
  uint16_t port() const {
    sockaddr_in address{};
    socklen_t size = sizeof address;
    REQUIRE(getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
    return ntohs(address.sin_port);
  }

  // False: the server has closed, or nothing came for 20 s.
  bool ReadSome() {
    pollfd waiting{fd_.get(), POLLIN, 0};
    if (poll(&waiting, 1, 20'000) != 1) {
      text_ += "TIMEOUT";
      return false;
    }
    std::array<char, 65536> chunk{};
    const ssize_t n = recv(fd_.get(), chunk.data(), chunk.size(), 0);
    if (n < 0) reset_ = true;
    if (n <= 0) return false;
    text_.append(chunk.data(), static_cast<size_t>(n));
    return true;
  }
  void Close() { fd_ = UniqueFd(); }
  // For another client that goes on with the connection.
  UniqueFd Take() { return std::move(fd_); }

 private:
  UniqueFd fd_;
  std::string text_;
  bool reset_ = false;
};

}  // namespace interlink::test

#endif  // INTERLINK_TEST_UNIT_NET_RAW_PEER_H_
