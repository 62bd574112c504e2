// Both domains with a disk each, a machine that outlives both, a bad network between them, and a
// caller that remembers what it asked for and what it was told.
#ifndef INTERLINK_TEST_INTEGRATION_TWO_STORES_TWO_STORES_LAB_H_
#define INTERLINK_TEST_INTEGRATION_TWO_STORES_TWO_STORES_LAB_H_

#include <catch2/catch.hpp>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "direct_site.h"
#include "node/node.h"
#include "support/eventually.h"
#include "support/memory_log_files.h"
#include "support/memory_node_store.h"

namespace interlink::test {

class TwoStoresLab {
 public:
  explicit TwoStoresLab(uint32_t seed);
  ~TwoStoresLab();

  // --- processes
  void BootSite();
  void BootNode();
  void KillSite();
  void KillNode();
  // As from a backup of that moment.
  void KeepBackups();
  void RestoreSite();  // kills it first
  void RestoreNode();
  // Until both are up and linked; a person's word included, where a restored store needs it.
  void WaitLinked();

  // --- the caller: one random call, with a short deadline
  void RandomCall();
  // A running container ends by itself.
  void RandomExit();

  // --- what must hold
  // At any moment: no id has started twice, no pod and no container name lives twice.
  void CheckNoDuplicate();
  // When all is well again: what lives is listed; what was told to run and not asked to end lives;
  // exits are told.
  void CheckSettled();
  // Everything is removed and nothing is left anywhere.
  void CheckRemovesAll();

  DirectSite direct;
  World world;

 private:
  struct Pod {
    std::string name;
    bool ended = false;  // it was asked to end
  };
  struct Unit {
    SandboxId pod;
    std::string name;
    bool started = false;  // the start was answered OK
    bool ended = false;
    std::optional<int> exit_code;  // it ended by itself
  };

  template <typename T, typename Start>
  Result<T> Ask(Start start);
  int Below(int n) { return std::uniform_int_distribution<int>(0, n - 1)(random_); }
  void RunPod();
  void EndPod(bool remove);
  void CreateUnit();
  void StartUnit();
  void EndUnit(bool remove);
  // What both stores hold, for a failure's message.
  std::string Describe();
  std::optional<runtime::v1::ListPodSandboxResponse> ListPods();
  std::optional<runtime::v1::ListContainersResponse> ListUnits();

  std::mt19937 random_;
  NodeDisk node_disk_;
  SiteDisk site_disk_;
  NodeDisk node_backup_;
  SiteDisk site_backup_;
  NullLog log_;
  NullMetrics metrics_;
  SystemClock clock_;
  std::unique_ptr<MemoryNodeStore> store_;
  std::unique_ptr<MemoryLogFiles> logs_;
  std::unique_ptr<node::Node> node_;
  std::shared_ptr<SiteProcess> process_;

  std::map<std::string, uint32_t> attempts_;  // of the last run, by pod name
  std::map<std::string, uint32_t> unit_attempts_;
  std::map<SandboxId, Pod> pods_;  // told to the caller
  std::map<ContainerId, Unit> units_;
};

}  // namespace interlink::test

#endif  // INTERLINK_TEST_INTEGRATION_TWO_STORES_TWO_STORES_LAB_H_
