// Keys: what a configuration file may say, one table per file format. The table is bound to a
// struct: it reads values into it, and shows them for `config --default` and the reference page, so
// a default is written once, at the member.
//
//   Keys keys = {BooleanKey("VerboseLogging", &config.verbose, "Logs debug lines too."), ...};
//   RETURN_IF_ERROR(ReadKeys(document, keys, &sources));
#ifndef INTERLINK_CONFIG_SCHEMA_H_
#define INTERLINK_CONFIG_SCHEMA_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "config/document.h"

namespace interlink::config {

struct Key;
using Keys = std::vector<Key>;
// path -> "file:line" of each key that the files set.
using Sources = std::map<std::string, std::string>;

struct Key {
  std::string path;     // "CRI.SocketPath": sections and key
  std::string takes;    // "a duration such as 15m", for messages and the reference
  std::string doc;      // what it means, with unit and range; sentences
  std::string example;  // YAML of a value, for keys without a default
  // Stores the value. `path` is for messages. Not called with null.
  std::function<Status(const Value&, const std::string& path)> read;
  // The value that is stored now as YAML in one line; "": none.
  std::function<std::string()> show;
  // A text that differs when the value does, for keys that `show` does not show. Not for people.
  std::function<std::string()> identity;
  // Of a list of maps: the keys of one item, for the reference. They are bound to something that
  // this key owns.
  std::function<Keys()> item_keys;
};

// Reads `map` into what `keys` are bound to. kInvalidArgument with file:line: an unknown key (with
// the nearest known one), a value of the wrong type (with what it must be). `prefix` is in front of
// paths in messages, e.g. "Plugins[0].". `sources` may be null.
Status ReadKeys(const Value& map, const Keys& keys, const std::string& prefix, Sources* sources);

// "path must be ...", at the key's line if it is set. For rules that span keys.
Status RefuseKey(const Sources& sources, const std::string& file, const std::string& path,
                 const std::string& text);

// Every text is one line without control characters.
Key TextKey(std::string path, std::string* target, std::string doc);
Key BooleanKey(std::string path, bool* target, std::string doc);
Key PathKey(std::string path, std::string* target,
            std::string doc);  // absolute, no "." or ".." components
Key PortKey(std::string path, uint16_t* target, std::string doc);  // 1 to 65535, as number or text
Key DurationKey(std::string path, Duration* target, Duration smallest, Duration largest,
                std::string doc);
// Zero is written "never".
Key NeverKey(std::string path, Duration* target, std::string doc);
Key SizeKey(std::string path, uint64_t* target, uint64_t smallest, uint64_t largest,
            std::string doc);
Key NumberKey(std::string path, int64_t* target, int64_t smallest, int64_t largest,
              std::string doc);
// One of `words`; the index of the word is stored.
Key WordKey(std::string path, size_t* target, std::vector<std::string> words, std::string doc);
Key PathListKey(std::string path, std::vector<std::string>* target, std::string doc);
Key TextListKey(std::string path, std::vector<std::string>* target, std::string doc);
// Text keys and lists of texts.
Key TextListMapKey(std::string path, std::map<std::string, std::vector<std::string>>* target,
                   std::string doc);

// The same key with a value to show when there is no default.
Key WithExample(Key key, std::string example);

// "file:line: path must be <takes>, it is ...".
Status MustBe(const Value& value, const std::string& path, const std::string& takes);
// A scalar's text: one line without control characters.
Result<std::string> ReadText(const Value& value, const std::string& path);
Result<bool> ReadBoolean(const Value& value, const std::string& path);
Result<std::string> ReadPath(const Value& value, const std::string& path);
bool IsAbsolutePath(const std::string& text);
// In double quotes, as YAML and JSON.
std::string Quoted(const std::string& text);

}  // namespace interlink::config

#endif  // INTERLINK_CONFIG_SCHEMA_H_
