// The site's store on SQLite: adapter of lib/site/store.h. Thread-safe.
#ifndef INTERLINK_SITE_STORE_SITE_STORE_H_
#define INTERLINK_SITE_STORE_SITE_STORE_H_

#include <memory>
#include <string>

#include "site/store.h"

namespace interlink::site_store {

// Opens or creates the store in `folder` (made 0700). Errors say what to do; see
// sqlite::Database::Open.
Result<std::unique_ptr<site::Store>> Open(const std::string& folder);

}  // namespace interlink::site_store

#endif  // INTERLINK_SITE_STORE_SITE_STORE_H_
