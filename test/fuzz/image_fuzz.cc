// What a registry answers: manifests, configs, challenges, tokens; and names as a pod writes them.
// Input: a first line as a media type, name and header, then the bytes.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "images/challenge.h"
#include "images/image_config.h"
#include "images/layer_path.h"
#include "images/manifest.h"
#include "images/reference.h"

namespace interlink::images {
namespace {

void TakeLine(std::string_view line) {
  static_cast<void>(ParseChallenges(line));
  const auto reference = ParseReference(line);
  if (reference.ok()) {
    const auto again = ParseReference(reference->ToString());
    if (!again.ok() || again->ToString() != reference->ToString()) abort();
  }
  const auto path = EntryPath(line);
  if (path.ok() &&
      (path->starts_with('/') || ("/" + *path + "/").find("/../") != std::string::npos))
    abort();
  if (path.ok()) static_cast<void>(ParseWhiteout(*path));
}

void TakeBytes(std::string_view type, std::string_view bytes) {
  const auto manifest = ParseManifest(bytes, type);
  if (manifest.ok() && std::holds_alternative<ManifestIndex>(*manifest))
    static_cast<void>(ChoosePlatform(std::get<ManifestIndex>(*manifest), {"linux", "amd64"}));
  const auto config = ParseImageConfig(bytes);
  if (config.ok()) static_cast<void>(ChainId(config->diff_ids));
  static_cast<void>(ParseTokenAnswer(bytes));
}

}  // namespace
}  // namespace interlink::images

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(bytes), size);
  const size_t end = input.find('\n');
  interlink::images::TakeLine(input.substr(0, end));
  if (end != std::string_view::npos)
    interlink::images::TakeBytes(input.substr(0, end), input.substr(end + 1));
  return 0;
}
