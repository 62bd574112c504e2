#include "config/document.h"

#include <yaml-cpp/anchor.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <filesystem>
#include <sstream>
#include <system_error>
#include <utility>

#include "base/file.h"

namespace interlink::config {
namespace {

constexpr size_t kMaxFile = 1U << 20U;
constexpr size_t kMaxDepth = 32;

// Thrown by the handler through yaml-cpp, caught in ParseDocument.
struct Refusal {
  int line;  // from 1
  std::string text;
};

// Builds the tree from yaml-cpp's events; its own Node loses duplicates and aliases.
class TreeBuilder final : public YAML::EventHandler {
 public:
  TreeBuilder(const std::string& text, const std::string& file) : text_(text), file_(file) {}

  Value Take() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (documents_++ > 0) throw Refusal{mark.line + 1, "a second document: only one is taken"};
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    RefuseAnchor(mark, anchor);
    if (AtKey()) throw Refusal{mark.line + 1, "a key must be a text, it is empty"};
    Place(NewValue(Value::Kind::kNull, mark));
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t /*anchor*/) override {
    throw Refusal{mark.line + 1, "aliases (*name) are not taken: write the value out"};
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& text) override {
    RefuseAnchor(mark, anchor);
    RefuseTag(mark, tag);
    RefuseOpenQuote(mark);
    if (AtKey()) return OnKey(mark, text);
    Value value = NewValue(Value::Kind::kScalar, mark);
    value.scalar = text;
    value.quoted = tag == "!";
    Place(std::move(value));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value /*style*/) override {
    Open(Value::Kind::kList, mark, tag, anchor);
  }
  void OnSequenceEnd() override { Close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value /*style*/) override {
    Open(Value::Kind::kMap, mark, tag, anchor);
  }
  void OnMapEnd() override { Close(); }

 private:
  struct Level {
    Value value;
    bool has_key = false;  // kMap: the last member waits for its value
  };

  Value NewValue(Value::Kind kind, const YAML::Mark& mark) const {
    Value value;
    value.kind = kind;
    value.where = Where(mark);
    return value;
  }
  std::string Where(const YAML::Mark& mark) const {
    return file_ + ":" + std::to_string(mark.line + 1);
  }

  static void RefuseAnchor(const YAML::Mark& mark, YAML::anchor_t anchor) {
    if (anchor != YAML::NullAnchor)
      throw Refusal{mark.line + 1, "anchors (&name) are not taken: write the value out"};
  }
  // "?" and "!" are what yaml-cpp says of plain and quoted values without a tag.
  static void RefuseTag(const YAML::Mark& mark, const std::string& tag) {
    if (!tag.empty() && tag != "?" && tag != "!")
      throw Refusal{mark.line + 1, "tags (\"" + tag + "\") are not taken"};
  }

  // yaml-cpp takes a quote that is still open at the end of the file.
  void RefuseOpenQuote(const YAML::Mark& mark) const {
    auto at = static_cast<size_t>(std::max(mark.pos, 0));
    if (at >= text_.size() || (text_[at] != '"' && text_[at] != '\'')) return;
    const char quote = text_[at];
    for (++at; at < text_.size(); ++at) {
      if (text_[at] == '\\' && quote == '"') {
        ++at;
      } else if (text_[at] == quote) {
        if (quote == '"' || at + 1 == text_.size() || text_[at + 1] != quote) return;
        ++at;  // two single quotes stand for one
      }
    }
    throw Refusal{mark.line + 1, "not YAML: a quote is not closed"};
  }

  bool AtKey() const {
    return !levels_.empty() && levels_.back().value.kind == Value::Kind::kMap &&
           !levels_.back().has_key;
  }

  void OnKey(const YAML::Mark& mark, const std::string& key) {
    Level& level = levels_.back();
    if (key == "<<")
      throw Refusal{mark.line + 1, "merge keys (<<) are not taken: write the keys out"};
    for (const Member& member : level.value.members) {
      if (member.key == key)
        throw Refusal{mark.line + 1,
                      "duplicate key \"" + key + "\", it is also at " + member.where};
    }
    level.value.members.push_back({key, Where(mark), {}});
    level.has_key = true;
  }

