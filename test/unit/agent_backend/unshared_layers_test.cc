// Agents that cannot read the site's layers: they are sent before a container is created.
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "agent_backend_lab.h"
#include "layer_archive/read_layer.h"

namespace interlink::test {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

constexpr const char* kBase = "v1-7-1.5";
constexpr const char* kTop = "v1-8-1.6";

// The agent's end of the layers that are put, one after the other.
class Receiver {
 public:
  explicit Receiver(Outside& outside) {
    MutexLock lock(outside.mutex);
    outside.take_layer = [this](const std::string& name) { return Put(name); };
  }
  ~Receiver() { Drop(); }

  bool Came(const std::string& name) {
    return Eventually([&] {
      MutexLock lock(mutex_);
      return end_ && name_ == name;
    });
  }
  // Until the site half-closes; false: it was cut off.
  Status Take(const std::string& to) {
    const int end = End();
    const auto source = [end](char* buffer, size_t size) -> Result<size_t> {
      const ssize_t got = read(end, buffer, size);
      if (got < 0) return Unavailable("lost");
      return static_cast<size_t>(got);
    };
    return layer_archive::ReadLayer(Call::WithTimeout(std::chrono::seconds(30)), source, to,
                                    layer_archive::LayerOwners::kOne);
  }
  void Answer(const std::string& line) {
    REQUIRE(send(End(), line.data(), line.size(), MSG_NOSIGNAL) ==
            static_cast<ssize_t>(line.size()));
    Drop();
  }
  void Drop() {
    UniqueFd dropped;
    MutexLock lock(mutex_);
    std::swap(dropped, end_);
  }
  // The site has let go of it.
  bool IsCut() {
    return Eventually([&] {
      std::vector<char> some(1 << 16);
      const ssize_t got = recv(End(), some.data(), some.size(), MSG_DONTWAIT);
      return got == 0 || (got < 0 && errno == ECONNRESET);
    });
  }

 private:
  Result<UniqueFd> Put(const std::string& name) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
      return Unavailable("no pair");
    MutexLock lock(mutex_);
    end_ = UniqueFd(ends[0]);
    name_ = name;
    return UniqueFd(ends[1]);
  }
  int End() {
    MutexLock lock(mutex_);
    return end_.get();
  }

  Mutex mutex_;
  UniqueFd end_ GUARDED_BY(mutex_);
  std::string name_ GUARDED_BY(mutex_);
};

struct UnsharedLab : AgentBackendLab {
  explicit UnsharedLab(Duration idle = Duration::zero()) : AgentBackendLab(idle, false) {
    for (const char* name : {kBase, kTop}) {
      fs::create_directories(folder.File(std::string("site/") + name));
      // More than a socket holds.
      std::ofstream(folder.File(std::string("site/") + name + "/of " + name))
          << std::string(4 << 20, 'x');
    }
    host.AddImage({"sha256:i", {Layer(kBase)}, {}});
    host.AddImage({"sha256:two", {Layer(kBase), Layer(kTop)}, {}});
  }
  std::string Layer(const std::string& name) const { return folder.File("site/" + name); }
  void ComeFrom(const std::string& machine) {
    agent_hub::AgentPlace place;
    place.host = machine;
    directory.CameIn(pod, place);
    REQUIRE(directory.Reported(pod, {Seen(State::kUp)}, true).ok());
  }
  void MakeUpOn(const std::string& machine) {
    MakeUp();
    ComeFrom(machine);
  }
  Status CreateOf(const std::string& image) {
    return backend->CreateContainer(call(), {unit, pod, node, image, unit_config, config});
  }
  bool Creates() {
    return Eventually([&] { return Create().ok(); });
  }
  int Puts(const std::string& name) { return outside.Count("agent PutLayer " + name); }

  Receiver receiver{outside};
};

