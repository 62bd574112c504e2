#include "kubelet_volumes/service_account.h"

#include <nlohmann/json.hpp>

#include "base/base64url.h"

namespace interlink::kubelet_volumes {
namespace {

using nlohmann::json;

constexpr size_t kLongestName = 253;

// A text at the end of a path of objects; empty: there is none.
std::string TextAt(const json& value, std::initializer_list<const char*> path) {
  const json* at = &value;
  for (const char* key : path) {
    if (!at->is_object()) return "";
    const auto found = at->find(key);
    if (found == at->end()) return "";
    at = &*found;
  }
  return at->is_string() ? at->get<std::string>() : "";
}

}  // namespace

std::string ServiceAccountIn(std::string_view token, const PodOfToken& pod) {
  const size_t first = token.find('.');
  const size_t second = first == std::string_view::npos ? first : token.find('.', first + 1);
  if (second == std::string_view::npos) return "";
  const auto payload = DecodeBase64Url(token.substr(first + 1, second - first - 1));
  if (!payload.ok()) return "";
  const json claims = json::parse(*payload, nullptr, false);
  if (TextAt(claims, {"kubernetes.io", "pod", "uid"}) != pod.uid ||
      TextAt(claims, {"kubernetes.io", "namespace"}) != pod.pod_namespace) {
    return "";
  }
  const std::string name = TextAt(claims, {"kubernetes.io", "serviceaccount", "name"});
  return name.size() <= kLongestName ? name : "";
}

}  // namespace interlink::kubelet_volumes
