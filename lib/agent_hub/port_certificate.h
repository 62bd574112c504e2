// Internal: the certificate of the agents' port, as one file of the hub's own that holds key and
// chain, so that both change at once. gRPC looks at it every second: a pair that does not fit, read
// between two writes of whoever renews certificates, would close the port.
#ifndef INTERLINK_AGENT_HUB_PORT_CERTIFICATE_H_
#define INTERLINK_AGENT_HUB_PORT_CERTIFICATE_H_

#include <string>

#include "base/status.h"

namespace interlink::agent_hub {

// Checks the pair as net::TlsContext::Server, then replaces `file` (mode 0600). An error: nothing
// changes. Blocks on a disk.
Status StageCertificate(const std::string& cert_file, const std::string& key_file,
                        const std::string& file);

}  // namespace interlink::agent_hub

#endif  // INTERLINK_AGENT_HUB_PORT_CERTIFICATE_H_
