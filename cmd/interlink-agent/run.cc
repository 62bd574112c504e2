#include "run.h"

#include <openssl/pem.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <iostream>
#include <memory>
#include <thread>
#include <vector>

#include "agent/agent.h"
#include "agent/layer_folder.h"
#include "agent/secret_file.h"
#include "agent/two_ways.h"
#include "base/file.h"
#include "embedded_shim.h"
#include "engine/container_engines.h"
#include "engine/engine.h"
#include "engine/pod_files.h"
#include "engine/runtime_check.h"
#include "engine/user_namespace.h"
#include "stderr_log.h"

namespace interlink::cmd_agent {
namespace {

constexpr int kLeft = 0;
constexpr int kFailed = 1;
constexpr int kRefused = 2;
constexpr int kUnsure = 3;
constexpr int kUnfit = 117;  // not a code that a shell, a signal or the job's script gives
constexpr auto kTry = std::chrono::seconds(10);
constexpr size_t kTokenDigits = 64;
constexpr int kMebibyteShift = 20;
constexpr const char* kRelaySocket = "hub.sock";
// A relay is one connection to what is on this machine: no site suffers from tries.
constexpr auto kLongestRelayWait = std::chrono::seconds(3);
constexpr auto kLongestAutoWait = std::chrono::seconds(5);

int Complain(int code, const Status& why) {
  std::cerr << "interlink-agent: " << why.message() << "\n";
  return code;
}

// gRPC says of a CA that it cannot read only that nothing can be reached.
bool HoldsCertificate(const std::string& pem) {
  const std::unique_ptr<BIO, int (*)(BIO*)> bytes(
      BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), BIO_free);
  const std::unique_ptr<X509, void (*)(X509*)> first(
      PEM_read_bio_X509(bytes.get(), nullptr, nullptr, nullptr), X509_free);
  return first != nullptr;
}

struct Secrets {
  std::string ca;
  std::string token;
};

Result<Secrets> ReadSecrets(const RunOptions& options) {
  Secrets secrets;
  ASSIGN_OR_RETURN(secrets.ca, agent::ReadSecretFile(options.ca_file));
  if (!HoldsCertificate(secrets.ca)) {
    return InvalidArgument("\"" + options.ca_file + "\" holds no PEM certificate");
  }
  ASSIGN_OR_RETURN(secrets.token, agent::ReadSecretFile(options.token_file));
  if (secrets.token.size() != kTokenDigits) {
    return InvalidArgument("\"" + options.token_file + "\" is not a token of 64 hex digits");
  }
  return secrets;
}

std::string StateFolder(const RunOptions& options) {
  return options.state.empty() ? options.folder + "/state" : options.state;
}

Result<const engine::ContainerEngine*> EngineOf(const RunOptions& options) {
  const engine::ContainerEngine* engine = engine::FindContainerEngine(options.engine);
  if (engine == nullptr) {
    return InvalidArgument("--engine is " + engine::ContainerEngineNames() + ", not \"" +
                           options.engine + "\"");
  }
  if (options.allow_root && !engine->all_ids) {
    return InvalidArgument("--engine " + options.engine +
                           " gives a container one id only, and --allow-root all");
  }
  return engine;
}

std::string RuntimeOf(const RunOptions& options, const engine::ContainerEngine& engine) {
  return options.runtime.empty() ? engine.program : options.runtime;
}

std::vector<std::string> SuperviseWords(const RunOptions& options, const std::string& shim) {
  std::vector<std::string> words = {shim, "supervise"};
  if (options.allow_root) words.emplace_back("--allow-root");
  if (options.shim_lease_seconds != 0) {
    words.insert(words.end(), {"--lease", std::to_string(options.shim_lease_seconds)});
  }
  words.emplace_back("--");
  return words;
}

// Nothing of this nonce has run yet, and on this machine nothing can: so it is said at once, in
// words, and the site need not wait for a lease.
int LeaveUnfit(const RunOptions& options, const Status& why) {
  const auto folder =
      agent::PodFolder::Open(options.folder, SandboxId(options.sandbox), options.nonce);
  if (!folder.ok()) return Complain(kFailed, folder.status());
  Status said = (*folder)->MarkGone(options.sandbox);
  if (said.ok()) said = (*folder)->WriteRefusal(why.message());
  if (said.ok()) said = (*folder)->WriteLeft(true);
  if (!said.ok()) return Complain(kFailed, said);
  return Complain(kUnfit, why);
}

// Becomes `interlink-shim supervise`, which starts this program again with --supervised.
int BecomeSupervised(const RunOptions& options, char** argv) {
  const auto engine = EngineOf(options);
  if (!engine.ok()) return Complain(kRefused, engine.status());
  const auto shim = UnpackShim(StateFolder(options) + "/bin");
  if (!shim.ok()) return Complain(kRefused, shim.status());
  std::vector<std::string> words = SuperviseWords(options, *shim);
  const std::string trial = StateFolder(options) + "/trial";
  const Status made = MakeDirectories(trial, 0700);
  if (!made.ok()) return Complain(kRefused, made);
  const Status fit = engine::CheckRuntime(Call::WithTimeout(kTry), words, **engine,
                                          {*shim, RuntimeOf(options, **engine), trial, false});
  if (!fit.ok()) return LeaveUnfit(options, fit);
  std::array<char, PATH_MAX> self{};
  const ssize_t size = readlink("/proc/self/exe", self.data(), self.size() - 1);
  if (size <= 0) return Complain(kFailed, ErrnoStatus(errno, "read /proc/self/exe"));
  words.emplace_back(self.data());
  for (char** word = argv + 1; *word != nullptr; ++word) words.emplace_back(*word);
  words.emplace_back("--supervised");
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  execv(arguments[0], arguments.data());
  return Complain(kFailed, ErrnoStatus(errno, "start \"" + *shim + "\""));
}

std::string HostName() {
  std::array<char, HOST_NAME_MAX + 1> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

Result<agent::AgentOptions> AgentOptionsOf(const RunOptions& options) {
  agent::AgentOptions agent;
  agent.sandbox = SandboxId(options.sandbox);
  agent.nonce = options.nonce;
  agent.allocation = options.allocation;
  agent.host = HostName();
  agent.build_id = INTERLINK_BUILD_ID;
  agent.leave_within = std::chrono::seconds(options.leave_within_seconds);
  agent.shared_folder = options.shared_folder;
  agent.no_lease = options.no_lease;
  // Without it nobody but the site can renew a lease, and the site may have to be waited for.
  if (options.shared_folder) agent.lease = std::chrono::seconds(options.shim_lease_seconds);
  if (options.transport == "relay") agent.longest_wait = kLongestRelayWait;
  if (options.transport == "auto") agent.longest_wait = kLongestAutoWait;
  ASSIGN_OR_RETURN(agent.boot_id, engine::BootId());
  return agent;
}

int ExitCode(const Status& end) {
  switch (end.code()) {
    case Code::kOk:
      return kLeft;
    case Code::kFailedPrecondition:
    case Code::kUnauthenticated:
      return kRefused;
    case Code::kDeadlineExceeded:
      return kUnsure;
    default:
      return kFailed;
  }
}

// TERM, INT and HUP end the pod in order: the time limit, preemption and a cancel all come so.
// REQUIRES: they are blocked in every thread.
void WatchSignals(const std::stop_token& stop, const sigset_t& signals, agent::Agent& agent) {
  while (!stop.stop_requested()) {
    const timespec timeout{0, 200'000'000};
    const int signal = sigtimedwait(&signals, nullptr, &timeout);
    if (signal > 0) agent.Leave("signal " + std::to_string(signal));
  }
}

std::string HostOf(const std::string& address) {
  std::string host = address.substr(0, address.rfind(':'));
  if (host.size() > 2 && host.front() == '[') host = host.substr(1, host.size() - 2);
  return host;
}

std::unique_ptr<agent::Channel> ChannelOf(const RunOptions& options, const Secrets& secrets) {
  const agent::ChannelOptions direct = {options.hub, options.server_name, secrets.ca, secrets.token,
                                        SandboxId(options.sandbox)};
  const std::string socket = StateFolder(options) + "/" + kRelaySocket;
  agent::ChannelOptions relay = direct;
  relay.address = "unix:" + socket;
  if (relay.server_name.empty()) relay.server_name = HostOf(options.hub);
  if (options.transport == "direct") return agent::MakeChannel(direct);
  if (options.transport == "relay") return agent::MakeChannel(relay);
  return agent::MakeTwoWays({[direct] { return agent::MakeChannel(direct); },
                             [relay] { return agent::MakeChannel(relay); },
                             [socket] { return access(socket.c_str(), F_OK) == 0; }});
}

// The exit code, once there is an agent.
Result<int> Serve(const RunOptions& options, const Secrets& secrets, const sigset_t& signals) {
  StderrLog log;
  const SystemClock clock;
  const std::string state = StateFolder(options);
  ASSIGN_OR_RETURN(const std::string shim, UnpackShim(state + "/bin"));
  ASSIGN_OR_RETURN(agent::AgentOptions agent_options, AgentOptionsOf(options));
  ASSIGN_OR_RETURN(const auto folder,
                   agent::PodFolder::Open(options.folder, agent_options.sandbox, options.nonce));
  agent::AgentHost host(agent_options.sandbox, state, log, clock);
  engine::EngineOptions engine_options;
  engine_options.plugin = "agent";
  engine_options.state_folder = state + "/pods";
  engine_options.shim = shim;
  ASSIGN_OR_RETURN(const engine::ContainerEngine* engine, EngineOf(options));
  engine_options.engine = options.engine;
  engine_options.runtime = RuntimeOf(options, *engine);
  engine_options.rootless = true;
  engine_options.policies[options.handler].allowed_host_paths = options.allowed_host_paths;
  engine_options.allocation_memory_bytes = options.memory_mib << kMebibyteShift;
  engine_options.allocation_cpus = options.cpus;
  engine_options.shim_lease_seconds = options.shim_lease_seconds;
  ASSIGN_OR_RETURN(const auto backend, engine::Engine::Create(host, engine_options));
  agent::LayerFolder::Options layer_options;
  layer_options.folder = state + "/layers";
  if (engine::OwnIds() > 1) layer_options.owners = layer_archive::LayerOwners::kKept;
  ASSIGN_OR_RETURN(const auto layers, agent::LayerFolder::Open(layer_options, log));
  const auto channel = ChannelOf(options, secrets);
  const auto shim_folder = [pod = engine::FolderOfPod(engine_options.state_folder, host.lineage(),
                                                      agent_options.sandbox)](
                               const ContainerId& id) { return pod.Shim(id); };
  agent::Agent agent(agent_options,
                     {*channel, *backend, host, *folder, log, clock, shim_folder, layers.get()});
  const std::jthread watcher(
      [&](const std::stop_token& stop) { WatchSignals(stop, signals, agent); });
  const Status end = agent.Run();
  return end.ok() ? kLeft : Complain(ExitCode(end), end);
}

}  // namespace

int Run(const RunOptions& options, char** argv) {
  if (!IsFullId(options.sandbox)) {
    return Complain(kRefused, InvalidArgument("--sandbox is not 64 lower-case hex digits"));
  }
  const auto secrets = ReadSecrets(options);
  // Once it has run there may be containers, and its folder may be away for a while only.
  if (!secrets.ok()) return Complain(options.supervised ? kFailed : kRefused, secrets.status());
  if (!options.supervised) return BecomeSupervised(options, argv);
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  const auto code = Serve(options, *secrets, signals);
  return code.ok() ? *code : Complain(kFailed, code.status());
}

}  // namespace interlink::cmd_agent
