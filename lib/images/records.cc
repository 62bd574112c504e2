#include "images/records.h"

#include <functional>
#include <nlohmann/json.hpp>

namespace interlink::images {
namespace {

using nlohmann::json;

constexpr int kVersion = 1;

// Names of files are bytes; JSON takes UTF-8 only.
std::string HexOf(const std::string& bytes) {
  static constexpr std::string_view kHex = "0123456789abcdef";
  std::string out;
  for (const char c : bytes) {
    out += kHex[static_cast<unsigned char>(c) >> 4U];
    out += kHex[static_cast<unsigned char>(c) & 15U];
  }
  return out;
}

std::string FromHex(const std::string& hex) {
  std::string out;
  for (size_t i = 0; i + 1 < hex.size(); i += 2)
    out += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  return out;
}

Digest DigestFrom(const json& value) {
  auto digest = Digest::Parse(value.get<std::string>());
  if (!digest.ok()) throw std::invalid_argument(digest.status().message());
  return *digest;
}

// The library throws on fields that are missing or of another type; here that becomes a Status.
template <typename T>
Result<T> Read(std::string_view bytes, const std::function<T(const json&)>& read) {
  try {
    const json root = json::parse(bytes);
    const int version = root.at("version").get<int>();
    if (version != kVersion) {
      return FailedPrecondition("it is of version " + std::to_string(version) +
                                "; this program reads version 1");
    }
    return read(root);
  } catch (const std::exception& error) {
    return DataLoss(std::string("it is damaged: ") + error.what());
  }
}

std::string Write(json root) {
  root["version"] = kVersion;
  return root.dump(-1, ' ', true, json::error_handler_t::replace) + "\n";
}

}  // namespace

std::string ToJson(const StoredLayer& layer) {
  json implied = json::array();
  for (const ImpliedFolder& folder : layer.unpacked.implied) {
    implied.push_back({{"path_hex", HexOf(folder.path)},
                       {"mode", folder.meta.mode},
                       {"uid", folder.meta.uid},
                       {"gid", folder.meta.gid}});
  }
  return Write({{"number", layer.number},
                {"diff_id", layer.diff_id.str()},
                {"blobs", layer.blobs},
                {"bytes", layer.unpacked.bytes},
                {"entries", layer.unpacked.entries},
                {"root_opaque", layer.unpacked.root_opaque},
                {"implied", std::move(implied)}});
}

Result<StoredLayer> ParseLayer(std::string_view bytes) {
  return Read<StoredLayer>(bytes, [](const json& root) {
    StoredLayer out;
    out.number = root.at("number").get<uint64_t>();
    out.diff_id = DigestFrom(root.at("diff_id"));
    out.blobs = root.at("blobs").get<std::set<std::string>>();
    out.unpacked.bytes = root.at("bytes").get<uint64_t>();
    out.unpacked.entries = root.at("entries").get<uint64_t>();
    out.unpacked.root_opaque = root.at("root_opaque").get<bool>();
    for (const json& item : root.at("implied")) {
      ImpliedFolder folder;
      folder.path = FromHex(item.at("path_hex").get<std::string>());
      folder.meta.mode = item.at("mode").get<mode_t>();
      folder.meta.uid = item.at("uid").get<uid_t>();
      folder.meta.gid = item.at("gid").get<gid_t>();
      out.unpacked.implied.push_back(std::move(folder));
    }
    return out;
  });
}

std::string ToJson(const StoredImage& image) {
  return Write({{"id", image.id}, {"layers", image.layers}, {"size", image.size}});
}

Result<StoredImage> ParseImage(std::string_view bytes) {
  return Read<StoredImage>(bytes, [](const json& root) {
    return StoredImage{DigestFrom(root.at("id")).str(),
                       root.at("layers").get<std::vector<uint64_t>>(),
                       root.at("size").get<uint64_t>()};
  });
}

std::string ToJson(const NodeReference& reference) {
  return Write({{"node_hex", HexOf(reference.node)},
                {"image", reference.image},
                {"tags", reference.tags},
                {"digests", reference.digests}});
}

Result<NodeReference> ParseNodeReference(std::string_view bytes) {
  return Read<NodeReference>(bytes, [](const json& root) {
    return NodeReference{FromHex(root.at("node_hex").get<std::string>()),
                         DigestFrom(root.at("image")).str(),
                         root.at("tags").get<std::set<std::string>>(),
                         root.at("digests").get<std::set<std::string>>()};
  });
}

std::string ToJson(const StoredHold& hold) { return Write({{"image", hold.image}}); }

Result<StoredHold> ParseHold(std::string_view bytes) {
  return Read<StoredHold>(
      bytes, [](const json& root) { return StoredHold{DigestFrom(root.at("image")).str()}; });
}

}  // namespace interlink::images
