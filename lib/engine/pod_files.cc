#include "engine/pod_files.h"

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "engine/list_folder.h"

namespace interlink::engine {
namespace {

using nlohmann::json;

constexpr int kVersion = 1;

// Serialised messages are not text.
std::string Hex(const std::string& bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const char c : bytes) {
    text += kDigits[static_cast<unsigned char>(c) >> 4U];
    text += kDigits[static_cast<unsigned char>(c) & 15U];
  }
  return text;
}

std::string FromHex(const std::string& text) {
  const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  std::string bytes;
  bytes.reserve(text.size() / 2);
  for (size_t i = 0; i + 1 < text.size(); i += 2) {
    bytes += static_cast<char>(digit(text[i]) * 16 + digit(text[i + 1]));
  }
  return bytes;
}

json ToJson(const std::vector<HostPort>& ports) {
  json list = json::array();
  for (const HostPort& port : ports) {
    list.push_back({{"host_port", port.host_port},
                    {"container_port", port.container_port},
                    {"protocol", port.protocol},
                    {"host_ip", port.host_ip}});
  }
  return list;
}

std::vector<HostPort> PortsFrom(const json& list) {
  std::vector<HostPort> ports;
  for (const json& item : list) {
    ports.push_back(
        {item.at("host_port").get<uint16_t>(), item.at("container_port").get<uint16_t>(),
         item.at("protocol").get<std::string>(), item.at("host_ip").get<std::string>()});
  }
  return ports;
}

json ToJson(const PodRecord& record) {
  json value = {{"version", kVersion},
                {"id", record.id.str()},
                {"node", record.node.str()},
                {"handler", record.handler},
                {"config", Hex(record.config)},
                {"boot_id", record.boot_id},
                {"phase", static_cast<int>(record.phase)},
                {"message", record.message},
                {"started_ns", record.started_ns},
                {"finished_ns", record.finished_ns},
                {"own_network", record.own_network},
                {"shared_pid", record.shared_pid},
                {"own_ipc", record.own_ipc},
                {"conflist", record.conflist},
                {"ports", ToJson(record.ports)},
                {"cni_result", record.cni_result},
                {"ips", record.ips},
                {"cgroup", record.cgroup},
                {"init_cgroup", record.init_cgroup}};
  if (!record.users.empty()) {
    value["users"] = {{"host_id", record.users.host_id}, {"length", record.users.length}};
  }
  return value;
}

PodRecord PodFrom(const json& from) {
  PodRecord record;
  record.id = SandboxId(from.at("id").get<std::string>());
  record.node = NodeId(from.at("node").get<std::string>());
  record.handler = from.at("handler").get<std::string>();
  record.config = FromHex(from.at("config").get<std::string>());
  record.boot_id = from.at("boot_id").get<std::string>();
  record.phase = static_cast<PodPhase>(from.at("phase").get<int>());
  record.message = from.at("message").get<std::string>();
  record.started_ns = from.at("started_ns").get<int64_t>();
  record.finished_ns = from.at("finished_ns").get<int64_t>();
  record.own_network = from.at("own_network").get<bool>();
  record.shared_pid = from.at("shared_pid").get<bool>();
  record.own_ipc = from.at("own_ipc").get<bool>();
  if (const auto users = from.find("users"); users != from.end()) {
    record.users = {users->at("host_id").get<uint32_t>(), users->at("length").get<uint32_t>()};
  }
  record.conflist = from.at("conflist").get<std::string>();
  record.ports = PortsFrom(from.at("ports"));
  record.cni_result = from.at("cni_result").get<std::string>();
  record.ips = from.at("ips").get<std::vector<std::string>>();
  record.cgroup = from.at("cgroup").get<std::string>();
  record.init_cgroup = from.at("init_cgroup").get<std::string>();
  return record;
}

json ToJson(const ContainerRecord& record) {
  json value = {{"version", kVersion},
                {"id", record.id.str()},
                {"image_id", record.image_id},
                {"volume_images", record.volume_images},
                {"config", Hex(record.config)},
                {"resources", Hex(record.resources)},
                {"uid", record.user.uid},
                {"gid", record.user.gid},
                {"groups", record.user.groups},
                {"stop_signal", record.stop_signal},
                {"tty", record.tty},
                {"cgroup", record.cgroup},
                {"contents", record.contents}};
  if (record.end.is_set) {
    value["end"] = {{"exit_code", record.end.exit_code},
                    {"reason", record.end.reason},
                    {"message", record.end.message},
                    {"finished_ns", record.end.finished_ns}};
  }
  return value;
}

ContainerRecord ContainerFrom(const json& from) {
  ContainerRecord record;
  record.id = ContainerId(from.at("id").get<std::string>());
  record.image_id = from.at("image_id").get<std::string>();
  // Absent in records of builds without image volumes.
  if (const auto images = from.find("volume_images"); images != from.end()) {
    record.volume_images = images->get<std::map<std::string, std::string>>();
  }
  record.config = FromHex(from.at("config").get<std::string>());
  record.resources = FromHex(from.at("resources").get<std::string>());
  record.user.uid = from.at("uid").get<uint32_t>();
  record.user.gid = from.at("gid").get<uint32_t>();
  record.user.groups = from.at("groups").get<std::vector<uint32_t>>();
  record.stop_signal = from.at("stop_signal").get<int>();
  record.tty = from.at("tty").get<bool>();
  record.cgroup = from.at("cgroup").get<std::string>();
  // Absent in records of builds that did not exchange them.
  if (const auto contents = from.find("contents"); contents != from.end()) {
    record.contents = contents->get<std::map<std::string, std::string>>();
  }
  if (const auto end = from.find("end"); end != from.end()) {
    record.end = {true, end->at("exit_code").get<int>(), end->at("reason").get<std::string>(),
                  end->at("message").get<std::string>(), end->at("finished_ns").get<int64_t>()};
  }
  return record;
}

template <typename Parse>
auto Load(const std::string& path, Parse parse) -> Result<decltype(parse(json()))> {
  ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path));
  try {
    const json value = json::parse(bytes);
    if (value.at("version").get<int>() != kVersion) {
      return DataLoss("\"" + path + "\" is of an unknown version");
    }
    return parse(value);
  } catch (const json::exception& error) {
    return DataLoss("\"" + path + "\": " + error.what());
  }
}

