// Registry: the bytes of one repository, for one pull, with that pull's credentials (OCI
// distribution). Every endpoint is tried in order; what comes is checked against its digest here,
// so a lying mirror is passed over. Thread-safe.
//
// Credentials go to the image's own registry and to the token server that it names, to no mirror
// and across no redirect.
#ifndef INTERLINK_IMAGES_REGISTRY_H_
#define INTERLINK_IMAGES_REGISTRY_H_

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/call.h"
#include "base/mutex.h"
#include "base/status.h"
#include "images/credentials.h"
#include "images/endpoint.h"
#include "images/manifest.h"
#include "images/transport.h"

namespace interlink::images {

// Where a blob's bytes go. An endpoint that fails half-way is followed by the next one: Restart
// drops what came.
struct BlobSink {
  std::function<Status()> restart;
  std::function<Status(std::string_view)> write;
};

class Registry {
 public:
  // `transport` outlives the registry.
  Registry(RegistryTransport& transport, std::vector<Endpoint> endpoints, std::string path,
           Credentials credentials);

  struct FetchedManifest {
    std::string bytes;
    std::string content_type;
    Digest digest;  // of the bytes
  };
  // `wanted`: a tag or a digest. kNotFound ("manifest unknown"), kUnauthenticated,
  // kPermissionDenied, kDataLoss (other bytes than the digest says), kUnavailable. The message
  // names the registry, and the mirrors that failed before it.
  Result<FetchedManifest> GetManifest(const Call& call, const std::string& wanted);
  // Streams the blob; OK = all of it was written, and it is what the digest says.
  Status GetBlob(const Call& call, const Descriptor& blob, const BlobSink& sink);
  // Whether this pull's credentials may read the blob; its bytes do not come.
  Status CheckBlob(const Call& call, const Descriptor& blob);

 private:
  using OnHead = std::function<Status(const TransportHead&)>;
  using OnBytes = std::function<Status(std::string_view)>;
  struct Want;

  Status FromAny(const std::function<Status(size_t endpoint)>& attempt) const;
  Status Get(const Call& call, size_t endpoint, const Want& want);
  Result<TransportHead> Send(const Call& call, TransportRequest request, const Want& want);
  Result<std::string> Authorize(const Call& call, size_t endpoint, const std::string& challenge);
  Result<std::string> FetchToken(const Call& call, const Endpoint& endpoint,
                                 const std::map<std::string, std::string>& parameters);
  std::string CachedAuthorization(size_t endpoint) const;

  RegistryTransport& transport_;
  const std::vector<Endpoint> endpoints_;
  const std::string path_;
  const Credentials credentials_;
  mutable Mutex mutex_;
  // Endpoint -> the Authorization header that it accepted last.
  std::map<size_t, std::string> authorization_ GUARDED_BY(mutex_);
};

}  // namespace interlink::images

#endif  // INTERLINK_IMAGES_REGISTRY_H_
