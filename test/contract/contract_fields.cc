// Never accept and ignore (DESIGN 7): each field of the configs is set alone, and must be either in
// one list of the backend or refused by its path.
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <memory>
#include <stdexcept>

#include "contract/config_text.h"
#include "contract/contract_lab.h"
#include "site/field_walk.h"

namespace interlink::contract {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using Chain = std::vector<const FieldDescriptor*>;

std::string PathOf(const Chain& chain) {
  std::string path;
  for (const FieldDescriptor* field : chain) path += (path.empty() ? "" : ".") + field->name();
  return path;
}

// Everything that is not a message to descend into: scalars, lists of them, and maps.
void CollectLeaves(const Descriptor& type, const Chain& above, std::vector<Chain>& leaves) {
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor* field = type.field(i);
    Chain chain = above;
    chain.push_back(field);
    if (field->is_map() || field->message_type() == nullptr) {
      leaves.push_back(std::move(chain));
      continue;
    }
    const bool recursive = std::any_of(above.begin(), above.end(), [&](const FieldDescriptor* up) {
      return up->message_type() == field->message_type();
    });
    if (!recursive) CollectLeaves(*field->message_type(), chain, leaves);
  }
}

void SetScalar(Message& message, const FieldDescriptor* field) {
  const auto* reflection = message.GetReflection();
#define SET(Kind, value)                                                 \
  field->is_repeated() ? reflection->Add##Kind(&message, field, (value)) \
                       : reflection->Set##Kind(&message, field, (value))
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      SET(String, "x");
      return;
    case FieldDescriptor::CPPTYPE_BOOL:
      SET(Bool, true);
      return;
    case FieldDescriptor::CPPTYPE_ENUM:
      SET(EnumValue, field->enum_type()->value(1)->number());
      return;
    case FieldDescriptor::CPPTYPE_INT32:
      SET(Int32, 1);
      return;
    case FieldDescriptor::CPPTYPE_UINT32:
      SET(UInt32, 1);
      return;
    case FieldDescriptor::CPPTYPE_INT64:
      SET(Int64, 1);
      return;
    case FieldDescriptor::CPPTYPE_UINT64:
      SET(UInt64, 1);
      return;
    default:
      throw std::logic_error("no rule for the type of " + field->full_name());
  }
#undef SET
}

std::unique_ptr<Message> WithOnly(const Message& prototype, const Chain& chain) {
  std::unique_ptr<Message> config(prototype.New());
  Message* message = config.get();
  for (const FieldDescriptor* field : chain) {
    const auto* reflection = message->GetReflection();
    if (field->message_type() == nullptr) {
      SetScalar(*message, field);
    } else if (field->is_map()) {
      // A message as value would need a descent of its own: SetScalar says so.
      Message* entry = reflection->AddMessage(message, field);
      SetScalar(*entry, field->message_type()->map_key());
      SetScalar(*entry, field->message_type()->map_value());
    } else {
      message = field->is_repeated() ? reflection->AddMessage(message, field)
                                     : reflection->MutableMessage(message, field);
    }
  }
  return config;
}

bool IsWithin(const std::string& path, const std::string& entry) {
  return path == entry || path.rfind(entry + ".", 0) == 0;
}

bool IsListed(const std::vector<std::string>& list, const std::string& path) {
  return std::any_of(list.begin(), list.end(),
                     [&](const std::string& entry) { return IsWithin(path, entry); });
}

bool IsField(const Descriptor& root, const std::string& path) {
  const Descriptor* type = &root;
  size_t begin = 0;
  while (begin <= path.size()) {
    const size_t end = std::min(path.find('.', begin), path.size());
    const FieldDescriptor* field =
        type == nullptr ? nullptr : type->FindFieldByName(path.substr(begin, end - begin));
    if (field == nullptr) return false;
    type = field->is_map() ? nullptr : field->message_type();
    begin = end + 1;
  }
  return true;
}

struct Kind {
  const Message& prototype;
  const sdk::FieldLists& lists;
  std::vector<Chain> leaves;
};

std::vector<Kind> Kinds(const sdk::Description& description) {
  std::vector<Kind> kinds = {
      {runtime::v1::PodSandboxConfig::default_instance(), description.sandbox, {}},
      {runtime::v1::ContainerConfig::default_instance(), description.container, {}}};
  for (Kind& kind : kinds) CollectLeaves(*kind.prototype.GetDescriptor(), {}, kind.leaves);
  return kinds;
}

std::vector<std::string> NearMisses(const std::string& path) {
  std::vector<std::string> near = {
      "", ".", path + "x", path + ".", path + ".x", "x." + path, path.substr(0, path.size() - 1)};
  for (size_t dot = path.find('.'); dot != std::string::npos; dot = path.find('.', dot + 1)) {
    near.push_back(path.substr(0, dot + 1));
    near.push_back(path.substr(0, dot) + "x");
    near.push_back(path.substr(0, dot - 1));
  }
  return near;
}

}  // namespace

TEST_CASE("The leaves of the configs are found down to the deepest") {
  ContractLab lab;
  const auto kinds = Kinds(lab.backend().Describe());
  const auto has = [](const Kind& kind, const std::string& path) {
    return std::any_of(kind.leaves.begin(), kind.leaves.end(),
                       [&](const Chain& chain) { return PathOf(chain) == path; });
  };

  CHECK(has(kinds[0], "metadata.name"));
  CHECK(has(kinds[0], "linux.sysctls"));
  CHECK(has(kinds[0], "linux.security_context.namespace_options.userns_options.uids.host_id"));
  CHECK(has(kinds[1], "mounts.image.annotations"));
  CHECK(has(kinds[1], "CDI_devices.name"));
  CHECK(has(kinds[1], "windows.resources.affinity_cpus.cpu_mask"));
}