TEST_CASE("a layer is sent while the creation says so, once, and then the container is created") {
  UnsharedLab lab;
  lab.MakeUpOn("n9");

  const Status first = lab.Create();
  REQUIRE(lab.receiver.Came(kBase));
  Status second;
  // How large it is, is measured while it is sent.
  CHECK(Eventually([&] {
    second = lab.Create();
    return second.message().ends_with(" of 4 MiB");
  }));

  CHECK(first.code() == Code::kUnavailable);
  CHECK(second.code() == Code::kUnavailable);
  CHECK(second.message().starts_with("its image is being sent to node \"n9\": layer 1 of 1, "));
  CHECK(lab.outside.Count("agent CreateContainer") == 0);
  REQUIRE(lab.receiver.Take(lab.folder.File("taken")).ok());
  CHECK(lab.Create().code() == Code::kUnavailable);  // sent, and not yet there
  CHECK(lab.host.Latest(lab.pod, lab.unit).sandbox.empty());
  lab.receiver.Answer("0 \n");
  // The site is told to ask again.
  REQUIRE(Eventually([&] { return lab.host.Latest(lab.pod, lab.unit).sandbox == lab.pod; }));
  REQUIRE(lab.Creates());

  CHECK(fs::file_size(lab.folder.File("taken/of " + std::string(kBase))) == 4 << 20);
  CHECK(lab.Puts(kBase) == 1);
  CHECK(lab.outside.Count("agent CreateContainer") == 1);
  CHECK(lab.outside.Count("layers " + std::string(kBase)) == 1);
}

TEST_CASE("what the agent has is not sent, and layers come one after the other") {
  UnsharedLab lab;
  lab.MakeUpOn("n9");
  {
    MutexLock lock(lab.outside.mutex);
    const auto put = lab.outside.take_layer;
    lab.outside.take_layer = [put](const std::string& name) -> Result<UniqueFd> {
      if (name == kBase) return AlreadyExists("the agent has it");
      return put(name);
    };
  }

  CHECK(lab.CreateOf("sha256:two").code() == Code::kUnavailable);
  REQUIRE(lab.receiver.Came(kTop));
  CHECK(lab.CreateOf("sha256:two").message().find("layer 2 of 2") != std::string::npos);
  REQUIRE(lab.receiver.Take(lab.folder.File("taken")).ok());
  lab.receiver.Answer("0 \n");

  REQUIRE(Eventually([&] { return lab.CreateOf("sha256:two").ok(); }));
  CHECK(lab.Puts(kBase) == 1);
  CHECK(lab.Puts(kTop) == 1);
  CHECK(lab.outside.Count("layers " + std::string(kBase) + " " + kTop) == 1);
}

TEST_CASE("a layer whose stream is lost is sent anew") {
  UnsharedLab lab;
  lab.MakeUpOn("n9");
  CHECK(lab.Create().code() == Code::kUnavailable);
  REQUIRE(lab.receiver.Came(kBase));
  SECTION("in the middle") {}
  SECTION("before the agent's word") { REQUIRE(lab.receiver.Take(lab.folder.File("cut")).ok()); }
  SECTION("in the middle of its word") {
    REQUIRE(lab.receiver.Take(lab.folder.File("cut")).ok());
    lab.receiver.Answer("0 ");
  }

  lab.receiver.Drop();
  REQUIRE(Eventually([&] { return lab.Create().ok() || lab.Puts(kBase) == 2; }));
  REQUIRE(lab.receiver.Came(kBase));
  REQUIRE(lab.receiver.Take(lab.folder.File("taken")).ok());
  lab.receiver.Answer("0 \n");

  REQUIRE(lab.Creates());
  CHECK(lab.Puts(kBase) == 2);
}

TEST_CASE("an agent that cannot have a layer fails the container in its words") {
  UnsharedLab lab;
  lab.MakeUpOn("n9");
  CHECK(lab.Create().code() == Code::kUnavailable);
  REQUIRE(lab.receiver.Came(kBase));

  lab.receiver.Answer("8 write \"/usr/lib/x\": No space left on device\n");  // it reads no more

  Status refused;
  REQUIRE(Eventually([&] {
    refused = lab.Create();
    return refused.code() != Code::kUnavailable;
  }));
  CHECK(refused.code() == Code::kFailedPrecondition);
  CHECK(
      refused.message() ==
      "the image cannot be brought to node \"n9\": write \"/usr/lib/x\": No space left on device");
  CHECK(lab.outside.Count("agent CreateContainer") == 0);
  CHECK(lab.host.HeldImages() == 0);
  CHECK(lab.outside.Count("ReleaseImages") == 1);
}

