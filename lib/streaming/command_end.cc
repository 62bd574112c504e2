#include "streaming/command_end.h"

#include <nlohmann/json.hpp>

namespace interlink::streaming {
namespace {

// The words of kubelet and containerd: people search for them.
std::string FailureText(const CommandEnd& end) {
  if (!end.error.ok()) return "Internal error occurred: " + end.error.message();
  return "command terminated with non-zero exit code: exit status " + std::to_string(end.exit_code);
}

}  // namespace

std::string CommandEndJson(const CommandEnd& end) {
  nlohmann::json status = {{"metadata", nlohmann::json::object()}};
  if (end.error.ok() && end.exit_code == 0) {
    status["status"] = "Success";
  } else {
    status["status"] = "Failure";
    status["message"] = FailureText(end);
    if (end.error.ok()) {
      status["reason"] = "NonZeroExitCode";
      status["details"]["causes"] = {
          {{"reason", "ExitCode"}, {"message", std::to_string(end.exit_code)}}};
    } else {
      status["reason"] = "InternalError";
      status["details"]["causes"] = {{{"message", end.error.message()}}};
      status["code"] = 500;
    }
  }
  return status.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string CommandEndText(const CommandEnd& end) {
  return end.error.ok() && end.exit_code == 0 ? std::string() : FailureText(end);
}

}  // namespace interlink::streaming
