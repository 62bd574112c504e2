// Host: what the site gives to a plugin at creation. It outlives the backend. Thread-safe.
#ifndef INTERLINK_SDK_HOST_H_
#define INTERLINK_SDK_HOST_H_

#include <map>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/status.h"
#include "sdk/observation.h"

namespace interlink::sdk {

// The parts of an OCI image config that running a container needs.
struct ImageConfig {
  std::string user;  // "", "uid", "name", "uid:gid", "name:group"
  std::vector<std::string> env;
  std::vector<std::string> entrypoint;
  std::vector<std::string> cmd;
  std::string working_dir;
  std::string stop_signal;
  std::vector<std::string> volumes;
};

struct UnpackedImage {
  std::string id;  // "sha256:..." of the config
  std::vector<std::string>
      layers;  // unpacked layer folders, lowest first, overlay whiteouts in place
  ImageConfig config;
};

class Host {
 public:
  virtual ~Host() = default;
  // Only enqueues, so it may be called under any lock.
  virtual void Report(std::vector<Observation> facts) = 0;
  // Wakes the reader of that log. Only enqueues.
  virtual void LogGrew(const ContainerId& id) = 0;
  // From the site's image store; its layers stay until ReleaseImages(holder). A holder may hold
  // several: its own image and those of its image volumes. Idempotent. kNotFound: not pulled.
  virtual Result<UnpackedImage> HoldImage(const ContainerId& holder,
                                          const std::string& image_id) = 0;
  // All that it holds; nothing is OK.
  virtual void ReleaseImages(const ContainerId& holder) = 0;
  // A part of every artefact's name. Of the site's data folder: it outlives a lost store
  // (docs/adr/0006).
  virtual const Lineage& lineage() const = 0;
  // An own folder of this plugin below DataRootFolder, mode 0700.
  virtual const std::string& data_folder() const = 0;
  virtual Log& log() = 0;
  virtual Metrics& metrics() = 0;
  virtual const Clock& clock() = 0;
};

}  // namespace interlink::sdk

#endif  // INTERLINK_SDK_HOST_H_
