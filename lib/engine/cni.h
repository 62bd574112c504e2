// Cni: gives a pinned network namespace its addresses, by running the machine's CNI plugins.
// Thread-safe.
#ifndef INTERLINK_ENGINE_CNI_H_
#define INTERLINK_ENGINE_CNI_H_

#include <string>
#include <utility>
#include <vector>

#include "base/call.h"
#include "base/status.h"
#include "engine/cni_config.h"

namespace interlink::engine {

// What an attachment is, stored with the pod before ADD, so that DEL needs nothing else.
struct CniAttachment {
  std::string container_id;
  std::string netns;     // path
  std::string conflist;  // the configuration as it was at ADD
  std::vector<HostPort> ports;
  std::vector<std::pair<std::string, std::string>> arguments;  // of CNI_ARGS
};

class Cni {
 public:
  Cni(std::string conf_folder, std::vector<std::string> bin_folders)
      : conf_folder_(std::move(conf_folder)), bin_folders_(std::move(bin_folders)) {}

  // The first configuration of the folder, by name. kFailedPrecondition: there is none.
  Result<std::string> LoadConflist() const;

  // That Add can do its part: the configuration is one, its plugins are installed and it maps host
  // ports if there are some. kFailedPrecondition says what the machine lacks.
  Status Check(const std::string& conflist, const std::vector<HostPort>& ports) const;

  // Answers the final result (JSON). On failure nothing is undone: the caller runs Delete.
  Result<std::string> Add(const Call& call, const CniAttachment& attachment) const;
  // In reverse, whatever was done and as often as you like; `result` may be empty. All plugins are
  // asked even if one fails.
  Status Delete(const Call& call, const CniAttachment& attachment, const std::string& result) const;

 private:
  // The plugin's binary. kFailedPrecondition: it is in none of the folders.
  Result<std::string> Binary(const std::string& type) const;
  // CNI_PATH.
  std::string Path() const;
  Result<std::string> Run(const Call& call, const char* command, const CniAttachment& attachment,
                          const std::string& type, const std::string& config) const;

  const std::string conf_folder_;
  const std::vector<std::string> bin_folders_;
};

}  // namespace interlink::engine

#endif  // INTERLINK_ENGINE_CNI_H_
