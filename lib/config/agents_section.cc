#include "config/agents_section.h"

#include "net/url.h"

namespace interlink::config {
namespace {

// A lease must outlast lost beats.
constexpr int kBeatsInLease = 3;

// "host:port", an IPv6 address in brackets.
Result<net::Url> ParseHostAndPort(const std::string& text) {
  ASSIGN_OR_RETURN(net::Url url, net::ParseUrl("https://" + text));
  if (url.target != "/" || text.ends_with('/')) return InvalidArgument("it has a path");
  if (!url.has_port || url.port == 0) return InvalidArgument("it has no port");
  return url;
}

}  // namespace

Keys AgentKeys(AgentsConfig* a) {
  const auto second = std::chrono::seconds(1);
  return {
      TextKey("Agents.Address", &a->address,
              "Address to listen on for the agents that run pods in allocations of a scheduler."),
      WithExample(
          PortKey(
              "Agents.Port", &a->port,
              "Port for them: gRPC over TLS with TLS.CertFile and TLS.KeyFile; each agent shows "
              "a token of its own. A scheduler's plugin (slurm) needs it. Default: none, no "
              "agent can come in."),
          "8444"),
      WithExample(TextKey("Agents.PublicAddress", &a->public_address,
                          "HOST:PORT under which the allocations (compute nodes) reach that port. "
                          "Must be set with Agents.Port."),
                  "\"site.example.org:8444\""),
      WithExample(TextKey("Agents.ServerName", &a->server_name,
                          "The name or address in TLS.CertFile that agents check. Default: the "
                          "host of Agents.PublicAddress."),
                  "\"site.example.org\""),
      WithExample(PathKey("Agents.CACertFile", &a->ca_cert_file,
                          "Who has signed TLS.CertFile, PEM: agents trust nobody else. Default: "
                          "TLS.CACertFile."),
                  "\"/etc/interlink/api/tls/ca.crt\""),
      NeverKey(
          "Agents.Lease", &a->lease,
          "An agent that hears nothing of the site for so long, neither by its connection nor "
          "in its pod's shared folder, stops its containers and ends; only then, and 90 s "
          "later, can a pod of a lost machine be given up. At least three Agents.Heartbeat. "
          "never: it goes on, and such a pod ends only by a person's word. Make it shorter only "
          "while no agent is out of reach."),
      DurationKey("Agents.Heartbeat", &a->heartbeat, second, std::chrono::minutes(1),
                  "Agents and the site tell each other so often that they are there."),
      NeverKey("Agents.IdleTimeout", &a->idle_timeout,
               "An allocation in which no container has run for so long is given back; the next "
               "try of a pod that has started none waits so long before it asks for another one, "
               "and twice as long each time. never: it is kept."),
      NumberKey("Agents.MaxAgents", &a->max_agents, 1, 100'000,
                "Agents at once; more are told to come again."),
  };
}

Status CompleteAgents(const AgentSurroundings& around, const Sources& sources,
                      AgentsConfig* agents) {
  const auto refuse = [&](const std::string& path, const std::string& text) {
    return RefuseKey(sources, around.file, path, text);
  };
  if (agents->port == 0) {
    for (const char* key : {"Agents.PublicAddress", "Agents.ServerName", "Agents.CACertFile"}) {
      if (sources.contains(key)) return refuse(key, "needs Agents.Port, the port for the agents");
    }
    return {};
  }
  if (!around.tls) return refuse("Agents.Port", "needs TLS.Enabled: agents come in over TLS only");
  if (agents->port == around.port || agents->port == around.operator_port)
    return refuse("Agents.Port", "must not be the same as Port or OperatorPort");
  if (agents->public_address.empty())
    return refuse(
        "Agents.PublicAddress",
        "must be set with Agents.Port: HOST:PORT under which allocations reach this site");
  const auto url = ParseHostAndPort(agents->public_address);
  if (!url.ok())
    return refuse("Agents.PublicAddress",
                  "must be HOST:PORT (an IPv6 address in brackets), it is " +
                      Quoted(agents->public_address) + ": " + url.status().message());
  if (agents->server_name.empty()) agents->server_name = url->host;
  if (agents->ca_cert_file.empty()) agents->ca_cert_file = around.ca_cert_file;
  if (agents->ca_cert_file.empty())
    return refuse("Agents.CACertFile",
                  "must be set, or TLS.CACertFile: who has signed TLS.CertFile");
  if (agents->lease != Duration::zero() && agents->lease < kBeatsInLease * agents->heartbeat)
    return refuse("Agents.Lease", "must be at least three times Agents.Heartbeat, or never");
  return {};
}

}  // namespace interlink::config