TEST_CASE("what fails is not sent again at once") {
  UnsharedLab lab;
  lab.layer_options.shortest_pause = std::chrono::hours(1);
  lab.layer_options.longest_pause = std::chrono::hours(1);
  lab.Restart();
  lab.MakeUpOn("n9");
  lab.outside.Fail("agent PutLayer " + std::string(kBase),
                   ResourceExhausted("the agent has 64 sessions already"));

  CHECK(Eventually(
      [&] { return lab.Create().message().ends_with("the agent has 64 sessions already"); }));
  for (int i = 0; i < 5; ++i) CHECK(lab.Create().code() == Code::kUnavailable);

  CHECK(lab.Puts(kBase) == 1);
}

TEST_CASE("a pod that ends, is stopped or removed gets no more of its image") {
  UnsharedLab lab;
  lab.MakeUpOn("n9");
  CHECK(lab.CreateOf("sha256:two").code() == Code::kUnavailable);
  REQUIRE(lab.receiver.Came(kBase));

  SECTION("stopped") {
    REQUIRE(lab.backend->StopSandbox(lab.call(), lab.node, lab.pod).ok());
    CHECK(lab.receiver.IsCut());
    CHECK(lab.Create().code() == Code::kFailedPrecondition);
  }
  SECTION("removed") {
    CHECK_FALSE(lab.backend->RemoveSandbox(lab.call(), lab.node, lab.pod).ok());
    CHECK(lab.receiver.IsCut());
    lab.TellEnd();
    REQUIRE(lab.Is(State::kDown));
    CHECK(lab.backend->RemoveSandbox(lab.call(), lab.node, lab.pod).ok());
  }
  SECTION("its job has ended") {
    lab.TellEnd();
    REQUIRE(lab.Is(State::kDown));
    CHECK(lab.receiver.IsCut());
    CHECK(lab.Create().code() == Code::kFailedPrecondition);
  }

  CHECK(lab.Puts(kTop) == 0);
  CHECK(lab.outside.Count("agent CreateContainer") == 0);
}

TEST_CASE("the site goes while a layer is on its way, and begins anew with its next start") {
  UnsharedLab lab;
  lab.MakeUpOn("n9");
  CHECK(lab.Create().code() == Code::kUnavailable);
  REQUIRE(lab.receiver.Came(kBase));

  lab.Restart({lab.Fact(AllocationFact::State::kGranted)});
  CHECK(lab.receiver.IsCut());
  lab.ComeFrom("n9");

  CHECK(lab.Create().code() == Code::kUnavailable);
  REQUIRE(Eventually([&] { return lab.Puts(kBase) == 2; }));
  REQUIRE(lab.receiver.Came(kBase));
  REQUIRE(lab.receiver.Take(lab.folder.File("taken")).ok());
  lab.receiver.Answer("0 \n");
  CHECK(lab.Creates());
}

TEST_CASE("an agent that comes again, or lacks what it had, is asked again") {
  UnsharedLab lab;
  lab.MakeUpOn("n9");
  {
    MutexLock lock(lab.outside.mutex);
    lab.outside.take_layer = nullptr;  // it has it
  }
  SECTION("it comes again") {
    REQUIRE(lab.Creates());
    lab.ComeFrom("n9");
  }
  SECTION("it lacks it") {
    lab.outside.Fail("agent CreateContainer", Unavailable("layer \"v1\" is not here"));
    CHECK(Eventually([&] { return lab.Create().message() == "layer \"v1\" is not here"; }));
    lab.outside.Fail("agent CreateContainer", Status());
  }
  const int before = lab.Puts(kBase);

  REQUIRE(lab.Creates());

  CHECK(lab.Puts(kBase) == before + 1);
}

TEST_CASE("the layers of image volumes are sent too") {
  AgentBackendLab lab(Duration::zero(), false);
  lab.host.AddImage({"sha256:v", {"/site/v1-volume"}, {}});
  lab.layer_options.wait = std::chrono::seconds(10);
  lab.Restart();
  lab.MakeUp();

  const Status created = lab.backend->CreateContainer(lab.call(), {lab.unit,
                                                                   lab.pod,
                                                                   lab.node,
                                                                   "sha256:i",
                                                                   lab.unit_config,
                                                                   lab.config,
                                                                   {{"busybox:1", "sha256:v"}}});

  INFO(created.ToString());
  CHECK(created.ok());
  CHECK(lab.outside.Count("agent PutLayer v1-volume") == 1);
  CHECK(lab.outside.Count("layers layer") == 1);
  CHECK(lab.outside.Count("volume busybox:1 v1-volume") == 1);
}

