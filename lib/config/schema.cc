#include "config/schema.h"

#include <algorithm>
#include <set>
#include <string_view>

namespace interlink::config {
namespace {

std::string LastComponent(const std::string& path) { return path.substr(path.rfind('.') + 1); }

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// Edit distance; letters that differ only in case cost nothing, so that the right word wins.
size_t Distance(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (Lower(a[i - 1]) == Lower(b[j - 1]) ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

// By its last component first: a key in the wrong section is the most common mistake.
std::string Nearest(const std::string& path, const std::set<std::string>& known) {
  std::string best;
  size_t best_distance = SIZE_MAX;
  for (const std::string& candidate : known) {
    const size_t distance =
        4 * Distance(LastComponent(path), LastComponent(candidate)) + Distance(path, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

// Walks one map against the table.
class KeyReader {
 public:
  KeyReader(const Keys& keys, const std::string& prefix, Sources* sources)
      : prefix_(prefix), sources_(sources) {
    for (const Key& key : keys) {
      keys_[key.path] = &key;
      names_.insert(key.path);
      for (size_t dot = key.path.find('.'); dot != std::string::npos;
           dot = key.path.find('.', dot + 1))
        sections_.insert(key.path.substr(0, dot));
    }
    names_.insert(sections_.begin(), sections_.end());
  }

  Status Read(const Value& map, const std::string& section) {
    for (const Member& member : map.members) {
      const std::string path = section + member.key;
      if (const auto it = keys_.find(path); it != keys_.end()) {
        RETURN_IF_ERROR(ReadOne(*it->second, member));
      } else if (sections_.contains(path)) {
        if (member.value.kind == Value::Kind::kNull) continue;  // a section whose keys are comments
        if (member.value.kind != Value::Kind::kMap)
          return Refuse(member, path, "must be a section: a map of keys and values");
        RETURN_IF_ERROR(Read(member.value, path + "."));
      } else {
        return InvalidArgument(member.where + ": unknown key \"" + prefix_ + path +
                               "\", the nearest known key is \"" + prefix_ + Nearest(path, names_) +
                               "\"");
      }
    }
    return {};
  }

 private:
  Status Refuse(const Member& member, const std::string& path, const std::string& text) const {
    return InvalidArgument(member.where + ": " + prefix_ + path + " " + text);
  }

  Status ReadOne(const Key& key, const Member& member) {
    if (member.value.kind == Value::Kind::kNull)
      return Refuse(member, key.path, "must be " + key.takes + ", it is empty");
    RETURN_IF_ERROR(key.read(member.value, prefix_ + key.path));
    if (sources_ != nullptr) (*sources_)[key.path] = member.where;
    return {};
  }

  std::map<std::string, const Key*> keys_;
  std::set<std::string> sections_;
  std::set<std::string> names_;
  const std::string& prefix_;
  Sources* sources_;
};

}  // namespace

Status ReadKeys(const Value& map, const Keys& keys, const std::string& prefix, Sources* sources) {
  return KeyReader(keys, prefix, sources).Read(map, "");
}

Status RefuseKey(const Sources& sources, const std::string& file, const std::string& path,
                 const std::string& text) {
  const auto it = sources.find(path);
  return InvalidArgument((it == sources.end() ? file : it->second) + ": " + path + " " + text);
}

}  // namespace interlink::config
