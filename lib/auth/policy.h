// Policy: who may ask this site for what, as rules decide it. Immutable values, thread-safe.
//
// Default deny: a request is let through by the first rule that names whoever asks, what is asked
// for and all of it. Rules only let through, so their order changes no decision, only whose name
// an answer has.
#ifndef INTERLINK_AUTH_POLICY_H_
#define INTERLINK_AUTH_POLICY_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "auth/mapped_user.h"
#include "auth/quota.h"
#include "auth/who.h"
#include "base/status.h"

namespace interlink::auth {

// What rules speak of. Nothing else needs one: lists, statuses, logs, stop and remove of a node's
// own work are never refused (DESIGN 6.1).
enum class Action { kRun, kCreate, kUpdate, kExec, kExecSync, kAttach, kPortForward, kPull };

// "run", "create", "update", "exec", "exec-sync", "attach", "port-forward", "pull".
std::string_view NameOf(Action action);
// Nothing: there is no such action.
std::optional<Action> ActionOf(std::string_view name);
// For messages: all names, separated by commas.
std::string ActionNames();

// What a request is, as far as rules can speak of it. Empty: it does not say.
struct PolicyRequest {
  Action action = Action::kRun;
  // By the verified certificate and token.
  std::string node;
  std::string issuer;
  std::string subject;
  std::string tenant;
  std::vector<std::string> groups;
  // By the node's word.
  std::string pod_namespace;
  std::string service_account;
  std::string handler;
  std::map<std::string, std::string> annotations;  // of the pod; of run
  std::string annotations_unclear;                 // why no rule can judge them; "": they can be
  // Of create and pull: the names of the image, with registry; one is enough.
  std::vector<std::string> images;
  // Of create. Nothing: the image's own user.
  std::optional<int64_t> run_as_user;
  // Of create and update. Nothing: of create, it has no limit; of update, it stays as it is.
  std::optional<int64_t> milli_cpus;
  std::optional<int64_t> memory;  // bytes
  // Of run and create.
  bool privileged = false;
  bool host_namespaces = false;         // network, pid or ipc of the machine
  std::vector<std::string> host_paths;  // mounted from the machine
  std::vector<std::string> devices;     // paths, and names of CDI
};

// Lists of patterns as in auth/who.h. An empty list of WhoAsks and of the first group says nothing,
// so anybody and everything; an empty list in the last one lets nothing through.
struct PolicyRule : WhoAsks {
  std::string name;
  std::string where;  // "file:line"
  // What.
  std::set<Action> may;
  std::vector<std::string> handlers;
  std::vector<std::string> images;
  bool require_digest = false;  // a pull names a digest
  struct Range {
    int64_t first = 0;
    int64_t last = 0;
  };
  std::optional<Range> run_as_user;                             // then a container must say it
  std::optional<int64_t> milli_cpus;                            // up to so much each, which a
  std::optional<int64_t> memory;                                // container must then have as limit
  std::map<std::string, std::vector<std::string>> annotations;  // a pod that has this key
  // What needs a word of its own.
  bool privileged = false;
  bool host_namespaces = false;
  std::vector<std::string> host_paths;  // these and all below; compared by components, no patterns
  std::vector<std::string> devices;
};

struct Decision {
  bool allowed = false;
  std::string rule;  // that lets it through; "": none
  std::string why;   // refused: for a person, one line without secrets
};

class Policy {
 public:
  explicit Policy(std::vector<PolicyRule> rules, std::vector<Quota> quotas = {},
                  std::vector<MappedUser> users = {})
      : rules_(std::move(rules)), quotas_(std::move(quotas)), users_(std::move(users)) {}

  Decision Decide(const PolicyRequest& request) const;
  // What each rule says of it, in their order: "" when it lets it through.
  struct Verdict {
    std::string rule;
    std::string why_not;
  };
  std::vector<Verdict> Explain(const PolicyRequest& request) const;
  // As in the file.
  const std::vector<PolicyRule>& rules() const { return rules_; }
  const std::vector<Quota>& quotas() const { return quotas_; }
  const std::vector<MappedUser>& users() const { return users_; }

 private:
  std::vector<PolicyRule> rules_;
  std::vector<Quota> quotas_;
  std::vector<MappedUser> users_;
};

}  // namespace interlink::auth

#endif  // INTERLINK_AUTH_POLICY_H_
