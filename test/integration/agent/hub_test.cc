// The hub's port as a stranger sees it: raw calls over TLS.
#include <catch2/catch.hpp>
#include <fstream>
#include <future>

#include "agent_lab.h"
#include "support/eventually.h"

namespace interlink::test {
namespace {

using agent::v1::AgentMessage;
using agent::v1::Command;
using agent::v1::HubMessage;
using agent::v1::Refused;

SteadyTime Soon() { return std::chrono::steady_clock::now() + std::chrono::seconds(20); }

class Caller {
 public:
  Caller(AgentLab& lab, const agent::ChannelOptions& options)
      : lab_(lab), channel_(agent::MakeChannel(options)), stream_(channel_->OpenControl()) {}

  AgentMessage Hello() const {
    AgentMessage message;
    auto* hello = message.mutable_hello();
    hello->set_protocol(1);
    hello->set_build_id("test");
    hello->set_sandbox_id(lab_.pod.str());
    hello->set_nonce(lab_.nonce);
    return message;
  }
  Status Say(const AgentMessage& message) {
    return stream_->Write(message.SerializeAsString(), Soon());
  }
  // The next message, or how the call ended.
  Result<HubMessage> Hear() {
    const auto read = stream_->Read(Soon());
    if (!read.ok()) return read.status();
    if (!read->has_value()) return Unavailable("ended");
    HubMessage message;
    REQUIRE(message.ParseFromString(**read));
    return message;
  }
  Result<HubMessage> SayAndHear(const AgentMessage& message) {
    // What ended the stream is heard.
    static_cast<void>(Say(message));
    return Hear();
  }

