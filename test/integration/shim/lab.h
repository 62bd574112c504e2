// A place for real containers: a temporary directory with a busybox root and crun's state.
// Everything in it is ended and removed with the Lab, also when a test failed; what a container
// leaves behind fails it.
#ifndef INTERLINK_TEST_INTEGRATION_SHIM_LAB_H_
#define INTERLINK_TEST_INTEGRATION_SHIM_LAB_H_

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "shim/exit_record.h"
#include "shim/frames.h"
#include "shim/messages.h"

namespace interlink::shim {

// The payload of a kClose that ends the standard input.
const std::string kCloseStdin(1, static_cast<char>(FrameType::kStdin));

struct Ran {
  int code = 0;
  std::string out;
  std::string err;
};

// Runs a program to its end. `pass`: a descriptor that becomes the child's 3.
Ran RunProgram(const std::vector<std::string>& argv, int pass = -1);
pid_t StartProgram(const std::vector<std::string>& argv);

// Waits for a condition, at most 30 s.
bool Eventually(const std::function<bool()>& condition);

std::string ReadAll(const std::string& path);
void WriteAll(const std::string& path, const std::string& bytes);
// Lines of `path` that contain `text`.
size_t CountLines(const std::string& path, const std::string& text);

class Lab {
 public:
  Lab();
  ~Lab();
  Lab(const Lab&) = delete;
  Lab& operator=(const Lab&) = delete;

  const std::string& path() const { return path_; }
  const std::string& cgroup() const { return cgroup_; }
  // RUNTIME and its global arguments.
  std::vector<std::string> runtime() const;
  Ran Oci(const std::vector<std::string>& arguments) const;

 private:
  std::string path_;
  std::string cgroup_;
};

struct ContainerOptions {
  std::vector<std::string> args;
  bool tty = false;
  std::vector<std::string> flags;  // of `run`
  std::string pid_namespace;       // path; empty: one of its own
  std::string runtime;             // instead of crun
  uint64_t memory = 0;
};

// One connection to a control socket.
class Client {
 public:
  explicit Client(const std::string& directory);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  void Send(FrameType type, const std::string& payload = "");
  template <typename Message>
  void SendMessage(FrameType type, const Message& message) {
    std::string bytes(kMaxText + 64, '\0');
    bytes.resize(message.Encode(bytes.data(), bytes.size()));
    Send(type, bytes);
  }
  void SendRaw(const std::string& bytes);
  struct Got {
    FrameType type{};
    std::string payload;
    bool end = false;  // the stream has ended
  };
  Got Next();
  int fd() const { return fd_; }

 private:
  int fd_ = -1;
};

struct SessionEnd {
  std::string out;
  std::string err;
  bool has_status = false;
  int code = -1;
  int signal = -1;
};
// Reads frames until the stream ends.
SessionEnd ReadSession(Client& client);

class TestContainer {
 public:
  // Prepares bundle and directory.
  TestContainer(Lab& lab, const std::string& id, ContainerOptions options);
  ~TestContainer();
  TestContainer(const TestContainer&) = delete;
  TestContainer& operator=(const TestContainer&) = delete;

  std::vector<std::string> RunCommandLine() const;
  Ran Run() const { return RunProgram(RunCommandLine()); }
  // REQUIREs run and start to succeed.
  void Start();
  // The answer to a request: 0 or an errno value.
  int Ask(FrameType type, const std::string& payload = "", std::string* text = nullptr) const;
  int Signal(int number, bool all = false) const;
  ContainerState State() const;
  // Waits for the exit record.
  ExitRecord Exit() const;
  // The log's contents, without times and tags; partial lines are not ended.
  std::string Log(const std::string& stream) const;
  // Writes a process.json and answers its path.
  std::string Process(const std::vector<std::string>& args, bool tty = false) const;
  std::unique_ptr<Client> Exec(const SessionRequest& request,
                               const std::vector<std::string>& args) const;
  // Deletes it with the runtime and checks that nothing is left.
  void Remove();

  const std::string& directory() const { return directory_; }
  const std::string& id() const { return id_; }
  pid_t ShimPid() const;
  pid_t Pid() const;
  // Processes in its cgroup.
  size_t Processes() const;

 private:
  Lab& lab_;
  std::string id_;
  ContainerOptions options_;
  std::string directory_;
  std::string bundle_;
  bool removed_ = false;
};

}  // namespace interlink::shim

#endif  // INTERLINK_TEST_INTEGRATION_SHIM_LAB_H_
