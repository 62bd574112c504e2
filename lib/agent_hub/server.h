// The hub's port: gRPC over TLS, tokens, limits. Only what is authorised reaches `StreamSink`.
#ifndef INTERLINK_AGENT_HUB_SERVER_H_
#define INTERLINK_AGENT_HUB_SERVER_H_

#include <cstdint>
#include <memory>
#include <string>

#include "agent_hub/stream.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "base/status.h"

namespace interlink::agent_hub {

// Who takes the calls. Thread-safe; must only enqueue.
class StreamSink {
 public:
  virtual ~StreamSink() = default;
  // An agent that has shown the token of `id`.
  virtual void OnControl(const SandboxId& id, StreamPtr stream) = 0;
  virtual void OnStream(const SandboxId& id, const std::string& stream_id, StreamPtr stream) = 0;
};

struct HubServerOptions {
  std::string address = "0.0.0.0";
  uint16_t port = 0;        // 0: any free one
  std::string certificate;  // a file of StageCertificate, which is followed
  std::string agent_key;    // HubFiles::agent_key
  size_t max_calls = 4096;  // of all agents together, sessions included
};

class HubServer {
 public:
  // kInvalidArgument, kNotFound: a file is missing or no PEM; kUnavailable: the port is taken.
  static Result<std::unique_ptr<HubServer>> Start(const HubServerOptions& options, StreamSink& sink,
                                                  Log& log);
  virtual ~HubServer() = default;
  virtual uint16_t port() const = 0;
  // Cuts every call and takes no more; returns when no callback will come. Idempotent.
  virtual void Stop() = 0;
};

}  // namespace interlink::agent_hub

#endif  // INTERLINK_AGENT_HUB_SERVER_H_