 private:
  AgentLab& lab_;
  std::unique_ptr<agent::Channel> channel_;
  std::unique_ptr<agent::Stream> stream_;
};

TEST_CASE("an agent with the token of its sandbox is welcomed") {
  AgentLab lab;
  Caller caller(lab, lab.ChannelOf(lab.pod));

  const auto answer = caller.SayAndHear(caller.Hello());

  INFO(answer.status().ToString());
  REQUIRE(answer.ok());
  CHECK(answer->welcome().term() == lab.hub->term());
  CHECK(answer->welcome().site() == "test");
  CHECK(Eventually([&] { return lab.events.came(lab.nonce) == 1; }));
}

TEST_CASE("without the sandbox's own token nothing is read") {
  AgentLab lab;
  agent::ChannelOptions options = lab.ChannelOf(lab.pod);
  SECTION("another sandbox's token") {
    options.token = lab.hub->TokenOf(SandboxId(std::string(64, '2')));
  }
  SECTION("a forged one") { options.token.back() = options.token.back() == '0' ? '1' : '0'; }
  SECTION("none") { options.token = ""; }
  SECTION("of another site's key") { options.token = std::string(64, 'f'); }
  SECTION("for a sandbox that is no id") { options.sandbox = SandboxId("../x"); }
  Caller caller(lab, options);

  const auto answer = caller.SayAndHear(caller.Hello());

  CHECK(answer.status().code() == Code::kUnauthenticated);
  CHECK(lab.events.came() == 0);
}

TEST_CASE("an agent does not speak to a site of another CA") {
  AgentLab lab;
  const TemporaryFolder folder;
  const CertificateAuthority other(folder.path(), "other");
  agent::ChannelOptions options = lab.ChannelOf(lab.pod);
  std::ifstream file(other.ca_file());
  options.ca.assign(std::istreambuf_iterator<char>(file), {});
  Caller caller(lab, options);

  const auto answer = caller.SayAndHear(caller.Hello());

  CHECK(answer.status().code() == Code::kUnavailable);
  CHECK(lab.events.came() == 0);
}

TEST_CASE("a token does not open another sandbox's control stream by its hello") {
  AgentLab lab;
  Caller caller(lab, lab.ChannelOf(lab.pod));
  AgentMessage hello = caller.Hello();
  hello.mutable_hello()->set_sandbox_id(std::string(64, '2'));

  const auto answer = caller.SayAndHear(hello);

  REQUIRE(answer.ok());
  CHECK(answer->refused().reason() == Refused::MALFORMED);
  CHECK(lab.events.came() == 0);
}

TEST_CASE("another version is refused with both versions") {
  AgentLab lab;
  Caller caller(lab, lab.ChannelOf(lab.pod));
  AgentMessage hello = caller.Hello();
  hello.mutable_hello()->set_protocol(2);
  hello.mutable_hello()->set_build_id("build-of-the-agent");

  const auto answer = caller.SayAndHear(hello);

  REQUIRE(answer.ok());
  CHECK(answer->refused().reason() == Refused::PROTOCOL);
  CHECK(answer->refused().message().find("build-of-the-agent") != std::string::npos);
  CHECK(answer->refused().message().find("version 2") != std::string::npos);
  CHECK(answer->refused().message().find("version 1") != std::string::npos);
  CHECK(caller.Hear().status().code() == Code::kFailedPrecondition);
}

TEST_CASE("the second nonce gets nothing, for ever") {
  AgentLab lab;
  {
    Caller first(lab, lab.ChannelOf(lab.pod));
    REQUIRE(first.SayAndHear(first.Hello()).ok());
  }
  lab.StopHub();
  lab.StartHub();
  Caller second(lab, lab.ChannelOf(lab.pod));
  AgentMessage hello = second.Hello();
  hello.mutable_hello()->set_nonce(std::string(32, 'b'));

  const auto answer = second.SayAndHear(hello);

  REQUIRE(answer.ok());
  CHECK(answer->refused().reason() == Refused::OTHER_NONCE);
  Caller again(lab, lab.ChannelOf(lab.pod));
  const auto welcomed = again.SayAndHear(again.Hello());
  REQUIRE(welcomed.ok());
  CHECK(welcomed->has_welcome());
}

TEST_CASE("what the site has taken can never start") {
  AgentLab lab;
  REQUIRE(lab.hub->Close(lab.pod).value_or("?") == agent_hub::kNobody);
  Caller caller(lab, lab.ChannelOf(lab.pod));

  const auto answer = caller.SayAndHear(caller.Hello());

  REQUIRE(answer.ok());
  CHECK(answer->refused().reason() == Refused::TAKEN_BY_SITE);
  CHECK(lab.events.came() == 0);
}

TEST_CASE("an agent that nobody expects leaves no binding") {
  AgentLab lab;
  lab.events.Refuse(NotFound("no such sandbox"));
  {
    Caller caller(lab, lab.ChannelOf(lab.pod));
    const auto answer = caller.SayAndHear(caller.Hello());
    REQUIRE(answer.ok());
    CHECK(answer->refused().reason() == Refused::NOT_EXPECTED);
  }

  CHECK(lab.hub->Close(lab.pod).value_or("?") == agent_hub::kNobody);
}

TEST_CASE("an agent that has obeyed a newer start of the site is told so") {
  AgentLab lab;
  Caller caller(lab, lab.ChannelOf(lab.pod));
  AgentMessage hello = caller.Hello();
  hello.mutable_hello()->set_highest_term(lab.hub->term() + 1);

  const auto answer = caller.SayAndHear(hello);

  REQUIRE(answer.ok());
  CHECK(answer->refused().reason() == Refused::NEWER_TERM);
}

TEST_CASE("each start of the site has a higher term") {
  AgentLab lab;
  const uint64_t first = lab.hub->term();

  lab.StopHub();
  lab.StartHub();

  CHECK(lab.hub->term() > first);
}

TEST_CASE("a new control stream ends the old one, and commands go to the new one") {
  AgentLab lab;
  Caller first(lab, lab.ChannelOf(lab.pod));
  REQUIRE(first.SayAndHear(first.Hello()).ok());
  Caller second(lab, lab.ChannelOf(lab.pod));

  const auto welcomed = second.SayAndHear(second.Hello());

  REQUIRE(welcomed.ok());
  CHECK(welcomed->has_welcome());
  CHECK_FALSE(first.Hear().ok());
  CHECK(lab.events.went() == 1);
}

TEST_CASE("too many agents are sent away, for now") {
  AgentLab lab;
  lab.StopHub();
  lab.options.max_agents = 0;
  lab.StartHub();
  Caller caller(lab, lab.ChannelOf(lab.pod));

  const auto answer = caller.SayAndHear(caller.Hello());

  REQUIRE(answer.ok());
  CHECK(answer->refused().reason() == Refused::LIMIT);
}

TEST_CASE("a silent agent loses its stream") {
  AgentLab lab;
  lab.StopHub();
  lab.options.heartbeat = std::chrono::milliseconds(500);
  lab.StartHub();
  Caller caller(lab, lab.ChannelOf(lab.pod));
  REQUIRE(caller.SayAndHear(caller.Hello()).ok());

  // Three heartbeats of 500 ms.
  CHECK_FALSE(caller.Hear().ok());
  CHECK(Eventually([&] { return lab.events.went() == 1; }));
}

TEST_CASE("what is no hello, or no message, ends the call") {
  AgentLab lab;
  Caller caller(lab, lab.ChannelOf(lab.pod));
  AgentMessage message;
  message.mutable_heartbeat()->set_number(1);

  const auto answer = caller.SayAndHear(message);

  REQUIRE(answer.ok());
  CHECK(answer->refused().reason() == Refused::PROTOCOL);
}

TEST_CASE("a stream that nobody waits for is refused, also with a good token") {
  AgentLab lab;
  const auto channel = agent::MakeChannel(lab.ChannelOf(lab.pod));
  const auto stream = channel->OpenStream(std::string(64, '5'));

  CHECK(stream->Read(Soon()).status().code() == Code::kNotFound);
}

TEST_CASE("without an agent a command fails at once") {
  AgentLab lab;
  Command command;
  command.mutable_observe();

  CHECK(lab.Try(command).status().code() == Code::kUnavailable);
}

TEST_CASE("a command that is not answered in time has an unknown outcome") {
  AgentLab lab;
  Caller caller(lab, lab.ChannelOf(lab.pod));
  REQUIRE(caller.SayAndHear(caller.Hello()).ok());
  Command command;
  command.mutable_observe();

  auto waiting = std::async(std::launch::async, [&] {
    return lab.hub->Ask(Call::WithTimeout(std::chrono::seconds(5)), lab.pod, command).status();
  });

  const auto sent = caller.Hear();
  REQUIRE(sent.ok());
  CHECK(sent->command().number() == 1);
  REQUIRE(waiting.wait_for(std::chrono::seconds(30)) == std::future_status::ready);
  CHECK(waiting.get().code() == Code::kUnavailable);
}

TEST_CASE("a hub that was stopped answers whoever waits, and asks nobody any more") {
  AgentLab lab;
  Caller caller(lab, lab.ChannelOf(lab.pod));
  REQUIRE(caller.SayAndHear(caller.Hello()).ok());
  Command command;
  command.mutable_observe();
  const Call patient = Call::WithTimeout(std::chrono::minutes(5));
  auto waiting = std::async(std::launch::async,
                            [&] { return lab.hub->Ask(patient, lab.pod, command).status(); });
  REQUIRE(caller.Hear().ok());

  lab.hub->Stop();

  REQUIRE(waiting.wait_for(std::chrono::seconds(30)) == std::future_status::ready);
  CHECK(waiting.get().code() == Code::kUnavailable);
  CHECK(lab.events.went() == 1);
  CHECK(lab.hub->Ask(patient, lab.pod, command).status() ==
        Unavailable("the site is shutting down"));
  lab.hub->Stop();
}

TEST_CASE(
    "a renewed certificate is served to who calls next; one that does not fit changes nothing") {
  AgentLab lab;
  Caller first(lab, lab.ChannelOf(lab.pod));
  REQUIRE(first.SayAndHear(first.Hello()).ok());
  const SandboxId pod{std::string(64, '2')};
  // How far another agent comes that trusts `authority`.
  const auto call = [&](const CertificateAuthority& authority) {
    agent::ChannelOptions options = lab.ChannelOf(pod);
    options.ca = ReadFile(authority.ca_file()).value_or("");
    Caller caller(lab, options);
    AgentMessage hello = caller.Hello();
    hello.mutable_hello()->set_sandbox_id(pod.str());
    return caller.SayAndHear(hello).status();
  };
  REQUIRE(call(lab.authority).ok());
  CertificateAuthority next(lab.folder.path(), "next");
  const CertificateFiles fresh = next.Issue(
      "fresh", {.common_name = "site", .alternative_names = "DNS:localhost,IP:127.0.0.1"});
  const auto copy = [](const std::string& from, const std::string& to) {
    REQUIRE(WriteFileAtomically(to, ReadFile(from).value_or(""), 0600).ok());
  };

  copy(fresh.key, lab.certificate.key);
  CHECK(lab.hub->RenewCertificate().code() == Code::kInvalidArgument);
  CHECK(call(lab.authority).ok());
  copy(fresh.cert, lab.certificate.cert);
  REQUIRE(lab.hub->RenewCertificate().ok());

  CHECK(Eventually([&] { return call(next).ok(); }));
  CHECK_FALSE(call(lab.authority).ok());
  // Who is there stays. (A second hello would end the call, and what Say returns with it.)
  AgentMessage beat;
  beat.mutable_heartbeat()->set_number(1);
  const auto taken = first.SayAndHear(beat);
  REQUIRE(taken.ok());
  CHECK(taken->heartbeat_taken().number() == 1);
}

TEST_CASE("a hub that cannot have its port, or its key, says so") {
  AgentLab lab;
  agent_hub::HubOptions options = lab.options;
  options.folder = lab.folder.File("other");
  Code expected = Code::kUnavailable;
  SECTION("port") { options.port = lab.hub->port(); }
  SECTION("no certificate") {
    options.cert_file = lab.folder.File("absent");
    expected = Code::kNotFound;
  }
  SECTION("no PEM") {
    options.cert_file = options.key_file = lab.folder.File("hub/agent.key");
    expected = Code::kInvalidArgument;
  }
  SECTION("another key") {
    options.key_file = lab.authority.Issue("other", {.common_name = "other"}).key;
    expected = Code::kInvalidArgument;
  }

  const auto started = agent_hub::AgentHub::Start(options, lab.events, lab.io, lab.log, lab.clock);

  INFO(started.status().ToString());
  CHECK(started.status().code() == expected);
}

}  // namespace
}  // namespace interlink::test
