#include <stdexcept>

#include "contract/subject.h"
#include "engine/engine.h"
#include "support/local_machine/local_machine.h"

namespace interlink::contract {
namespace {

class LocalSubject final : public Subject {
 public:
  test::RecordingHost& host() override { return machine_.host; }
  std::unique_ptr<sdk::Backend> Make() override {
    auto backend = engine::Engine::Create(machine_.host, machine_.Options());
    if (!backend.ok()) throw std::runtime_error(backend.status().ToString());
    return *std::move(backend);
  }
  std::string handler() const override { return "local"; }
  std::string image() const override { return machine_.ImageId(); }
  Words RunsForever() const override {
    return {"sh", "-c", "trap 'exit 143' TERM; echo ready; sleep 600 & wait"};
  }
  Words IgnoresStop() const override {
    return {"sh", "-c", "trap '' TERM; echo ready; exec sleep 600"};
  }
  std::string ready() const override { return "ready"; }
  Words Prints(const std::string& text) const override { return {"echo", text}; }
  Words ExitsWith(int code) const override { return {"sh", "-c", "exit " + std::to_string(code)}; }
  Words CannotStart() const override { return {"/no/such/program"}; }
  Words EchoesStdin() const override { return {"cat"}; }
  Words SleepsLong() const override { return {"sleep", "600"}; }
  Words PrintsSize() const override { return {"sh", "-c", "read line; busybox stty size"}; }
  Words Complains(const std::string& text) const override {
    return {"sh", "-c", "echo \"$0\" >&2", text};
  }
  Words EchoesOnPort(uint16_t port) const override {
    return {"sh", "-c", "while true; do nc -l -p " + std::to_string(port) + " -e cat; done"};
  }
  std::vector<std::string> Remains() override { return machine_.Remains(); }

 private:
  test::LocalMachine machine_;
};

}  // namespace

std::unique_ptr<Subject> MakeSubject() { return std::make_unique<LocalSubject>(); }

}  // namespace interlink::contract