  void Open(Value::Kind kind, const YAML::Mark& mark, const std::string& tag,
            YAML::anchor_t anchor) {
    RefuseAnchor(mark, anchor);
    RefuseTag(mark, tag);
    if (AtKey()) throw Refusal{mark.line + 1, "a key must be a text"};
    if (levels_.size() == kMaxDepth) throw Refusal{mark.line + 1, "nested too deep"};
    levels_.push_back({NewValue(kind, mark)});
  }

  void Close() {
    Value value = std::move(levels_.back().value);
    levels_.pop_back();
    Place(std::move(value));
  }

  void Place(Value value) {
    if (levels_.empty()) {
      root_ = std::move(value);
      return;
    }
    Level& level = levels_.back();
    if (level.value.kind == Value::Kind::kList) {
      level.value.items.push_back(std::move(value));
    } else {
      level.value.members.back().value = std::move(value);
      level.has_key = false;
    }
  }

  const std::string& text_;
  const std::string& file_;
  int documents_ = 0;
  std::vector<Level> levels_;
  Value root_;
};

Status Refused(const std::string& file, int line, const std::string& text) {
  return InvalidArgument(file + ":" + std::to_string(line) + ": " + text);
}

Result<Value> LoadFile(const std::string& file) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(file, kMaxFile));
  return ParseDocument(text, file);
}

// Sorted; empty when there is no folder.
Result<std::vector<std::string>> FilesOfFolder(const std::filesystem::path& folder) {
  std::vector<std::string> files;
  std::error_code error;
  for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error)) {
    const std::filesystem::path& path = it->path();
    if (path.extension() == ".yaml" && !path.filename().string().starts_with('.'))
      files.push_back(path.string());
  }
  if (error && error != std::errc::no_such_file_or_directory)
    return ErrnoStatus(error.value(), "read folder \"" + folder.string() + "\"");
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

const Value* Value::Find(const std::string& key) const {
  for (const Member& member : members) {
    if (member.key == key) return &member.value;
  }
  return nullptr;
}

Result<Value> ParseDocument(const std::string& text, const std::string& file) {
  TreeBuilder builder(text, file);
  try {
    std::istringstream stream(text);
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const Refusal& refusal) {
    return Refused(file, refusal.line, refusal.text);
  } catch (const YAML::Exception& error) {
    return Refused(file, std::max(error.mark.line, 0) + 1, "not YAML: " + error.msg);
  }
  Value root = builder.Take();
  if (root.kind == Value::Kind::kNull) {
    root.kind = Value::Kind::kMap;
    root.where = file + ":1";
  }
  if (root.kind != Value::Kind::kMap)
    return InvalidArgument(root.where + ": the file must hold a map of keys and values");
  return root;
}

void Merge(Value over, Value* base) {
  if (over.kind == Value::Kind::kNull && base->kind != Value::Kind::kScalar) return;
  if (over.kind != Value::Kind::kMap || base->kind != Value::Kind::kMap) {
    *base = std::move(over);
    return;
  }
  for (Member& member : over.members) {
    const auto same = std::find_if(base->members.begin(), base->members.end(),
                                   [&member](const Member& m) { return m.key == member.key; });
    if (same == base->members.end()) {
      base->members.push_back(std::move(member));
    } else {
      same->where = std::move(member.where);
      Merge(std::move(member.value), &same->value);
    }
  }
}

Result<Value> LoadDocument(const std::string& file) {
  ASSIGN_OR_RETURN(Value root, LoadFile(file));
  const auto folder = std::filesystem::path(file).parent_path() / "conf.d";
  ASSIGN_OR_RETURN(const std::vector<std::string> files, FilesOfFolder(folder));
  for (const std::string& part : files) {
    ASSIGN_OR_RETURN(Value over, LoadFile(part));
    Merge(std::move(over), &root);
  }
  return root;
}

}  // namespace interlink::config
