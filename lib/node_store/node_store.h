// The node's store on SQLite: adapter of lib/node/store.h. Thread-safe.
#ifndef INTERLINK_NODE_STORE_NODE_STORE_H_
#define INTERLINK_NODE_STORE_NODE_STORE_H_

#include <memory>
#include <string>

#include "node/store.h"

namespace interlink::node_store {

// Opens or creates the store in `folder` (made 0700). Errors say what to do; see
// sqlite::Database::Open.
Result<std::unique_ptr<node::Store>> Open(const std::string& folder);

}  // namespace interlink::node_store

#endif  // INTERLINK_NODE_STORE_NODE_STORE_H_
