#include "images/image_config.h"

#include <charconv>
#include <nlohmann/json.hpp>

#include "images/json.h"
#include "images/manifest.h"

namespace interlink::images {
namespace {

using nlohmann::json;

Status ParseRun(const json& run, sdk::ImageConfig& out) {
  ASSIGN_OR_RETURN(out.user, TextField(run, "User", "config"));
  ASSIGN_OR_RETURN(out.env, TextListField(run, "Env", "config"));
  ASSIGN_OR_RETURN(out.entrypoint, TextListField(run, "Entrypoint", "config"));
  ASSIGN_OR_RETURN(out.cmd, TextListField(run, "Cmd", "config"));
  ASSIGN_OR_RETURN(out.working_dir, TextField(run, "WorkingDir", "config"));
  ASSIGN_OR_RETURN(out.stop_signal, TextField(run, "StopSignal", "config"));
  const auto volumes = run.find("Volumes");
  if (volumes != run.end() && !volumes->is_null()) {
    if (!volumes->is_object()) return InvalidArgument("\"config.Volumes\" is not an object");
    for (const auto& item : volumes->items()) {
      if (item.key().find('\0') != std::string::npos)
        return InvalidArgument("\"config.Volumes\" holds a NUL");
      out.volumes.push_back(item.key());
    }
  }
  return {};
}

}  // namespace

Result<ParsedConfig> ParseImageConfig(std::string_view bytes) {
  if (bytes.size() > kMaxConfigBytes) return InvalidArgument("the config is larger than 4 MiB");
  ASSIGN_OR_RETURN(const json root, ParseObject(bytes, "the config"));
  ParsedConfig out;
  ASSIGN_OR_RETURN(out.platform.os, TextField(root, "os", ""));
  ASSIGN_OR_RETURN(out.platform.architecture, TextField(root, "architecture", ""));
  ASSIGN_OR_RETURN(out.platform.variant, TextField(root, "variant", ""));
  const auto run = root.find("config");
  if (run != root.end() && !run->is_null()) {
    if (!run->is_object()) return InvalidArgument("\"config\" is not an object");
    RETURN_IF_ERROR(ParseRun(*run, out.config));
  }
  const auto rootfs = root.find("rootfs");
  if (rootfs == root.end() || !rootfs->is_object())
    return InvalidArgument("\"rootfs\" is not an object");
  ASSIGN_OR_RETURN(const std::string type, TextField(*rootfs, "type", "rootfs"));
  if (type != "layers") return InvalidArgument("\"rootfs.type\" is not \"layers\"");
  ASSIGN_OR_RETURN(const auto ids, TextListField(*rootfs, "diff_ids", "rootfs"));
  if (ids.size() > kMaxLayers) return InvalidArgument("\"rootfs.diff_ids\" has too many entries");
  for (const std::string& id : ids) {
    auto digest = Digest::Parse(id);
    if (!digest.ok()) return digest.status().WithContext("\"rootfs.diff_ids\"");
    out.diff_ids.push_back(*digest);
  }
  return out;
}

std::string ChainId(const std::vector<Digest>& diff_ids) {
  if (diff_ids.empty()) return "";
  std::string chain = diff_ids.front().str();
  for (size_t i = 1; i < diff_ids.size(); ++i)
    chain = Digest::Of(chain + " " + diff_ids[i].str()).str();
  return chain;
}

std::string VerboseInfo(std::string_view bytes, const std::vector<Digest>& diff_ids) {
  return R"({"chainID":")" + ChainId(diff_ids) + R"(","imageSpec":)" + std::string(bytes) + "}";
}

void SetUser(const std::string& user, runtime::v1::Image& image) {
  const std::string name = user.substr(0, user.find(':'));
  if (name.empty()) return;
  int64_t uid = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), uid);
  if (error == std::errc() && end == name.data() + name.size() && uid >= 0)
    image.mutable_uid()->set_value(uid);
  else
    image.set_username(name);
}

}  // namespace interlink::images
