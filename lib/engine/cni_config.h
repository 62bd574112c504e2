// CNI network configuration lists and results (CNI specification 0.4 and 1.0). Pure.
#ifndef INTERLINK_ENGINE_CNI_CONFIG_H_
#define INTERLINK_ENGINE_CNI_CONFIG_H_

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"

namespace interlink::engine {

struct HostPort {
  uint16_t host_port = 0;
  uint16_t container_port = 0;
  std::string protocol;  // "tcp", "udp", "sctp"
  std::string host_ip;
};

// Whether both cannot be mapped on one machine. Without an address a port is taken on all. Pure.
bool Collide(const HostPort& a, const HostPort& b);

// One run of a plugin: its binary and the configuration that goes to its stdin, without prevResult.
struct CniStep {
  std::string type;
  std::string config;
};

// The plugins of a list (the content of a .conflist, or of a .conf with one plugin) in ADD order. A
// plugin that only maps host ports is left out when there are none: it would cost 40 ms for
// nothing. kInvalidArgument: not a configuration.
Result<std::vector<CniStep>> CniSteps(const std::string& conflist,
                                      const std::vector<HostPort>& ports);

// Whether a plugin of the configuration maps host ports.
bool MapsHostPorts(const std::string& conflist);

// `config` with the result of the plugin before.
Result<std::string> WithPreviousResult(const std::string& config, const std::string& result);

// The addresses of a result, without prefix lengths, in its order. kInvalidArgument: not a result.
Result<std::vector<std::string>> CniAddresses(const std::string& result);

// The words of a failed plugin: "msg: details" of its error object, else its stderr.
std::string CniErrorText(const std::string& out, const std::string& err);

}  // namespace interlink::engine

#endif  // INTERLINK_ENGINE_CNI_CONFIG_H_
