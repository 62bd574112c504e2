// NetTransport: RegistryTransport over lib/net. Thread-safe.
//
// It has io threads of its own: what writes layers to the disk must not hold up the daemon's
// sockets.
#ifndef INTERLINK_IMAGES_NET_TRANSPORT_H_
#define INTERLINK_IMAGES_NET_TRANSPORT_H_

#include <memory>
#include <string>

#include "base/status.h"
#include "images/transport.h"

namespace interlink::images {

// `ca_file`: PEM of the CAs that registries are verified with; empty: the system's.
Result<std::unique_ptr<RegistryTransport>> MakeNetTransport(const std::string& ca_file);

}  // namespace interlink::images

#endif  // INTERLINK_IMAGES_NET_TRANSPORT_H_
