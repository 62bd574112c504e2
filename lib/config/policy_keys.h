// Internal: what the lists of a policy file have in common.
#ifndef INTERLINK_CONFIG_POLICY_KEYS_H_
#define INTERLINK_CONFIG_POLICY_KEYS_H_

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "auth/who.h"
#include "config/print.h"
#include "config/schema.h"

namespace interlink::config {

// A list of patterns. An empty one would read as "nobody" and mean "anybody".
inline Key PatternsKey(std::string path, std::vector<std::string>* target, std::string doc) {
  Key key = TextListKey(std::move(path), target, std::move(doc));
  key.read = [read = key.read](const Value& value, const std::string& where) -> Status {
    if (value.kind == Value::Kind::kList && value.items.empty())
      return InvalidArgument(value.where + ": " + where +
                             " must not be an empty list: leave the key out for anybody and "
                             "everything");
    return read(value, where);
  };
  return key;
}

// The keys of auth::WhoAsks.
inline Keys WhoKeys(auth::WhoAsks* who) {
  return {
      PatternsKey("Nodes", &who->nodes, "Nodes by their verified identity. Default: any."),
      PatternsKey("Issuers", &who->issuers,
                  "Who has signed the request's token. Default: any, or none."),
      PatternsKey("Subjects", &who->subjects, "The token's claim sub. Default: any, or none."),
      PatternsKey("Groups", &who->groups, "One of the token's groups. Default: any, or none."),
      PatternsKey("Tenants", &who->tenants, "The token's tenant. Default: any, or none."),
      PatternsKey(
          "Namespaces", &who->namespaces,
          "Namespaces of pods, by the node's word; an empty text of a pull that is for no pod "
          "of this site. Default: any."),
      PatternsKey(
          "ServiceAccounts", &who->service_accounts,
          "Service accounts of pods that run at a site on another machine than their node's, "
          "by the node's word, which reads them in the token that kubelet mounts "
          "(automountServiceAccountToken); an empty text where there is none. Default: any, or "
          "none."),
  };
}

// Name, then whom an entry speaks of, then `rest`.
inline Keys NameAndWho(std::string* name, auth::WhoAsks* who, Keys rest) {
  Keys keys = {TextKey("Name", name, "Stands in answers. Unique in the file. Must be set.")};
  for (Key& key : WhoKeys(who)) keys.push_back(std::move(key));
  for (Key& key : rest) keys.push_back(std::move(key));
  return keys;
}

// Items with a `name` of their own and a `where`, each read by `read_one(item, path)`.
template <typename Item, typename ReadOne>
Status ReadNamedItems(const Value& value, const std::string& path, const ReadOne& read_one,
                      std::vector<Item>* target) {
  if (value.kind != Value::Kind::kList) return MustBe(value, path, "a list of maps");
  for (size_t i = 0; i < value.items.size(); ++i) {
    ASSIGN_OR_RETURN(Item one, read_one(value.items[i], path + "[" + std::to_string(i) + "]"));
    const auto twin = std::find_if(target->begin(), target->end(),
                                   [&one](const Item& other) { return other.name == one.name; });
    if (twin != target->end())
      return InvalidArgument(one.where + ": the name " + Quoted(one.name) +
                             " stands twice, it is also at " + twin->where);
    target->push_back(std::move(one));
  }
  return {};
}

}  // namespace interlink::config

#endif  // INTERLINK_CONFIG_POLICY_KEYS_H_
