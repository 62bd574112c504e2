// The hub and the agent's own half, over TLS, with a backend that runs nothing.
#include <atomic>
#include <catch2/catch.hpp>

#include "agent_lab.h"
#include "base/file.h"
#include "interlink/agent/v1/agent.pb.h"
#include "running_agent.h"
#include "support/eventually.h"
#include "support/scripted_backend.h"

namespace interlink::test {
namespace {

using agent::v1::Command;
using State = sdk::Observation::State;

const ContainerId kContainer(std::string(64, 'c'));

// A pod that is up, with a container that runs `argv`.
void RunOne(AgentLab& lab, const std::vector<std::string>& argv) {
  REQUIRE(Eventually([&] { return lab.events.complete_reports() > 0; }));
  lab.RunPod();
  lab.Ask(CreateCommand(kContainer, argv));
  lab.Ask(StartCommand(kContainer));
}

// What an earlier process of the agent has left: a pod with a container that runs.
void RunningOne(const AgentLab& lab, World& world) {
  MutexLock lock(world.mutex);
  world.pods[lab.pod] = {NodeId("node"), State::kUp};
  world.units[kContainer] = {NodeId("node"), lab.pod, State::kUp};
}

State StateOf(World& world) {
  MutexLock lock(world.mutex);
  return world.units[kContainer].state;
}

auto ScriptedIn(World& world) {
  return [&world](sdk::Host& host) -> std::unique_ptr<sdk::Backend> {
    return std::make_unique<ScriptedBackend>(world, host);
  };
}

bool Seen(AgentLab& lab, State state) {
  return Eventually([&] { return lab.events.Latest(kContainer).state == state; });
}

TEST_CASE("a container runs, is looked into, and its exit is told and recorded") {
  AgentLab lab;
  RunningAgent agent(lab, lab.nonce);
  RunOne(lab, {"print", "hello"});

  REQUIRE(Seen(lab, State::kDown));
  CHECK(lab.events.Latest(kContainer).exit_code == 0);
  CHECK(lab.Log(kContainer).find("hello") != std::string::npos);
  agent::v1::ExitFile file;
  const auto bytes = ReadFile(lab.folder.File("pod-" + lab.nonce + "/exits/" + kContainer.str()));
  REQUIRE(bytes.ok());
  REQUIRE(file.ParseFromString(*bytes));
  CHECK(file.fact().state() == agent::v1::Fact::DOWN);
}

TEST_CASE("a container is stopped with its grace") {
  AgentLab lab;
  RunningAgent agent(lab, lab.nonce);
  RunOne(lab, {"run"});
  REQUIRE(Seen(lab, State::kUp));

  lab.Ask(StopCommand(kContainer, 5));

  REQUIRE(Seen(lab, State::kDown));
}

TEST_CASE("an exec's output and exit code come back, both ways") {
  AgentLab lab;
  RunningAgent agent(lab, lab.nonce);
  RunOne(lab, {"run"});
  REQUIRE(Seen(lab, State::kUp));

  const SessionOutput echo = lab.Exec(kContainer, {"cat"}, std::string(50'000, 'x'));
  CHECK(echo.out == std::string(50'000, 'x'));
  CHECK(echo.code == 0);
  CHECK(lab.Exec(kContainer, {"exit", "7"}).code == 7);
  CHECK(lab.Exec(kContainer, {"complain", "oh"}).err == "oh\n");
  CHECK(lab.Exec(kContainer, {"flood", "5000000"}).out.size() == 5'000'000);
  CHECK_FALSE(lab.Exec(kContainer, {"cut"}).code);
}

TEST_CASE("a port of the pod echoes, and half-closes") {
  AgentLab lab;
  RunningAgent agent(lab, lab.nonce);
  RunOne(lab, {"run"});
  REQUIRE(Seen(lab, State::kUp));
  agent::v1::OpenStream request;
  request.mutable_dial()->set_port(80);

  const auto end = lab.hub->Open(Call::WithTimeout(std::chrono::seconds(10)), lab.pod, request);

  REQUIRE(end.ok());
  const std::string text = "ping";
  REQUIRE(write(end->get(), text.data(), text.size()) == 4);
  REQUIRE(shutdown(end->get(), SHUT_WR) == 0);
  std::string back;
  char buffer[64];
  for (ssize_t n = 0; (n = read(end->get(), buffer, sizeof buffer)) > 0;)
    back.append(buffer, static_cast<size_t>(n));
  CHECK(back == text);
  request.mutable_dial()->set_port(1);
  CHECK(lab.hub->Open(Call::WithTimeout(std::chrono::seconds(10)), lab.pod, request)
            .status()
            .code() == Code::kFailedPrecondition);
}

TEST_CASE("what is wrong is answered with the backend's own status") {
  AgentLab lab;
  RunningAgent agent(lab, lab.nonce);
  RunOne(lab, {"run"});
  Command command;
  command.mutable_read_log()->set_container_id(std::string(64, 'd'));

  CHECK(lab.Try(command).status().code() == Code::kNotFound);
}

TEST_CASE("what was stopped or removed is never started again") {
  AgentLab lab;
  RunningAgent agent(lab, lab.nonce);
  RunOne(lab, {"run"});
  REQUIRE(Seen(lab, State::kUp));
  lab.Ask(StopCommand(kContainer, 0));
  REQUIRE(Seen(lab, State::kDown));
  Command remove;
  remove.mutable_remove_container()->set_container_id(kContainer.str());
  lab.Ask(remove);

  CHECK(lab.Try(CreateCommand(kContainer, {"run"})).status().code() == Code::kFailedPrecondition);
  CHECK(lab.Try(StartCommand(kContainer)).status().code() == Code::kFailedPrecondition);
  Command stop;
  stop.mutable_stop_sandbox()->set_node_id("node");
  lab.Ask(stop);
  CHECK(lab.Try(RunSandboxCommand()).status().code() == Code::kFailedPrecondition);
  CHECK(lab.Try(CreateCommand(ContainerId(std::string(64, 'd')), {"run"})).status().code() ==
        Code::kFailedPrecondition);
}

TEST_CASE("a restart of the site is a new term, and loses nothing") {
  AgentLab lab;
  RunningAgent agent(lab, lab.nonce);
  RunOne(lab, {"exit-after", "300", "7"});
  const size_t reports = lab.events.complete_reports();

  lab.StopHub();  // the container ends while there is no site
  REQUIRE(Eventually([&] {
    return access(lab.folder.File("pod-" + lab.nonce + "/exits/" + kContainer.str()).c_str(),
                  F_OK) == 0;
  }));
  lab.StartHub();

  REQUIRE(Eventually([&] { return lab.events.complete_reports() > reports; }));
  REQUIRE(Seen(lab, State::kDown));
  CHECK(lab.events.Latest(kContainer).exit_code == 7);
  CHECK(lab.Log(kContainer).empty());
}

TEST_CASE("a second agent with another nonce gets nothing, and says why") {
  AgentLab lab;
  RunningAgent first(lab, lab.nonce);
  REQUIRE(Eventually([&] { return lab.events.came() == 1; }));

  RunningAgent second(lab, std::string(32, 'b'));

  REQUIRE(Eventually([&] { return second.end().has_value(); }));
  CHECK(second.end()->code() == Code::kFailedPrecondition);
  CHECK(second.end()->message().find("another agent") != std::string::npos);
  CHECK(lab.events.came(std::string(32, 'b')) == 0);
  CHECK_FALSE(first.end());
}

TEST_CASE("an agent that leaves stops its containers first and tells their ends") {
  AgentLab lab;
  RunningAgent agent(lab, lab.nonce);
  RunOne(lab, {"run"});
  REQUIRE(Seen(lab, State::kUp));

  SECTION("by a signal") { agent.agent().Leave("signal 15"); }
  SECTION("by the site's word") {
    Command command;
    command.mutable_leave();
    lab.Ask(command);
  }

  REQUIRE(Eventually([&] { return agent.end().has_value(); }));
  CHECK(agent.end()->ok());
  CHECK(lab.events.Latest(kContainer).state == State::kDown);
  CHECK(lab.events.Latest(ContainerId()).state == State::kDown);
  const std::string folder = lab.folder.File("pod-" + lab.nonce);
  CHECK(ReadFile(folder + "/left").value_or("") == "1 " + lab.nonce + " ended\n");
  CHECK(ReadFile(folder + "/fenced").status().code() == Code::kNotFound);
  CHECK(Eventually([&] { return lab.hub->HasLeft(lab.pod).value_or(false); }));
}

// The hub's answer to the farewell overtakes what gRPC says of the write, which then is an error.
class OvertakenStream final : public agent::Stream {
 public:
  explicit OvertakenStream(std::unique_ptr<Stream> inner) : inner_(std::move(inner)) {}

  Status Write(std::string message, SteadyTime deadline) override {
    agent::v1::AgentMessage sent;
    const bool leaves = sent.ParseFromString(message) && sent.has_leaving();
    const Status status = inner_->Write(std::move(message), deadline);
    if (!leaves) return status;
    if (!Eventually([this] { return ended_.load(); })) return status;
    return Unavailable("the call is over");
  }
  Result<std::optional<std::string>> Read(SteadyTime deadline) override {
    auto read = inner_->Read(deadline);
    if (read.ok() && !read->has_value()) ended_ = true;
    return read;
  }
  void Cancel() override { inner_->Cancel(); }

 private:
  const std::unique_ptr<Stream> inner_;
  std::atomic<bool> ended_ = false;
};

class OvertakenChannel final : public agent::Channel {
 public:
  OvertakenChannel(std::unique_ptr<Channel> inner, std::atomic<int>& opened)
      : inner_(std::move(inner)), opened_(opened) {}

  std::unique_ptr<agent::Stream> OpenControl() override {
    ++opened_;
    return std::make_unique<OvertakenStream>(inner_->OpenControl());
  }
  std::unique_ptr<agent::Stream> OpenStream(const std::string& stream_id) override {
    return inner_->OpenStream(stream_id);
  }

 private:
  const std::unique_ptr<Channel> inner_;
  std::atomic<int>& opened_;
};

TEST_CASE("an agent whose farewell the site has taken is gone, whatever came of its write") {
  // It came again and again to say it once more, until the time for its leave was over.
  AgentLab lab;
  std::atomic<int> opened = 0;
  RunningAgent agent(lab, lab.nonce, std::chrono::seconds(10), false, {},
                     [&](RunningAgent::ChannelPtr channel) {
                       return std::make_unique<OvertakenChannel>(std::move(channel), opened);
                     });
  REQUIRE(Eventually([&] { return lab.events.complete_reports() > 0; }));

  agent.agent().Leave("it is over");

  REQUIRE(Eventually([&] { return agent.end().has_value(); }));
  CHECK(agent.end()->ok());
  CHECK(opened == 1);
}

TEST_CASE("an agent that the site never lets in leaves its word, and starts nothing afterwards") {
  AgentLab lab;
  agent::ChannelOptions stranger = lab.ChannelOf(lab.pod);
  stranger.token = std::string(64, '0');
  RunningAgent agent(lab, lab.nonce, std::chrono::seconds(10), false, stranger);

  REQUIRE(Eventually([&] { return agent.end().has_value(); }));

  CHECK(agent.end()->code() == Code::kUnauthenticated);
  const std::string folder = lab.folder.File("pod-" + lab.nonce);
  CHECK(ReadFile(folder + "/left").value_or("") == "1 " + lab.nonce + " ended\n");
  CHECK(access((folder + "/gone/" + lab.pod.str()).c_str(), F_OK) == 0);
}

TEST_CASE("an agent leaves in time without a site, and without its stubborn containers' leave") {
  AgentLab lab;
  RunningAgent agent(lab, lab.nonce, std::chrono::seconds(9));
  RunOne(lab, {"stubborn"});
  REQUIRE(Seen(lab, State::kUp));
  lab.StopHub();

  agent.agent().Leave("signal 15");

  REQUIRE(Eventually([&] { return agent.end().has_value(); }));
  CHECK(agent.end()->ok());
  CHECK(access(lab.folder.File("pod-" + lab.nonce + "/exits/" + kContainer.str()).c_str(), F_OK) ==
        0);
}

TEST_CASE("out of its lease an agent stops its containers") {
  AgentLab lab;
  lab.StopHub();
  lab.options.lease = std::chrono::seconds(2);
  lab.options.heartbeat = std::chrono::milliseconds(500);
  lab.StartHub();
  RunningAgent agent(lab, lab.nonce);
  RunOne(lab, {"run"});
  REQUIRE(Seen(lab, State::kUp));

  lab.StopHub();

  REQUIRE(Eventually([&] { return agent.end().has_value(); }));
  CHECK(access(lab.folder.File("pod-" + lab.nonce + "/exits/" + kContainer.str()).c_str(), F_OK) ==
        0);
}

TEST_CASE("where the folder is shared a lost site ends no lease, and its fence ends the pod") {
  AgentLab lab;
  lab.StopHub();
  lab.options.lease = std::chrono::seconds(2);
  lab.StartHub();
  const std::string folder = lab.folder.File("pod-" + lab.nonce);
  REQUIRE(MakeDirectories(folder + "/heartbeat", 0700).ok());
  RunningAgent agent(lab, lab.nonce, std::chrono::seconds(10), true);
  RunOne(lab, {"run"});
  REQUIRE(Seen(lab, State::kUp));
  lab.StopHub();
  const auto later = lab.clock.Steady() + std::chrono::seconds(4);
  REQUIRE(Eventually([&] { return lab.clock.Steady() > later; }));
  REQUIRE(access((folder + "/exits/" + kContainer.str()).c_str(), F_OK) != 0);
  CHECK(ReadFile(folder + "/heartbeat/beat").value_or("").starts_with("1 " + lab.nonce + " "));

  REQUIRE(rename((folder + "/heartbeat").c_str(), (folder + "/given-up").c_str()) == 0);

  REQUIRE(Eventually([&] { return access((folder + "/fenced").c_str(), F_OK) == 0; }));
  CHECK(ReadFile(folder + "/fenced").value_or("") == "1 " + lab.nonce + " ended\n");
  CHECK(access((folder + "/exits/" + kContainer.str()).c_str(), F_OK) == 0);
}

// It had none before the site's first word, which may never come: what it found ran on for ever.
TEST_CASE("an agent that is started again has its lease before the site has let it in") {
  AgentLab lab;
  const auto channel = lab.ChannelOf(lab.pod);
  lab.StopHub();
  // Where its beat goes is a folder: neither written nor given up.
  REQUIRE(MakeDirectories(lab.folder.File("pod-" + lab.nonce + "/heartbeat/beat/full"), 0700).ok());
  World world;
  RunningOne(lab, world);

  RunningAgent agent(lab, lab.nonce, std::chrono::seconds(10), true, channel, {},
                     {.lease = std::chrono::seconds(2), .backend = ScriptedIn(world)});

  REQUIRE(Eventually([&] { return agent.end().has_value(); }));
  CHECK(StateOf(world) == State::kDown);
}

// Steady time that jumps, as after the job was suspended.
class JumpingClock final : public Clock {
 public:
  int64_t WallNanos() const override { return clock_.WallNanos(); }
  SteadyTime Steady() const override { return clock_.Steady() - Duration(behind_.load()); }
  void Jump() { behind_ = 0; }

 private:
  SystemClock clock_;
  std::atomic<Duration::rep> behind_ = Duration(std::chrono::minutes(10)).count();
};

// Its agent found its lease over before it had tried a beat, and killed the pod.
TEST_CASE("a job that was suspended for longer than its lease goes on while its folder is there") {
  AgentLab lab;
  const auto channel = lab.ChannelOf(lab.pod);
  lab.StopHub();
  const std::string folder = lab.folder.File("pod-" + lab.nonce);
  REQUIRE(MakeDirectories(folder + "/heartbeat", 0700).ok());
  const auto beats = [&] { return ReadFile(folder + "/heartbeat/beat").value_or(""); };
  JumpingClock clock;
  World world;
  RunningOne(lab, world);
  RunningAgent agent(
      lab, lab.nonce, std::chrono::seconds(10), true, channel, {},
      {.lease = std::chrono::minutes(2), .clock = &clock, .backend = ScriptedIn(world)});
  REQUIRE(Eventually([&] { return !beats().empty(); }));
  bool goes_on = true;
  SECTION("there") {}
  SECTION("given up meanwhile") {
    goes_on = false;
    REQUIRE(rename((folder + "/heartbeat").c_str(), (folder + "/given-up").c_str()) == 0);
  }
  SECTION("not to be written") {
    goes_on = false;
    REQUIRE(rename((folder + "/heartbeat").c_str(), (folder + "/away").c_str()) == 0);
    REQUIRE(MakeDirectories(folder + "/heartbeat/beat/full", 0700).ok());
  }
  const std::string before = beats();

  clock.Jump();

  if (goes_on) {
    REQUIRE(Eventually([&] { return beats() != before; }));
    CHECK(Eventually([&, second = beats()] { return beats() != second; }));
    CHECK_FALSE(agent.end());
    CHECK(access((folder + "/left").c_str(), F_OK) != 0);
    CHECK(StateOf(world) == State::kUp);
  } else {
    REQUIRE(Eventually([&] { return agent.end().has_value(); }));
    CHECK(StateOf(world) == State::kDown);
  }
}

// It knew of no container yet, so that all had ended: the site gave the pod's volumes to another.
TEST_CASE("an agent that is told to leave at its start stops what an earlier process left first") {
  AgentLab lab;
  const std::string left = lab.folder.File("pod-" + lab.nonce + "/left");
  World world;
  RunningOne(lab, world);
  std::atomic<bool> found = false;
  world.before_recover = [&] { Eventually([&] { return found.load(); }); };
  RunningAgent agent(lab, lab.nonce, std::chrono::seconds(9), true, {}, {},
                     {.backend = ScriptedIn(world)});
  agent.agent().Leave("signal 15");

  SECTION("in time") {
    CHECK_FALSE(
        Eventually([&] { return access(left.c_str(), F_OK) == 0; }, std::chrono::seconds(1)));
    found = true;
    REQUIRE(Eventually([&] { return access(left.c_str(), F_OK) == 0; }));
    CHECK(StateOf(world) == State::kDown);
    CHECK(ReadFile(left).value_or("") == "1 " + lab.nonce + " ended\n");
  }
  SECTION("too late") {
    REQUIRE(Eventually([&] { return access(left.c_str(), F_OK) == 0; }));
    CHECK(ReadFile(left).value_or("") == "1 " + lab.nonce + " unsure\n");
    CHECK(StateOf(world) == State::kUp);
    found = true;
  }
}

// It came every half a second: each welcome began its wait anew.
TEST_CASE("an agent whose report the site cannot store comes again less and less often") {
  AgentLab lab;
  lab.events.RefuseReports(Unavailable("no space left"));
  RunningAgent agent(lab, lab.nonce, std::chrono::seconds(10), false, {}, {},
                     {.longest_wait = std::chrono::hours(1)});
  REQUIRE(Eventually([&] { return lab.events.came() > 0; }));

  // 20 ms, twice as long each time.
  CHECK_FALSE(Eventually([&] { return lab.events.came() > 12; }, std::chrono::seconds(3)));
}

TEST_CASE("a site that takes the pod back ends the agent that comes again") {
  AgentLab lab;
  RunningAgent agent(lab, lab.nonce);
  RunOne(lab, {"run"});
  REQUIRE(Seen(lab, State::kUp));

  lab.StopHub();
  // As a person would declare it: the binding is another one now.
  REQUIRE(WriteFileAtomically(lab.folder.File("hub/bound/" + lab.pod.str()), "1 -\n", 0600).ok());
  lab.StartHub();

  REQUIRE(Eventually([&] { return agent.end().has_value(); }));
  CHECK(agent.end()->code() == Code::kFailedPrecondition);
}

}  // namespace
}  // namespace interlink::test
