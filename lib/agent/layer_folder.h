// LayerFolder: the layers that the site has brought to this agent, which cannot read the site's.
// Thread-safe.
//
//   FOLDER/        0700
//     NAME/        a layer, whole and durable
//     tmp-X/       one on its way; what an earlier process has left goes at the start
//
// A layer comes as a stream: an archive (lib/layer_archive) until its end, then one line goes back
// (layer_archive/verdict.h) and nothing more.
#ifndef INTERLINK_AGENT_LAYER_FOLDER_H_
#define INTERLINK_AGENT_LAYER_FOLDER_H_

#include <atomic>
#include <list>
#include <memory>
#include <string>
#include <thread>

#include "base/call.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "layer_archive/read_layer.h"

namespace interlink::agent {

class LayerFolder {
 public:
  struct Options {
    std::string folder;  // absolute; its parent is there
    layer_archive::LayerOwners owners = layer_archive::LayerOwners::kOne;
    layer_archive::ReadLimits limits = {};
    Duration quiet = std::chrono::minutes(1);  // without a byte: given up
    size_t max_arrivals = 4;                   // on their way at once
  };
  // `log` outlives it.
  static Result<std::unique_ptr<LayerFolder>> Open(Options options, Log& log);
  // Ends what is on its way.
  ~LayerFolder();
  LayerFolder(const LayerFolder&) = delete;
  LayerFolder& operator=(const LayerFolder&) = delete;

  // The end of a SOCK_STREAM that takes the archive and gives the line. What is on its way under
  // that name ends: nobody sends it any more. kAlreadyExists: it is there; kInvalidArgument: no
  // name; kResourceExhausted: too many are on their way.
  Result<UniqueFd> Put(const std::string& name);

  // Its folder. kUnavailable: it is not here, and has to be put; kInvalidArgument: no name.
  Result<std::string> PathOf(const std::string& name) const;

 private:
  struct Arrival {
    std::string name;
    UniqueFd end;
    Call call;
    std::atomic<bool> over = false;
    std::jthread thread;  // last: it uses the rest
  };

  LayerFolder(Options options, Log& log) : options_(std::move(options)), log_(log) {}
  void Receive(Arrival& arrival);
  Status Unpack(const Arrival& arrival);
  Result<size_t> ReadSome(const Arrival& arrival, char* buffer, size_t size) const;
  Status Publish(const std::string& temporary, const std::string& name) const;
  void Sweep(const std::stop_token& stop, const std::list<std::string>& left);

  const Options options_;
  Log& log_;
  Mutex mutex_;
  std::list<std::unique_ptr<Arrival>> arrivals_ GUARDED_BY(mutex_);
  std::jthread sweeper_;
};

}  // namespace interlink::agent

#endif  // INTERLINK_AGENT_LAYER_FOLDER_H_
