#include "site/gpus.h"

#include <algorithm>
#include <charconv>
#include <string_view>

#include "slurm_wishes/wishes.h"

namespace interlink::site {
namespace {

constexpr std::string_view kCdiClass = "/gpu=";

// Nothing: it is no number.
bool ReadNumber(std::string_view text, uint64_t* number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *number);
  return error == std::errc() && end == text.data() + text.size() && !text.empty();
}

// "4", "a100:4", "a100", and lists of them by commas. What is none of these is one at least.
uint64_t CountIn(std::string_view list) {
  uint64_t sum = 0;
  while (!list.empty()) {
    const size_t comma = std::min(list.find(','), list.size());
    const std::string_view item = list.substr(0, comma);
    uint64_t number = 0;
    const size_t colon = item.rfind(':');
    if (!ReadNumber(colon == std::string_view::npos ? item : item.substr(colon + 1), &number))
      number = 1;
    sum += std::min(number, kAllGpus);
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return std::min(sum, kAllGpus);
}

uint64_t CountOfCdi(std::string_view device) {
  const size_t at = device.find(kCdiClass);
  if (at == std::string_view::npos) return 0;
  return device.substr(at + kCdiClass.size()) == "all" ? kAllGpus : 1;
}

bool IsGpuPath(std::string_view path) {
  uint64_t number = 0;
  for (const std::string_view prefix : {"/dev/nvidia", "/dev/dri/renderD"}) {
    if (path.starts_with(prefix) && ReadNumber(path.substr(prefix.size()), &number)) return true;
  }
  return false;
}

}  // namespace

uint64_t GpusAskedBy(const interlink::v1::RunSandboxRequest& request) {
  const auto& node = request.plugin_config();
  const auto& annotations = request.config().annotations();
  const auto wishes = slurm_wishes::WishesInForce({node.begin(), node.end()},
                                                  {annotations.begin(), annotations.end()});
  if (!wishes.ok()) return 0;
  const auto gpus = wishes->find("gpus");
  return gpus == wishes->end() ? 0 : CountIn(gpus->second);
}

uint64_t GpusAskedBy(const interlink::v1::CreateContainerRequest& request) {
  uint64_t by_name = 0;
  uint64_t by_path = 0;
  for (const auto& device : request.config().cdi_devices()) by_name += CountOfCdi(device.name());
  for (const auto& device : request.config().devices())
    by_path += IsGpuPath(device.host_path()) ? 1 : 0;
  return std::min(by_name + by_path, kAllGpus);
}

}  // namespace interlink::site
