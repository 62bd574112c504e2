#include <cstdlib>
#include <filesystem>
#include <stdexcept>

#include "contract/subject.h"
#include "support/fake_backend/fake_backend.h"

namespace interlink::contract {
namespace {

std::string MakeFolder() {
  char path[] = "/tmp/interlink-contract-XXXXXX";
  if (mkdtemp(path) == nullptr) throw std::runtime_error("cannot make a temporary folder");
  return path;
}

class FakeSubject final : public Subject {
 public:
  FakeSubject() : host_(MakeFolder()) {
    sdk::UnpackedImage image;
    image.id = "sha256:fake";
    host_.AddImage(image);
  }
  ~FakeSubject() override { std::filesystem::remove_all(host_.data_folder()); }

  test::RecordingHost& host() override { return host_; }
  std::unique_ptr<sdk::Backend> Make() override {
    auto backend = fake::FakeBackend::Create(host_, {"fake", {"fake"}, {}});
    if (!backend.ok()) throw std::runtime_error(backend.status().ToString());
    return *std::move(backend);
  }
  std::string handler() const override { return "fake"; }
  std::string image() const override { return "sha256:fake"; }
  Words RunsForever() const override { return {"forever"}; }
  Words IgnoresStop() const override { return {"stubborn"}; }
  std::string ready() const override { return {}; }
  Words Prints(const std::string& text) const override { return {"print", text}; }
  Words ExitsWith(int code) const override { return {"exit", std::to_string(code)}; }
  Words CannotStart() const override { return {"start-error"}; }
  Words EchoesStdin() const override { return {"cat"}; }
  Words SleepsLong() const override { return {"sleep", "600000"}; }
  Words PrintsSize() const override { return {"size"}; }
  Words Complains(const std::string& text) const override { return {"complain", text}; }
  Words EchoesOnPort(uint16_t) const override { return {"forever"}; }
  std::vector<std::string> Remains() override { return {}; }

 private:
  test::RecordingHost host_;
};

}  // namespace

std::unique_ptr<Subject> MakeSubject() { return std::make_unique<FakeSubject>(); }

}  // namespace interlink::contract
