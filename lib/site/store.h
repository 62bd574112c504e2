// Port: the site's durable store. lib/site_store implements it on SQLite. Thread-safe.
//
// The domain owns the encoding of `bytes` (protobuf messages with a version of their own); the
// store keeps them. Commit order is call order. A commit that was answered OK survives kill -9 and
// power loss.
#ifndef INTERLINK_SITE_STORE_H_
#define INTERLINK_SITE_STORE_H_

#include <functional>
#include <string>
#include <vector>

#include "base/call.h"
#include "base/id.h"
#include "base/status.h"

namespace interlink::site {

// Numbers are stored: never change one.
enum class RecordKind : int {
  kMeta = 1,       // node: empty; key: a name: epoch, counters
  kNode = 2,       // key: empty; the link, lineage, secrets and counters of one node
  kSandbox = 3,    // key: sandbox id
  kContainer = 4,  // key: container id
  kImage = 5,      // key: image id
};

struct RecordKey {
  RecordKind kind = RecordKind::kMeta;
  NodeId node;
  std::string key;
  friend auto operator<=>(const RecordKey&, const RecordKey&) = default;
};

struct StoredRecord {
  RecordKey key;
  std::string bytes;
};

// All or nothing.
struct Batch {
  std::vector<StoredRecord> puts;  // insert or replace
  std::vector<RecordKey> erases;   // absent is fine
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

}  // namespace interlink::site

#endif  // INTERLINK_SITE_STORE_H_
