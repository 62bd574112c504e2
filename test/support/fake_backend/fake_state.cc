#include "support/fake_backend/fake_state.h"

#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/file.h"

namespace interlink::fake {
namespace {

using nlohmann::json;
using State = sdk::Observation::State;

std::string Hex(const std::string& bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const char c : bytes) {
    text += kDigits[static_cast<unsigned char>(c) >> 4U];
    text += kDigits[static_cast<unsigned char>(c) & 15U];
  }
  return text;
}

std::string FromHex(const std::string& text) {
  std::string bytes;
  for (size_t i = 0; i + 1 < text.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(text.substr(i, 2), nullptr, 16));
  }
  return bytes;
}

json ToJson(const sdk::Observation& fact) {
  return {{"node", fact.node.str()},           {"sandbox", fact.sandbox.str()},
          {"container", fact.container.str()}, {"state", static_cast<int>(fact.state)},
          {"revision", fact.revision},         {"exit_code", fact.exit_code},
          {"log_end", fact.log_end},           {"started_ns", fact.started_ns},
          {"finished_ns", fact.finished_ns},   {"reason", fact.reason},
          {"message", fact.message},           {"ips", fact.ips},
          {"handler", fact.handler},           {"image_id", fact.image_id},
          {"config", Hex(fact.config)},        {"volume_images", fact.volume_images}};
}

sdk::Observation FactFrom(const json& from) {
  sdk::Observation fact;
  fact.node = NodeId(from.at("node").get<std::string>());
  fact.sandbox = SandboxId(from.at("sandbox").get<std::string>());
  fact.container = ContainerId(from.at("container").get<std::string>());
  fact.state = static_cast<State>(from.at("state").get<int>());
  fact.revision = from.at("revision").get<uint64_t>();
  fact.exit_code = from.at("exit_code").get<int>();
  fact.log_end = from.at("log_end").get<uint64_t>();
  fact.started_ns = from.at("started_ns").get<int64_t>();
  fact.finished_ns = from.at("finished_ns").get<int64_t>();
  fact.reason = from.at("reason").get<std::string>();
  fact.message = from.at("message").get<std::string>();
  fact.ips = from.at("ips").get<std::vector<std::string>>();
  fact.handler = from.at("handler").get<std::string>();
  fact.image_id = from.at("image_id").get<std::string>();
  fact.config = FromHex(from.at("config").get<std::string>());
  fact.volume_images = from.at("volume_images").get<std::map<std::string, std::string>>();
  return fact;
}

Result<FakeSandbox> SandboxFrom(const std::string& bytes) {
  FakeSandbox sandbox;
  try {
    const json item = json::parse(bytes);
    sandbox.fact = FactFrom(item.at("fact"));
    for (const json& inner : item.at("containers")) {
      FakeContainer container;
      container.fact = FactFrom(inner.at("fact"));
      container.command = inner.at("command").get<std::vector<std::string>>();
      container.log = FromHex(inner.at("log").get<std::string>());
      const std::string id = container.fact.container.str();
      sandbox.containers.emplace(id, std::move(container));
    }
  } catch (const std::exception& error) {
    return DataLoss(error.what());
  }
  return sandbox;
}

}  // namespace

Result<FakeState> FakeState::Load(const std::string& folder) {
  RETURN_IF_ERROR(MakeDirectories(folder, 0700));
  FakeState state;
  std::error_code error;
  for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error)) {
    if (it->path().extension() != ".json") continue;
    ASSIGN_OR_RETURN(const std::string bytes, ReadFile(it->path().string()));
    auto sandbox = SandboxFrom(bytes);
    if (!sandbox.ok()) return sandbox.status().WithContext("\"" + it->path().string() + "\"");
    const std::string id = sandbox->fact.sandbox.str();
    state.sandboxes.emplace(id, *std::move(sandbox));
  }
  if (error) return ErrnoStatus(error.value(), "list \"" + folder + "\"");
  return state;
}

Status FakeState::Save(const std::string& folder, const std::string& sandbox) const {
  const std::string path = folder + "/" + sandbox + ".json";
  const auto found = sandboxes.find(sandbox);
  if (found == sandboxes.end()) {
    if (::unlink(path.c_str()) != 0 && errno != ENOENT)
      return ErrnoStatus(errno, "remove \"" + path + "\"");
    return {};
  }
  json containers = json::array();
  for (const auto& [name, container] : found->second.containers) {
    containers.push_back({{"fact", ToJson(container.fact)},
                          {"command", container.command},
                          {"log", Hex(container.log)}});
  }
  const json all = {{"fact", ToJson(found->second.fact)}, {"containers", containers}};
  return WriteFileAtomically(path, all.dump(), 0600);
}

}  // namespace interlink::fake
