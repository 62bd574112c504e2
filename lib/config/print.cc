#include "config/print.h"

#include <algorithm>

namespace interlink::config {
namespace {

constexpr size_t kWidth = 100;

// `text` in lines of at most kWidth, each with `lead` in front.
std::string Wrapped(const std::string& text, const std::string& lead) {
  std::string out;
  std::string line = lead;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find(' ', begin), text.size());
    const std::string word = text.substr(begin, end - begin);
    if (line.size() + 1 + word.size() > kWidth && line.size() > lead.size()) {
      out += line + "\n";
      line = lead;
    }
    line += " " + word;
    begin = end + 1;
  }
  return out + line + "\n";
}

// "Auth.OIDC.Issuer" -> "Auth", "OIDC".
std::vector<std::string> Sections(const std::string& path) {
  std::vector<std::string> sections;
  size_t begin = 0;
  for (size_t dot = path.find('.'); dot != std::string::npos; dot = path.find('.', begin)) {
    sections.push_back(path.substr(begin, dot - begin));
    begin = dot + 1;
  }
  return sections;
}

std::string Name(const std::string& path) { return path.substr(path.rfind('.') + 1); }

std::string Default(const Key& key) { return key.show ? key.show() : ""; }

// What a key means and takes.
std::string Meaning(const Key& key) {
  return key.takes == "a text" ? key.doc : key.doc + " Takes " + key.takes + ".";
}

// Comment lines about the keys of a list's items. `lead` begins each line.
std::string PrintItems(const Keys& keys, const std::string& lead) {
  std::string out;
  for (const Key& key : keys) {
    out += Wrapped(key.path + ": " + Meaning(key), lead);
    if (key.item_keys) out += PrintItems(key.item_keys(), lead + "  ");
  }
  return out;
}

std::string PrintKey(const Key& key, const std::string& indent) {
  std::string out = Wrapped(Meaning(key), indent + "#");
  if (key.item_keys) out += PrintItems(key.item_keys(), indent + "#  ");
  const std::string value = Default(key);
  const bool empty = value.empty() || value == "[]" || value == "{}";
  if (!empty) return out + indent + Name(key.path) + ": " + value + "\n";
  if (key.example.find('\n') == std::string::npos)
    return out + indent + "#" + Name(key.path) + ": " + key.example + "\n";
  out += indent + "#" + Name(key.path) + ":\n";
  for (size_t begin = 0; begin < key.example.size();) {
    const size_t end = std::min(key.example.find('\n', begin), key.example.size());
    out += indent + "#" + key.example.substr(begin, end - begin) + "\n";
    begin = end + 1;
  }
  return out;
}

// A '|' would end the cell.
std::string Cell(const std::string& text) {
  std::string cell;
  for (const char c : text) {
    if (c == '|') cell += '\\';
    cell += c;
  }
  return cell;
}

std::string TableHead() { return "| key | takes | default | meaning |\n|---|---|---|---|\n"; }

std::string TableRow(const Key& key) {
  const std::string value = Default(key);
  return "| `" + key.path + "` | " + Cell(key.takes) + " | " +
         (value.empty() || value == "[]" || value == "{}" ? "none" : "`" + Cell(value) + "`") +
         " | " + Cell(key.doc) + " |\n";
}

// The table of `keys`, then those of lists below it.
std::string Tables(const Keys& keys, const std::string& heading) {
  std::string out = "## " + heading + "\n\n" + TableHead();
  std::string below;
  for (const Key& key : keys) {
    out += TableRow(key);
    if (key.item_keys) below += Tables(key.item_keys(), "Each of `" + key.path + "`");
  }
  return out + "\n" + below;
}

}  // namespace

std::string PrintYaml(const Keys& keys, const std::string& title) {
  std::string out = "# " + title + "\n";
  std::vector<std::string> open;  // the sections that the last key is in
  for (const Key& key : keys) {
    out += "\n";
    std::vector<std::string> sections = Sections(key.path);
    size_t depth = 0;
    while (depth < open.size() && depth < sections.size() && open[depth] == sections[depth])
      ++depth;
    for (; depth < sections.size(); ++depth)
      out += std::string(2 * depth, ' ') + sections[depth] + ":\n";
    out += PrintKey(key, std::string(2 * sections.size(), ' '));
    open = std::move(sections);
  }
  return out;
}

std::string PrintReference(const Keys& keys, const std::string& title) {
  return "# " + title + "\n\n" + Tables(keys, "Keys");
}

}  // namespace interlink::config
