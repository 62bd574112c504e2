#include "relay.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <iostream>
#include <utility>

#include "agent/relay.h"

namespace interlink::cmd_agent {
namespace {

int RelayExitCode(const Status& end) {
  switch (end.code()) {
    case Code::kOk:
      return 0;
    case Code::kInvalidArgument:
    case Code::kPermissionDenied:
      return 2;
    case Code::kUnavailable:
      return 3;
    default:
      return 1;
  }
}

}  // namespace

int Relay(const RelayCommandOptions& options) {
  // A cancelled job tells its steps and its agent at once, and the agent has much to say then: a
  // relay ends with one of its sides, or by KILL.
  for (const int number : {SIGPIPE, SIGTERM, SIGINT, SIGHUP}) signal(number, SIG_IGN);
  agent::RelayOptions relay;
  relay.socket = options.socket;
  relay.greeting = options.greeting;
  relay.wait = std::chrono::seconds(options.wait_seconds);
  UniqueFd in(fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3));
  UniqueFd out(fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3));
  close(STDIN_FILENO);
  close(STDOUT_FILENO);
  const Status end = in && out ? agent::RunRelay(relay, std::move(in), std::move(out))
                               : InvalidArgument("a relay needs stdin and stdout");
  if (!end.ok()) std::cerr << "interlink-agent relay: " << end.message() << "\n";
  return RelayExitCode(end);
}

}  // namespace interlink::cmd_agent
