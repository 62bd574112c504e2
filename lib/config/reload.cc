#include "config/reload.h"

namespace interlink::config {
namespace {

std::string TextOf(const Key& key) {
  if (key.identity) return key.identity();
  return key.show ? key.show() : "";
}

std::string Joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

}  // namespace

std::vector<std::string> ChangedKeys(const Keys& before, const Keys& after) {
  std::vector<std::string> changed;
  for (size_t i = 0; i < before.size() && i < after.size(); ++i) {
    if (TextOf(before[i]) != TextOf(after[i])) changed.push_back(before[i].path);
  }
  return changed;
}

std::string ReloadText(const std::vector<ReloadedPart>& parts, const std::vector<std::string>& live,
                       const std::vector<std::string>& at_restart) {
  std::vector<std::string> names;
  names.reserve(parts.size());
  for (const ReloadedPart& part : parts) names.push_back(part.name);
  std::string text = names.empty() ? "" : "read again: " + Joined(names) + "\n";
  if (live.empty() && at_restart.empty()) text += "the configuration has not changed\n";
  if (!live.empty()) text += "in force now: " + Joined(live) + "\n";
  if (!at_restart.empty())
    text += "at the next restart, which ends nothing that runs: " + Joined(at_restart) + "\n";
  return text;
}

}  // namespace interlink::config
