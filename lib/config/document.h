// Document: a YAML file and its conf.d as one tree, each part with its file and line. Values.
//
// Only the plain part of YAML is taken: maps with text keys, lists, scalars. Duplicate keys, a
// second document, anchors, aliases, merge keys and tags are refused with file:line: they make a
// configuration say something else than it shows.
#ifndef INTERLINK_CONFIG_DOCUMENT_H_
#define INTERLINK_CONFIG_DOCUMENT_H_

#include <string>
#include <vector>

#include "base/status.h"

namespace interlink::config {

struct Member;

struct Value {
  enum class Kind { kNull, kScalar, kList, kMap };
  Kind kind = Kind::kNull;
  std::string scalar;           // kScalar
  bool quoted = false;          // kScalar: in quotes, so it is a text whatever it looks like
  std::vector<Value> items;     // kList
  std::vector<Member> members;  // kMap, in the file's order, keys unique
  std::string where;            // "file:line"

  // The member with that key, or nullptr.
  const Value* Find(const std::string& key) const;
};

struct Member {
  std::string key;
  std::string where;  // of the key
  Value value;
};

// One YAML text. An empty one is an empty map. `file` is for messages. kInvalidArgument:
// "file:line: what is wrong".
Result<Value> ParseDocument(const std::string& text, const std::string& file);

// `over` on top of `base`: maps merge, everything else is replaced. An empty section (null) in
// `over` changes nothing.
void Merge(Value over, Value* base);

// `file`, then conf.d/*.yaml beside it in the order of their names (hidden files excepted), merged.
// kNotFound, kPermissionDenied, kInvalidArgument.
Result<Value> LoadDocument(const std::string& file);

}  // namespace interlink::config

#endif  // INTERLINK_CONFIG_DOCUMENT_H_