// Words of runtimes and plugins may hold any bytes.
std::string RecordBytes(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace

Status Save(const PodFolder& folder, const PodRecord& record) {
  return WriteFileAtomically(folder.RecordFile(), RecordBytes(ToJson(record)), 0600);
}

Status Save(const PodFolder& folder, const ContainerRecord& record) {
  return WriteFileAtomically(folder.ContainerFile(record.id), RecordBytes(ToJson(record)), 0600);
}

Result<PodRecord> LoadPod(const PodFolder& folder) { return Load(folder.RecordFile(), PodFrom); }

Result<ContainerRecord> LoadContainer(const PodFolder& folder, const ContainerId& id) {
  return Load(folder.ContainerFile(id), ContainerFrom);
}

Result<std::vector<std::string>> FullIdsIn(const std::string& folder) {
  auto names = ListFolder(folder);
  if (names.status().code() == Code::kNotFound) return std::vector<std::string>();
  if (!names.ok()) return Unavailable(names.status().message());
  std::erase_if(*names, [](const std::string& name) { return !IsFullId(name); });
  return names;
}

Result<std::string> BootId() {
  ASSIGN_OR_RETURN(std::string id, ReadFile("/proc/sys/kernel/random/boot_id", 64));
  while (!id.empty() && id.back() == '\n') id.pop_back();
  return id;
}

}  // namespace interlink::engine
