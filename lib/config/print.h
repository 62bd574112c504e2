// A table of keys as text for people: both come from schema.h, so they cannot differ from what is
// read. Pure.
#ifndef INTERLINK_CONFIG_PRINT_H_
#define INTERLINK_CONFIG_PRINT_H_

#include <string>

#include "config/schema.h"

namespace interlink::config {

// `config --default`: YAML with a comment above each key. Keys without a default stand as comments
// with an example. ReadKeys accepts it. `title` is the first comment line.
std::string PrintYaml(const Keys& keys, const std::string& title);

// The reference page: one Markdown table per section; lists of maps have their own.
std::string PrintReference(const Keys& keys, const std::string& title);

}  // namespace interlink::config

#endif  // INTERLINK_CONFIG_PRINT_H_
