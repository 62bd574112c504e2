// Images: the image calls of CRI. Images are the site's; the node's references come as events, so
// that everything but pull and remove answers from memory. Thread-safe; nothing blocks.
#ifndef INTERLINK_NODE_IMAGES_H_
#define INTERLINK_NODE_IMAGES_H_

#include "base/call.h"
#include "base/status.h"
#include "node/reply.h"
#include "runtime/v1/api.pb.h"

namespace interlink::node {

class Images {
 public:
  virtual ~Images() = default;

  // Ends with the site's answer, with the call's deadline (if CRI gave one), or after
  // RequestTimeout without progress.
  virtual void Pull(const Call& call, const runtime::v1::PullImageRequest& request,
                    Reply<runtime::v1::PullImageResponse> reply) = 0;
  // Any reference or id; all tags of that image go. Absent: OK.
  virtual void Remove(const Call& call, const runtime::v1::RemoveImageRequest& request,
                      Reply<runtime::v1::RemoveImageResponse> reply) = 0;
  // Absent: OK with `image` unset. Resolves tags, name@digest, ids and unique id prefixes alike.
  virtual Result<runtime::v1::ImageStatusResponse> GetStatus(
      const runtime::v1::ImageStatusRequest& request) const = 0;
  virtual Result<Slices> List(const runtime::v1::ImageFilter& filter) const = 0;
  // The node's own file system (an existing local path: kubelet stats it).
  virtual Result<runtime::v1::ImageFsInfoResponse> FsInfo() const = 0;
};

}  // namespace interlink::node

#endif  // INTERLINK_NODE_IMAGES_H_
