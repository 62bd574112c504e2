#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <set>
#include <thread>

#include "base/pod_metrics.h"
#include "contract/contract_lab.h"
#include "shim/client.h"
#include "support/eventually.h"

namespace interlink::contract {
namespace {

int64_t Soon() { return shim::MonotonicMs() + 30'000; }

}  // namespace

TEST_CASE("An exec carries its output and its exit code") {
  ContractLab lab;
  const SandboxId sandbox = lab.RunUp();
  const ContainerId id = lab.StartOk(sandbox, lab.subject().IgnoresStop());
  lab.Await(sandbox, id, State::kUp);

  const auto prints = lab.Exec(sandbox, id, lab.subject().Prints("from inside"));
  REQUIRE(prints.ok());
  const SessionEnd printed = ReadSession(prints->get());
  CHECK(printed.out.rfind("from inside", 0) == 0);
  CHECK(printed.code == 0);

  const auto fails = lab.Exec(sandbox, id, lab.subject().ExitsWith(3));
  REQUIRE(fails.ok());
  CHECK(ReadSession(fails->get()).code == 3);
}

TEST_CASE("An exec reads its stdin until it is closed") {
  ContractLab lab;
  const SandboxId sandbox = lab.RunUp();
  const ContainerId id = lab.StartOk(sandbox, lab.subject().IgnoresStop());
  lab.Await(sandbox, id, State::kUp);

  const auto session = lab.Exec(sandbox, id, lab.subject().EchoesStdin(), true);
  REQUIRE(session.ok());
  const char closes = static_cast<char>(shim::FrameType::kStdin);
  REQUIRE(shim::SendFrame(session->get(), shim::FrameType::kStdin, "ping", Soon()) == 0);
  REQUIRE(shim::SendFrame(session->get(), shim::FrameType::kClose, {&closes, 1}, Soon()) == 0);

  const SessionEnd end = ReadSession(session->get());
  CHECK(end.out == "ping");
  CHECK(end.code == 0);
}

TEST_CASE("A killed exec ends with 137") {
  ContractLab lab;
  const SandboxId sandbox = lab.RunUp();
  const ContainerId id = lab.StartOk(sandbox, lab.subject().IgnoresStop());
  lab.Await(sandbox, id, State::kUp);

  const auto session = lab.Exec(sandbox, id, lab.subject().SleepsLong(), false, true);
  REQUIRE(session.ok());
  REQUIRE(shim::SendFrame(session->get(), shim::FrameType::kKill, "", Soon()) == 0);

  CHECK(ReadSession(session->get()).code == 137);
}

TEST_CASE("A session needs a running container") {
  ContractLab lab;
  const SandboxId sandbox = lab.RunUp();
  const ContainerId id = lab.CreateOk(sandbox, lab.subject().IgnoresStop());

  CHECK(lab.Exec(sandbox, id, lab.subject().Prints("x")).status().code() ==
        Code::kFailedPrecondition);
  CHECK(lab.Exec(sandbox, MintContainerId(), lab.subject().Prints("x")).status().code() ==
        Code::kNotFound);
}

TEST_CASE("A container that ends while an exec is opened is not running, and no wrong request") {
  ContractLab lab;
  const SandboxId sandbox = lab.RunUp();
  for (int i = 0; i < 6; ++i) {
    const ContainerId id = lab.StartOk(sandbox, lab.subject().IgnoresStop());
    lab.Await(sandbox, id, State::kUp);
    // It is stopped while the next one is being opened.
    std::atomic<int> opened = 0;
    Status stopped = InternalError("not asked");
    std::jthread ends([&] {
      test::Eventually([&] { return opened >= i; });
      stopped = lab.backend().StopContainer(lab.call(), sandbox, id, std::chrono::seconds(0));
    });
    for (bool open = true; open;) {
      const auto session = lab.Exec(sandbox, id, lab.subject().Prints("x"));
      open = session.ok();
      ++opened;
      if (!open) CHECK(session.status().code() == Code::kFailedPrecondition);
    }
    ends.join();
    CHECK(stopped.ok());
    lab.Await(sandbox, id, State::kDown);
  }
}

TEST_CASE("An exec's stderr is its own stream") {
  ContractLab lab;
  const SandboxId sandbox = lab.RunUp();
  const ContainerId id = lab.StartOk(sandbox, lab.subject().IgnoresStop());
  lab.Await(sandbox, id, State::kUp);

  const auto session = lab.Exec(sandbox, id, lab.subject().Complains("oh dear"));
  REQUIRE(session.ok());
  const SessionEnd end = ReadSession(session->get());
  CHECK(end.err == "oh dear\n");
  CHECK(end.out.empty());
  CHECK(end.code == 0);
}

TEST_CASE("An exec with a terminal has the size that it is given") {
  ContractLab lab;
  const SandboxId sandbox = lab.RunUp();
  const ContainerId id = lab.StartOk(sandbox, lab.subject().IgnoresStop());
  lab.Await(sandbox, id, State::kUp);
  sdk::SessionSpec spec;
  spec.session = MintSessionId();
  spec.sandbox = sandbox;
  spec.container = id;
  spec.argv = lab.subject().PrintsSize();
  spec.tty = spec.in = true;
  spec.err = false;
  const auto session = lab.backend().OpenSession(lab.call(), spec);
  REQUIRE(session.ok());
  const int fd = session->get();

  char size[shim::WindowSize::kSize];
  const std::string_view resize(size, shim::WindowSize{101, 33}.Encode(size, sizeof size));
  const char closes = static_cast<char>(shim::FrameType::kStdin);
  REQUIRE(shim::SendFrame(fd, shim::FrameType::kResize, resize, Soon()) == 0);
  REQUIRE(shim::SendFrame(fd, shim::FrameType::kStdin, "go\n", Soon()) == 0);
  REQUIRE(shim::SendFrame(fd, shim::FrameType::kClose, {&closes, 1}, Soon()) == 0);

  const SessionEnd end = ReadSession(fd);
  CHECK(end.out.find("33 101") != std::string::npos);
  CHECK(end.err.empty());
  CHECK(end.code == 0);
}

TEST_CASE("All that are attached see the output, and the container's end") {
  ContractLab lab;
  const SandboxId sandbox = lab.RunUp();
  runtime::v1::ContainerConfig config;
  config.set_stdin(true);
  const ContainerId id = MintContainerId();
  REQUIRE(lab.Create(sandbox, id, lab.subject().EchoesStdin(), config).ok());
  REQUIRE(lab.backend().StartContainer(lab.call(), sandbox, id).ok());
  lab.Await(sandbox, id, State::kUp);
  sdk::SessionSpec spec;
  spec.sandbox = sandbox;
  spec.container = id;
  spec.attach = true;
  spec.session = MintSessionId();
  const auto watcher = lab.backend().OpenSession(lab.call(), spec);
  REQUIRE(watcher.ok());
  spec.session = MintSessionId();
  spec.in = true;
  const auto writer = lab.backend().OpenSession(lab.call(), spec);
  REQUIRE(writer.ok());

  REQUIRE(shim::SendFrame(writer->get(), shim::FrameType::kStdin, "hello\n", Soon()) == 0);
  for (const int fd : {writer->get(), watcher->get()}) {
    std::vector<char> buffer(shim::kMaxPayload);
    shim::Frame frame{};
    REQUIRE(shim::ReceiveFrame(fd, buffer.data(), buffer.size(), frame, Soon()) == 0);
    CHECK(frame.type == shim::FrameType::kStdout);
    CHECK(frame.text() == "hello\n");
  }
  REQUIRE(lab.backend().StopContainer(lab.call(), sandbox, id, std::chrono::seconds(0)).ok());
  const int code = lab.Await(sandbox, id, State::kDown).exit_code;

  for (const int fd : {writer->get(), watcher->get()}) {
    const SessionEnd end = ReadSession(fd);
    CHECK(end.has_status);
    CHECK(end.code == code);
  }
}

TEST_CASE("A port is dialled, and each direction ends by itself") {
  constexpr uint16_t kPort = 18080;
  ContractLab lab;
  const SandboxId sandbox = lab.RunUp();
  const ContainerId id = lab.StartOk(sandbox, lab.subject().EchoesOnPort(kPort));
  lab.Await(sandbox, id, State::kUp);
  Result<UniqueFd> connection = Unavailable("not dialled");
  REQUIRE(test::Eventually([&] {
    connection = lab.backend().Dial(lab.call(), sandbox, kPort);
    return connection.ok();
  }));

  REQUIRE(shim::SendAll(connection->get(), "ping", 4, Soon()) == 0);
  char bytes[4] = {};
  REQUIRE(shim::ReceiveAll(connection->get(), bytes, sizeof bytes, Soon()) == 0);
  CHECK(std::string_view(bytes, 4) == "ping");
  REQUIRE(shutdown(connection->get(), SHUT_WR) == 0);
  CHECK(shim::ReceiveAll(connection->get(), bytes, 1, Soon()) == ECONNRESET);  // its end
}

TEST_CASE("A port where nothing listens is an error") {
  ContractLab lab;
  const SandboxId sandbox = lab.RunUp();

  CHECK(lab.backend().Dial(lab.call(), sandbox, 1).status().code() == Code::kFailedPrecondition);
  CHECK(lab.backend().Dial(lab.call(), MintSandboxId(), 80).status().code() == Code::kNotFound);
}

TEST_CASE("Every running container and its sandbox have memory and processor numbers") {
  ContractLab lab;
  const SandboxId sandbox = lab.RunUp();
  const ContainerId id = lab.StartOk(sandbox, lab.subject().IgnoresStop());
  lab.Await(sandbox, id, State::kUp);

  const auto usage = lab.backend().Stats(lab.call());

  REQUIRE(usage.ok());
  REQUIRE(usage->containers.size() == 1);
  CHECK(usage->containers[0].attributes().id() == id.str());
  CHECK(usage->containers[0].cpu().timestamp() > 0);
  CHECK(usage->containers[0].memory().timestamp() > 0);
  CHECK(usage->containers[0].memory().working_set_bytes().value() > 0);
  REQUIRE(usage->sandboxes.size() == 1);
  CHECK(usage->sandboxes[0].attributes().id() == sandbox.str());
}

TEST_CASE("Metrics of all that runs have the names, labels and types of the table, each once") {
  ContractLab lab;
  const SandboxId sandbox = lab.RunUp();
  const ContainerId id = lab.StartOk(sandbox, lab.subject().IgnoresStop());
  lab.Await(sandbox, id, State::kUp);
  const ContainerId ended = lab.StartOk(sandbox, lab.subject().ExitsWith(0));
  lab.Await(sandbox, ended, State::kDown);
  const int64_t begun = SystemClock().WallNanos();

  const auto pods = lab.backend().Metrics(lab.call());

  REQUIRE(pods.ok());
  REQUIRE(pods->size() == 1);
  CHECK(pods->front().pod_sandbox_id() == sandbox.str());
  REQUIRE(pods->front().container_metrics_size() == 1);
  const auto& container = pods->front().container_metrics(0);
  CHECK(container.container_id() == id.str());
  std::set<std::string> names;
  for (const auto* metrics : {&pods->front().metrics(), &container.metrics()}) {
    std::set<std::string> told;
    for (const auto& metric : *metrics) {
      INFO(metric.ShortDebugString());
      const auto* info =
          std::find_if(kPodMetrics.begin(), kPodMetrics.end(),
                       [&metric](const PodMetricInfo& i) { return i.name == metric.name(); });
      REQUIRE(info != kPodMetrics.end());
      CHECK(static_cast<size_t>(metric.label_values_size()) == info->LabelCount());
      CHECK((metric.metric_type() == runtime::v1::COUNTER) == info->counter);
      CHECK(metric.has_value());
      CHECK(metric.timestamp() >= begun);
      std::string key = metric.name();
      for (const auto& label : metric.label_values()) key += "/" + label;
      CHECK(told.insert(key).second);
      names.insert(metric.name());
    }
  }
  CHECK(names.contains("container_cpu_usage_seconds_total"));
  CHECK(names.contains("container_memory_working_set_bytes"));
}

TEST_CASE("What can be inspected is a JSON object; what is not there is not found") {
  ContractLab lab;
  const SandboxId sandbox = lab.RunUp();
  const ContainerId id = lab.CreateOk(sandbox, lab.subject().RunsForever());

  for (const ContainerId& what : {ContainerId(), id}) {
    const auto info = lab.backend().Inspect(lab.call(), sandbox, what);
    REQUIRE(info.ok());
    CHECK(info->front() == '{');
  }
  CHECK(lab.backend().Inspect(lab.call(), sandbox, MintContainerId()).status().code() ==
        Code::kNotFound);
}

TEST_CASE("A log is read in pieces, and reading it again from an offset gives the same") {
  ContractLab lab;
  const SandboxId sandbox = lab.RunUp();
  const ContainerId id = lab.StartOk(sandbox, lab.subject().Prints("0123456789"));
  lab.Await(sandbox, id, State::kDown);
  const std::string all = lab.Log(sandbox, id);

  const auto piece = lab.backend().ReadLog(lab.call(), sandbox, id, 5, 7);
  REQUIRE(piece.ok());
  CHECK(piece->bytes == all.substr(5, 7));
  CHECK(piece->next == 12);
  CHECK_FALSE(piece->end);
}

}  // namespace interlink::contract
