// Port: the node's durable store. lib/node_store implements it on SQLite. Thread-safe.
//
// The domain owns the encoding of `bytes` (protobuf messages with a version of their own); the
// store keeps them. Commit order is call order. A commit that was answered OK survives kill -9 and
// power loss.
#ifndef INTERLINK_NODE_STORE_H_
#define INTERLINK_NODE_STORE_H_

#include <functional>
#include <string>
#include <vector>

#include "base/call.h"
#include "base/id.h"
#include "base/status.h"

namespace interlink::node {

// Numbers are stored: never change one.
enum class RecordKind : int {
  kMeta = 1,         // key: a name; links, counters, positions, what a site said last
  kSandbox = 2,      // key: sandbox id
  kContainer = 3,    // key: container id
  kImage = 4,        // key: image id
  kLogPosition = 5,  // key: container id
};

struct StoredRecord {
  RecordKind kind = RecordKind::kMeta;
  std::string key;
  std::string bytes;
};

// All or nothing.
struct Batch {
  std::vector<StoredRecord> puts;                          // insert or replace
  std::vector<std::pair<RecordKind, std::string>> erases;  // absent is fine
  // Stop, remove and observe of one's own work are never blocked by a full disk: they may use the
  // reserve. What makes new work may not and fails with kResourceExhausted.
  bool makes_new_work = false;
};

class Store {
 public:
  virtual ~Store() = default;
  // Everything, in no order. Called once, before the first Commit.
  virtual Result<std::vector<StoredRecord>> Load() = 0;
  // Enqueues; `done` runs on the writer's thread after the commit and must be short. kUnavailable
  // when the queue is full (done runs at once), kResourceExhausted when the disk is full, kDataLoss
  // when the file is damaged.
  virtual void Commit(Batch batch, std::function<void(Status)> done) = 0;
  // The same and waits. For step threads.
  virtual Status CommitAndWait(const Call& call, Batch batch) = 0;
  // Minted when this store was created.
  virtual const Lineage& lineage() const = 0;
};

}  // namespace interlink::node

#endif  // INTERLINK_NODE_STORE_H_