TEST_CASE("at-start: the image of a queued container is sent when its agent comes, and shown") {
  UnsharedLab lab;
  REQUIRE(lab.backend->RunSandbox(lab.call(), {lab.pod, lab.node, "later", lab.config}).ok());
  REQUIRE(lab.Create().ok());
  REQUIRE(lab.backend->StartContainer(lab.call(), lab.pod, lab.unit).ok());
  REQUIRE(Eventually([&] { return lab.outside.Count("Submit") == 1; }));
  CHECK(lab.Puts(kBase) == 0);

  lab.ComeFrom("n9");
  REQUIRE(lab.receiver.Came(kBase));

  CHECK(Eventually([&] {
    const std::string words = lab.host.Latest(lab.pod, lab.unit).message;
    return words.find("its image is being sent to node \"n9\"") != std::string::npos;
  }));
  CHECK(lab.outside.Count("agent CreateContainer") == 0);
  REQUIRE(lab.receiver.Take(lab.folder.File("taken")).ok());
  lab.receiver.Answer("0 \n");
  REQUIRE(Eventually([&] { return lab.outside.Count("agent CreateContainer") == 1; }));
  CHECK(lab.Puts(kBase) == 1);
  lab.Say(lab.Seen(State::kCreated, lab.unit));
  CHECK(Eventually([&] { return lab.outside.Count("agent StartContainer") == 1; }));
}

TEST_CASE("at-start: a container whose image its agent cannot have does not start") {
  UnsharedLab lab;
  REQUIRE(lab.backend->RunSandbox(lab.call(), {lab.pod, lab.node, "later", lab.config}).ok());
  REQUIRE(lab.Create().ok());
  REQUIRE(lab.backend->StartContainer(lab.call(), lab.pod, lab.unit).ok());
  lab.ComeFrom("n9");
  REQUIRE(lab.receiver.Came(kBase));

  lab.receiver.Answer("8 no space left\n");

  REQUIRE(lab.Is(State::kDown, lab.unit));
  CHECK(lab.host.Latest(lab.pod, lab.unit).reason == "StartError");
  CHECK(lab.host.Latest(lab.pod, lab.unit).message.ends_with("no space left"));
}

// It was carried, without what it mounts, when its image had come.
TEST_CASE("at-start: a container of a pod that is up waits for its image with its contents") {
  UnsharedLab lab;
  REQUIRE(lab.backend->RunSandbox(lab.call(), {lab.pod, lab.node, "later", lab.config}).ok());
  lab.ComeFrom("n9");
  auto content = std::make_shared<interlink::v1::MountContent>();
  content->mutable_snapshot()->add_entries()->set_file("hush");
  const auto create = [&] {
    return lab.backend->CreateContainer(lab.call(), {lab.unit,
                                                     lab.pod,
                                                     lab.node,
                                                     "sha256:i",
                                                     lab.unit_config,
                                                     lab.config,
                                                     {},
                                                     {{"/kubelet/secret", content}}});
  };
  REQUIRE(create().code() == Code::kUnavailable);
  REQUIRE(lab.receiver.Came(kBase));
  REQUIRE(lab.receiver.Take(lab.folder.File("taken")).ok());
  lab.receiver.Answer("0 \n");

  // The site is told to ask again.
  REQUIRE(Eventually([&] { return lab.host.Latest(lab.pod, lab.unit).sandbox == lab.pod; }));
  CHECK(lab.host.Latest(lab.pod, lab.unit).state == State::kPending);
  REQUIRE(Eventually([&] { return create().ok(); }));
  CHECK(lab.outside.Count("agent CreateContainer") == 1);
  CHECK(lab.outside.Count("content /kubelet/secret") == 1);
}

TEST_CASE("an allocation whose image is on its way is not idle") {
  UnsharedLab lab(milliseconds(1000));
  lab.MakeUpOn("n9");
  CHECK(lab.Create().code() == Code::kUnavailable);
  REQUIRE(lab.receiver.Came(kBase));

  CHECK_FALSE(Eventually([&] { return lab.outside.Count("Release") > 0; }, milliseconds(1500)));
  lab.receiver.Answer("8 no space left\n");
  CHECK(Eventually([&] { return lab.outside.Count("Release") > 0; }));
}

}  // namespace
}  // namespace interlink::test
