// `interlink-api check`: what would keep `serve` from serving, without touching what runs.
#include <dlfcn.h>

#include <ctime>
#include <iostream>

#include "auth/token_file.h"
#include "base/timer.h"
#include "commands.h"
#include "parts.h"
#include "sdk/descriptor.h"

namespace interlink::cmd_api {
namespace {

constexpr int64_t kDay = 24 * 3600;
constexpr int64_t kRenewDays = 14;

Status CheckCertificate(const config::ApiConfig& config) {
  if (!config.tls.enabled) return {};
  ASSIGN_OR_RETURN(const auto tls, net::TlsContext::Server(config.tls.files, config.client_auth));
  const int64_t days = (tls->not_after() - static_cast<int64_t>(std::time(nullptr))) / kDay;
  std::cout << "certificate " << config.tls.files.cert_file << " fits its key and is valid for "
            << days << " days\n";
  if (days < kRenewDays) std::cout << "warning: renew it soon\n";
  return {};
}

Status CheckTokens(const config::ApiConfig& config) {
  if (config.auth.token_file.empty()) return {};
  NullLog log;
  Timer timer;
  RETURN_IF_ERROR(auth::TokenFile::Open(config.auth.token_file, timer, log).status());
  std::cout << "token file " << config.auth.token_file << " is right\n";
  return {};
}

// The handshake alone: a backend would act on what the running daemon's one looks after.
Status CheckPlugin(const std::string& path) {
  void* object = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (object == nullptr) {
    const char* why = dlerror();  // NOLINT(concurrency-mt-unsafe): one thread
    return FailedPrecondition(std::string("it cannot be loaded: ") +
                              (why == nullptr ? "unknown reason" : why));
  }
  using DescriptorFunction = const sdk::PluginDescriptor* (*)();
  const auto function = reinterpret_cast<DescriptorFunction>(dlsym(object, "interlink_plugin_v1"));
  const sdk::PluginDescriptor* descriptor = function == nullptr ? nullptr : function();
  if (descriptor == nullptr) return InvalidArgument("it is not an interlink plugin");
  if (descriptor->abi != sdk::kPluginAbi || descriptor->build_id == nullptr ||
      std::string_view(descriptor->build_id) != sdk::BuildId()) {
    return FailedPrecondition("it is of another build than this daemon (\"" +
                              std::string(sdk::BuildId()) +
                              "\"): install the plugin of this build");
  }
  return {};
}

}  // namespace

int Check(const config::ApiConfig& config) {
  const auto fail = [](const Status& status) {
    std::cerr << "interlink-api: " << status.message() << "\n";
    return ExitCodeOf(status);
  };
  std::cout << "configuration " << config.file << " is valid\n";
  if (const Status status = CheckCertificate(config); !status.ok()) return fail(status);
  if (const Status status = CheckTokens(config); !status.ok()) return fail(status);
  int code = 0;
  for (const config::PluginConfig& plugin : config.plugins) {
    const std::string path = PluginPath(plugin);
    const Status status = CheckPlugin(path);
    if (status.ok()) {
      std::cout << "plugin \"" << plugin.options.name << "\" is " << path << ", of this build\n";
    } else {
      code = fail(status.WithContext(plugin.where + ": plugin \"" + path + "\""));
    }
  }
  return code;
}

}  // namespace interlink::cmd_api
