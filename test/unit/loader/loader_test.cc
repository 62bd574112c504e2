#include "loader/loader.h"

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>

#include "base/file.h"

namespace interlink::loader {
namespace {

const std::string kFixtures = FIXTURES;

class Folder {
 public:
  Folder() {
    std::string name = std::filesystem::temp_directory_path() / "loader-XXXXXX";
    path_ = mkdtemp(name.data());
  }
  ~Folder() { REQUIRE(RemoveTree(path_).ok()); }
  std::string File(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

class FakeHost final : public sdk::Host {
 public:
  void Report(std::vector<sdk::Observation>) override {}
  void LogGrew(const ContainerId&) override {}
  Result<sdk::UnpackedImage> HoldImage(const ContainerId&, const std::string&) override {
    return NotFound("no images here");
  }
  void ReleaseImages(const ContainerId&) override {}
  const Lineage& lineage() const override { return lineage_; }
  const std::string& data_folder() const override { return folder_; }
  Log& log() override { return log_; }
  Metrics& metrics() override { return metrics_; }
  const Clock& clock() override { return clock_; }

 private:
  Lineage lineage_;
  std::string folder_;
  NullLog log_;
  NullMetrics metrics_;
  SystemClock clock_;
};

bool Says(const Status& status, const std::string& text) {
  INFO(status.ToString());
  const bool says = status.message().find(text) != std::string::npos;
  CHECK(says);
  return says;
}

Result<sdk::AgentDesk*> NoDesk() { return FailedPrecondition("there is no hub for agents"); }

Result<Loaded> LoadFile(const std::string& path) {
  FakeHost host;
  return Load(path, host, NoDesk, {"section", {}, {}});
}

class FakeDesk final : public sdk::AgentDesk {
 public:
  sdk::AgentTicket TicketFor(const SandboxId&) override { return {"site:1", "site", "", ""}; }
  void Report(std::vector<sdk::AllocationFact>) override {}
  Result<sdk::AgentBinding> CloseTo(const SandboxId&) override { return sdk::AgentBinding(); }
  Result<sdk::AgentBinding> BoundTo(const SandboxId&) override { return sdk::AgentBinding(); }
  Result<bool> HasLeft(const SandboxId&) override { return false; }
  Duration Lease() const override { return Duration::zero(); }
  Duration Heartbeat() const override { return Duration::zero(); }
  std::optional<Duration> Silence(const SandboxId&) override { return std::nullopt; }
  Status Carry(UniqueFd, std::function<void()>) override { return Unavailable("no hub"); }
};

TEST_CASE("a plugin of this build makes its backend, as often as asked") {
  const auto one = LoadFile(kFixtures + "/good.so");
  const auto two = LoadFile(kFixtures + "/good.so");

  REQUIRE(one.ok());
  REQUIRE(two.ok());
  REQUIRE(one->backend->Describe().plugin == "good");
  REQUIRE(one->backend.get() != two->backend.get());
  REQUIRE(one->provisioner == nullptr);
  REQUIRE(Check(kFixtures + "/good.so").ok());
  REQUIRE(*Check(kFixtures + "/good.so") == Kind::kBackend);
}

TEST_CASE("a scheduler's plugin makes a provisioner, for which there must be a hub") {
  FakeHost host;
  FakeDesk desk;

  const auto made = Load(kFixtures + "/scheduler.so", host,
                         [&desk]() -> Result<sdk::AgentDesk*> { return &desk; }, {"s", {}, {}});

  REQUIRE(made.ok());
  REQUIRE(made->backend == nullptr);
  REQUIRE(made->provisioner->Describe().plugin == "scheduler at site:1");
  REQUIRE(Check(kFixtures + "/scheduler.so").ok());
  REQUIRE(*Check(kFixtures + "/scheduler.so") == Kind::kProvisioner);
  REQUIRE(LoadFile(kFixtures + "/scheduler.so").status() ==
          FailedPrecondition("plugin \"scheduler\": there is no hub for agents"));
}

TEST_CASE("a refusal names the file and what differs") {
  struct Case {
    std::string file;
    Code code;
    std::string text;
  };
  const auto wrong = GENERATE(values<Case>({
      {"absent.so", Code::kNotFound, "No such file"},
      {"other_abi.so", Code::kFailedPrecondition, "it is made for plugin ABI 6, this daemon has 5"},
      {"other_build.so", Code::kFailedPrecondition,
       "it is of build \"9.9.9/clang-99/Debug\", this daemon of \""},
      {"incomplete.so", Code::kFailedPrecondition, "its descriptor is incomplete"},
      {"nothing.so", Code::kInvalidArgument,
       "it is not an interlink plugin: no symbol interlink_plugin_v1"},
      {"unresolved.so", Code::kFailedPrecondition, "interlink_no_such_function"},
  }));

  const auto backend = LoadFile(kFixtures + "/" + wrong.file);

  REQUIRE(backend.status().code() == wrong.code);
  REQUIRE(Check(kFixtures + "/" + wrong.file).status() == backend.status());
  REQUIRE(Says(backend.status(), wrong.text));
  REQUIRE(Says(backend.status(), "plugin \"" + kFixtures + "/" + wrong.file + "\": "));
}

TEST_CASE("what is not a shared object is refused before it is opened as one") {
  const Folder folder;
  REQUIRE(WriteFileAtomically(folder.File("text.so"), "#!/bin/sh\n", 0644).ok());
  REQUIRE(WriteFileAtomically(folder.File("short.so"), "\177E", 0644).ok());
  REQUIRE(WriteFileAtomically(folder.File("damaged.so"), "\177ELF but no more", 0644).ok());
  REQUIRE(mkdir(folder.File("folder.so").c_str(), 0755) == 0);
  REQUIRE(mkfifo(folder.File("pipe.so").c_str(), 0644) == 0);

  REQUIRE(Says(LoadFile(folder.File("text.so")).status(), "it is not a shared object"));
  REQUIRE(Says(LoadFile(folder.File("short.so")).status(), "it is not a shared object"));
  REQUIRE(Says(LoadFile(folder.File("damaged.so")).status(), "it cannot be loaded"));
  REQUIRE(Says(LoadFile(folder.File("folder.so")).status(), "it is not a file"));
  REQUIRE(Says(LoadFile(folder.File("pipe.so")).status(), "it is not a file"));
  REQUIRE(LoadFile("good.so").status().code() == Code::kInvalidArgument);
  REQUIRE(LoadFile("").status().code() == Code::kInvalidArgument);
}

TEST_CASE("a plugin that everybody may write is refused") {
  const Folder folder;
  std::filesystem::copy_file(kFixtures + "/good.so", folder.File("good.so"));
  REQUIRE(chmod(folder.File("good.so").c_str(), 0757) == 0);

  const auto plugin = LoadFile(folder.File("good.so"));

  REQUIRE(plugin.status().code() == Code::kPermissionDenied);
  REQUIRE(Check(folder.File("good.so")).status() == plugin.status());
  REQUIRE(Says(plugin.status(), "chmod o-w"));
}

TEST_CASE("a backend that cannot be made keeps the plugin's reason and code") {
  FakeHost host;
  const auto create = [&host](const std::string& key, const std::string& value) {
    return Load(kFixtures + "/good.so", host, NoDesk,
                {"section", {}, {{key, value, "site.yaml:7"}}})
        .status();
  };

  REQUIRE(create("Tpyo", "1") ==
          InvalidArgument("plugin \"good\": site.yaml:7: unknown key \"Tpyo\""));
  REQUIRE(create("Throw", "no disk") == InternalError("plugin \"good\": it threw: no disk"));
  REQUIRE(create("ThrowNumber", "").code() == Code::kInternal);
  REQUIRE(create("Nothing", "").code() == Code::kInternal);
}

}  // namespace
}  // namespace interlink::loader
