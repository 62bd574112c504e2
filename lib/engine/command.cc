#include "engine/command.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <csignal>
#include <string_view>

namespace interlink::engine {
namespace {

constexpr const char* kPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr int kRealTimeFirst = 34;  // what libc leaves of the kernel's 32
constexpr int kRealTimeLast = 64;

struct NamedSignal {
  std::string_view name;
  int number;
};
constexpr std::array kSignals = {NamedSignal{"ABRT", SIGABRT},
                                 NamedSignal{"ALRM", SIGALRM},
                                 NamedSignal{"BUS", SIGBUS},
                                 NamedSignal{"CHLD", SIGCHLD},
                                 NamedSignal{"CLD", SIGCHLD},
                                 NamedSignal{"CONT", SIGCONT},
                                 NamedSignal{"FPE", SIGFPE},
                                 NamedSignal{"HUP", SIGHUP},
                                 NamedSignal{"ILL", SIGILL},
                                 NamedSignal{"INT", SIGINT},
                                 NamedSignal{"IO", SIGIO},
                                 NamedSignal{"IOT", SIGABRT},
                                 NamedSignal{"KILL", SIGKILL},
                                 NamedSignal{"PIPE", SIGPIPE},
                                 NamedSignal{"POLL", SIGPOLL},
                                 NamedSignal{"PROF", SIGPROF},
                                 NamedSignal{"PWR", SIGPWR},
                                 NamedSignal{"QUIT", SIGQUIT},
                                 NamedSignal{"SEGV", SIGSEGV},
                                 NamedSignal{"STKFLT", 16},
                                 NamedSignal{"STOP", SIGSTOP},
                                 NamedSignal{"SYS", SIGSYS},
                                 NamedSignal{"TERM", SIGTERM},
                                 NamedSignal{"TRAP", SIGTRAP},
                                 NamedSignal{"TSTP", SIGTSTP},
                                 NamedSignal{"TTIN", SIGTTIN},
                                 NamedSignal{"TTOU", SIGTTOU},
                                 NamedSignal{"URG", SIGURG},
                                 NamedSignal{"USR1", SIGUSR1},
                                 NamedSignal{"USR2", SIGUSR2},
                                 NamedSignal{"VTALRM", SIGVTALRM},
                                 NamedSignal{"WINCH", SIGWINCH},
                                 NamedSignal{"XCPU", SIGXCPU},
                                 NamedSignal{"XFSZ", SIGXFSZ},
                                 NamedSignal{"RTMIN", kRealTimeFirst},
                                 NamedSignal{"RTMAX", kRealTimeLast}};

bool ParseNumber(std::string_view text, int& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return !text.empty() && error == std::errc() && end == text.data() + text.size();
}

void Set(std::vector<std::string>& environment, const std::string& name, const std::string& value) {
  const std::string prefix = name + "=";
  for (std::string& entry : environment) {
    if (entry.rfind(prefix, 0) == 0) {
      entry = prefix + value;
      return;
    }
  }
  environment.push_back(prefix + value);
}

bool Contains(const std::vector<std::string>& environment, const std::string& prefix) {
  return std::any_of(environment.begin(), environment.end(),
                     [&](const std::string& entry) { return entry.rfind(prefix, 0) == 0; });
}

}  // namespace

Result<std::vector<std::string>> MergeCommand(const sdk::ImageConfig& image,
                                              const std::vector<std::string>& command,
                                              const std::vector<std::string>& args) {
  std::vector<std::string> merged = command.empty() ? image.entrypoint : command;
  const bool image_args = command.empty() && args.empty();
  const std::vector<std::string>& rest = image_args ? image.cmd : args;
  merged.insert(merged.end(), rest.begin(), rest.end());
  if (merged.empty() || merged.front().empty()) {
    return InvalidArgument("no command: neither the container nor its image says what to run");
  }
  for (const std::string& word : merged) {
    if (word.find('\0') != std::string::npos) return InvalidArgument("the command has a NUL");
  }
  return merged;
}

Result<std::vector<std::string>> MergeEnvironment(const EnvironmentRequest& request) {
  std::vector<std::string> environment = request.image;
  if (!Contains(environment, "PATH=")) environment.emplace_back(kPath);
  if (!request.hostname.empty()) Set(environment, "HOSTNAME", request.hostname);
  if (request.tty && !Contains(environment, "TERM=")) environment.emplace_back("TERM=xterm");
  for (const auto& [name, value] : request.pod) {
    if (name.empty() || name.find('=') != std::string::npos ||
        name.find('\0') != std::string::npos) {
      return InvalidArgument("\"" + name + "\" is not the name of an environment variable");
    }
    if (value.find('\0') != std::string::npos) {
      return InvalidArgument("the value of environment variable \"" + name + "\" has a NUL");
    }
    Set(environment, name, value);
  }
  return environment;
}

Result<int> ParseSignal(const std::string& name) {
  if (name.empty()) return SIGTERM;
  const Status unknown = InvalidArgument("unknown stop signal \"" + name + "\"");
  int number = 0;
  if (ParseNumber(name, number)) {
    if (number >= 1 && number <= kRealTimeLast) return number;
    return unknown;
  }
  std::string text;
  for (const char c : name) text += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  std::string_view word = text;
  if (word.rfind("SIG", 0) == 0) word.remove_prefix(3);
  int offset = 0;
  if (word.rfind("RTMIN+", 0) == 0 && ParseNumber(word.substr(6), offset)) {
    number = kRealTimeFirst + offset;
  } else if (word.rfind("RTMAX-", 0) == 0 && ParseNumber(word.substr(6), offset)) {
    number = kRealTimeLast - offset;
  }
  if (number >= kRealTimeFirst && number <= kRealTimeLast && offset >= 0) return number;
  for (const NamedSignal& signal : kSignals) {
    if (signal.name == word) return signal.number;
  }
  return unknown;
}

}  // namespace interlink::engine
