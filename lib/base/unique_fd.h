// UniqueFd owns a file descriptor. Movable, not thread-safe.
#ifndef INTERLINK_BASE_UNIQUE_FD_H_
#define INTERLINK_BASE_UNIQUE_FD_H_

#include <utility>

namespace interlink {

class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) {
      Reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  ~UniqueFd() { Reset(); }

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  explicit operator bool() const { return valid(); }
  // The caller owns the descriptor now.
  [[nodiscard]] int Release() { return std::exchange(fd_, -1); }
  void Reset();

 private:
  int fd_ = -1;
};

}  // namespace interlink

#endif  // INTERLINK_BASE_UNIQUE_FD_H_
