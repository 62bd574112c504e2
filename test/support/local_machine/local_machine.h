// LocalMachine: what an engine needs to run real pods in a test: a folder of its own, a busybox
// image, a CNI network on a bridge of its own. It takes everything away again, also when the test
// failed. Needs root, crun, busybox and the CNI plugins.
#ifndef INTERLINK_TEST_SUPPORT_LOCAL_MACHINE_LOCAL_MACHINE_H_
#define INTERLINK_TEST_SUPPORT_LOCAL_MACHINE_LOCAL_MACHINE_H_

#include <string>
#include <vector>

#include "engine/options.h"
#include "support/recording_host/recording_host.h"

namespace interlink::test {

// Runs a program to its end; its output, whatever its exit code is.
std::string OutputOf(const std::vector<std::string>& argv);

class LocalMachine {
 public:
  LocalMachine();
  ~LocalMachine();
  LocalMachine(const LocalMachine&) = delete;
  LocalMachine& operator=(const LocalMachine&) = delete;

  const std::string& path() const { return path_; }
  std::string ImageId() const { return "sha256:busybox"; }
  // Of an engine that serves handler "local" and allows everything below path().
  engine::EngineOptions Options() const;
  // What pods have left on this machine, one line each: processes, mounts, cgroups, links, iptables
  // chains, leases, files. Empty when all pods are removed.
  std::vector<std::string> Remains() const;

  RecordingHost host;

 private:
  void MakeImage();
  void MakeNetwork();

  const std::string path_;
  const std::string name_;  // of the bridge, unique on this machine
};

}  // namespace interlink::test

#endif  // INTERLINK_TEST_SUPPORT_LOCAL_MACHINE_LOCAL_MACHINE_H_