TEST_CASE("Each field is in one list of the backend, or refused by its path") {
  ContractLab lab;
  for (const Kind& kind : Kinds(lab.backend().Describe())) {
    for (const Chain& chain : kind.leaves) {
      const std::string path = PathOf(chain);
      const auto config = WithOnly(kind.prototype, chain);

      const Status walked = site::RefuseUnsupported(*config, kind.lists, lab.subject().handler());

      INFO(kind.prototype.GetTypeName() << " " << path << ": " << walked.ToString());
      const int lists = int{IsListed(kind.lists.honoured, path)} +
                        int{IsListed(kind.lists.bounded, path)} +
                        int{IsListed(kind.lists.advisory, path)};
      CHECK(lists <= 1);
      CHECK(walked.ok() == (lists == 1));
      if (walked.ok()) continue;
      CHECK(walked.code() == Code::kUnimplemented);
      CHECK_THAT(walked.message(), Catch::Contains("\"" + path + "\""));
    }
  }
}

TEST_CASE("Each path that a backend lists is a field, and none covers another") {
  ContractLab lab;
  for (const Kind& kind : Kinds(lab.backend().Describe())) {
    std::vector<std::string> entries = kind.lists.honoured;
    entries.insert(entries.end(), kind.lists.bounded.begin(), kind.lists.bounded.end());
    entries.insert(entries.end(), kind.lists.advisory.begin(), kind.lists.advisory.end());
    REQUIRE_FALSE(entries.empty());
    for (size_t i = 0; i < entries.size(); ++i) {
      INFO(kind.prototype.GetTypeName() << " " << entries[i]);
      CHECK(IsField(*kind.prototype.GetDescriptor(), entries[i]));
      for (size_t j = 0; j < entries.size(); ++j) {
        if (i != j && IsWithin(entries[i], entries[j])) FAIL_CHECK("also in: " << entries[j]);
      }
    }
  }
}

TEST_CASE("A path that only looks like a field's does not let it through") {
  ContractLab lab;
  for (const Kind& kind : Kinds(lab.backend().Describe())) {
    for (const Chain& chain : kind.leaves) {
      const std::string path = PathOf(chain);
      const sdk::FieldLists near = {NearMisses(path), NearMisses(path), NearMisses(path)};

      const Status walked = site::RefuseUnsupported(*WithOnly(kind.prototype, chain), near, "h");

      INFO(path);
      CHECK(walked.code() == Code::kUnimplemented);
    }
  }
}

TEST_CASE("What kubelet sends with every pod is accepted") {
  ContractLab lab;
  const auto pod = FromText<runtime::v1::PodSandboxConfig>(R"(
    metadata { name: "p" uid: "u" namespace: "default" attempt: 1 } hostname: "p" log_directory: "/l"
    dns_config { servers: "10.0.0.1" searches: "cluster.local" options: "ndots:5" }
    port_mappings { container_port: 80 }
    labels { key: "a" value: "b" } annotations { key: "a" value: "b" }
    linux {
      cgroup_parent: "/kubepods/burstable/podu"
      security_context {
        namespace_options { pid: CONTAINER userns_options { mode: NODE } }
        run_as_user { value: 0 } run_as_group { value: 0 } supplemental_groups: 1
        seccomp { profile_type: RuntimeDefault }
      }
      sysctls { key: "kernel.shm_rmid_forced" value: "1" }
      overhead {} resources { cpu_period: 100000 cpu_quota: 1000 cpu_shares: 2 memory_limit_in_bytes: 1 }
    })");
  const auto container = FromText<runtime::v1::ContainerConfig>(R"(
    metadata { name: "c" attempt: 1 } image { image: "sha256:1" user_specified_image: "i" }
    command: "sh" args: "-c" working_dir: "/" envs { key: "A" value: "B" }
    mounts { container_path: "/etc/hosts" host_path: "/h" readonly: true selinux_relabel: true }
    labels { key: "a" value: "b" } annotations { key: "a" value: "b" } log_path: "c/1.log"
    stdin: true stdin_once: true tty: true stop_signal: SIGNAL_SIGTERM
    linux {
      resources {
        cpu_period: 100000 cpu_quota: 1000 cpu_shares: 2 memory_limit_in_bytes: 1 oom_score_adj: 1000
        hugepage_limits { page_size: "2MB" } memory_swap_limit_in_bytes: 1
      }
      security_context {
        capabilities { drop_capabilities: "ALL" }
        namespace_options { pid: CONTAINER userns_options { mode: NODE } }
        run_as_user { value: 0 } run_as_group { value: 0 } readonly_rootfs: true
        supplemental_groups: 1 no_new_privs: true masked_paths: "/proc/kcore" readonly_paths: "/proc/sys"
        seccomp { profile_type: RuntimeDefault }
      }
    })");
  const sdk::Description& described = lab.backend().Describe();

  CHECK(site::RefuseUnsupported(pod, described.sandbox, "h").ToString() == "OK");
  CHECK(site::RefuseUnsupported(container, described.container, "h").ToString() == "OK");
}

}  // namespace interlink::contract
