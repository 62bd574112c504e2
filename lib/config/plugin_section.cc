#include "config/plugin_section.h"

#include <map>
#include <memory>

#include "config/rules.h"

namespace interlink::config {
namespace {

using sdk::Option;

// Below `value`, as options: maps by dots, lists by indexes. The plugin says which of them it
// knows.
Status Flatten(const Value& value, const std::string& key, const std::string& path,
               std::vector<Option>* options) {
  switch (value.kind) {
    case Value::Kind::kNull:
      return MustBe(value, path, "a value");
    case Value::Kind::kScalar: {
      ASSIGN_OR_RETURN(std::string text, ReadText(value, path));
      options->push_back({key, std::move(text), value.where});
      return {};
    }
    case Value::Kind::kList:
      for (size_t i = 0; i < value.items.size(); ++i) {
        const std::string index = "[" + std::to_string(i) + "]";
        RETURN_IF_ERROR(Flatten(value.items[i], key + index, path + index, options));
      }
      return {};
    case Value::Kind::kMap:
      for (const Member& member : value.members) {
        if (!IsOptionName(member.key))
          return InvalidArgument(member.where + ": " + path + " has the name " +
                                 Quoted(member.key) +
                                 ": names have letters, digits, \"_\", \"-\" and \".\"");
        RETURN_IF_ERROR(Flatten(member.value, (key.empty() ? "" : key + ".") + member.key,
                                path + "." + member.key, options));
      }
      return {};
  }
  return {};
}

struct HandlerSection {
  std::string name;
  bool allow_privileged = false;
  bool allow_host_namespaces = false;
  bool allow_devices = false;
  std::vector<std::string> allowed_host_paths;
};

Keys HandlerKeys(HandlerSection* h) {
  return {
      TextKey("Name", &h->name,
              "What RuntimeClass.handler says, a DNS label. Unique at the site. Must be set."),
      BooleanKey("AllowPrivileged", &h->allow_privileged,
                 "Privileged containers, which own this machine, are taken."),
      BooleanKey("AllowHostNamespaces", &h->allow_host_namespaces,
                 "Pods may share network, ipc and pid of this machine."),
      BooleanKey("AllowDevices", &h->allow_devices,
                 "Pods may use devices of this machine that they name by path."),
      PathListKey("AllowedHostPaths", &h->allowed_host_paths,
                  "Paths of this machine that pods may mount, with all below."),
  };
}

// Name is told apart, the rest becomes options.
Status ReadHandler(const Value& value, const std::string& path, PluginConfig* plugin) {
  if (value.kind != Value::Kind::kMap) return MustBe(value, path, "a map with the key Name");
  HandlerSection handler;
  Sources sources;
  RETURN_IF_ERROR(ReadKeys(value, HandlerKeys(&handler), path + ".", &sources));
  const Value* name = value.Find("Name");
  if (name == nullptr || !IsHandlerName(handler.name))
    return InvalidArgument((name == nullptr ? value.where : name->where) + ": " + path + ".Name " +
                           kHandlerNameRule);
  plugin->options.handlers.push_back(handler.name);
  for (const Member& member : value.members) {
    if (member.key == "Name") continue;
    RETURN_IF_ERROR(Flatten(member.value, "Handlers." + handler.name + "." + member.key,
                            path + "." + member.key, &plugin->options.options));
  }
  return {};
}

Key HandlersKey(PluginConfig* plugin) {
  Key key;
  key.path = "Handlers";
  key.takes = "a list of maps";
  key.doc = "The handlers that this plugin serves. Must be set.";
  key.read = [plugin, takes = key.takes](const Value& value, const std::string& path) -> Status {
    if (value.kind != Value::Kind::kList || value.items.empty())
      return MustBe(value, path, "a list of maps with at least one item");
    for (size_t i = 0; i < value.items.size(); ++i)
      RETURN_IF_ERROR(ReadHandler(value.items[i], path + "[" + std::to_string(i) + "]", plugin));
    return {};
  };
  key.item_keys = [defaults = std::make_shared<HandlerSection>()] {
    return HandlerKeys(defaults.get());
  };
  return key;
}

Key OptionsKey(PluginConfig* plugin) {
  Key key;
  key.path = "Options";
  key.takes = "a map";
  key.doc = "The plugin's own settings; its README names them. It refuses what it does not know.";
  key.read = [plugin](const Value& value, const std::string& path) -> Status {
    if (value.kind != Value::Kind::kMap) return MustBe(value, path, "a map");
    return Flatten(value, "", path, &plugin->options.options);
  };
  return key;
}

Keys PluginKeys(PluginConfig* plugin) {
  return {
      TextKey("Name", &plugin->options.name,
              "Of the plugin: local, slurm. Unique in the list. Must be set."),
      PathKey("Path", &plugin->path,
              "The plugin's file. Default: NAME.so in this installation's "
              "lib/interlink/plugins."),
      HandlersKey(plugin),
      OptionsKey(plugin),
  };
}

Result<PluginConfig> ReadPlugin(const Value& value, const std::string& path) {
  if (value.kind != Value::Kind::kMap)
    return MustBe(value, path, "a map with the keys Name and Handlers");
  PluginConfig plugin;
  plugin.where = value.where;
  RETURN_IF_ERROR(ReadKeys(value, PluginKeys(&plugin), path + ".", nullptr));
  if (!IsHandlerName(plugin.options.name))
    return InvalidArgument(value.where + ": " + path +
                           ".Name must be the name of a plugin in lower case, e.g. local");
  if (plugin.options.handlers.empty())
    return InvalidArgument(value.where + ": " + path + ".Handlers must be set");
  return plugin;
}

Status ReadPlugins(const Value& value, const std::string& path, std::vector<PluginConfig>* target) {
  if (value.kind != Value::Kind::kList) return MustBe(value, path, "a list of maps");
  target->clear();
  std::map<std::string, std::string> names;     // -> where
  std::map<std::string, std::string> handlers;  // -> the plugin's name
  for (size_t i = 0; i < value.items.size(); ++i) {
    ASSIGN_OR_RETURN(PluginConfig plugin,
                     ReadPlugin(value.items[i], path + "[" + std::to_string(i) + "]"));
    const std::string& name = plugin.options.name;
    if (const auto [it, added] = names.emplace(name, plugin.where); !added)
      return InvalidArgument(plugin.where + ": plugin " + Quoted(name) +
                             " stands twice, it is also at " + it->second);
    for (const std::string& handler : plugin.options.handlers) {
      if (const auto [it, added] = handlers.emplace(handler, name); !added)
        return InvalidArgument(plugin.where + ": handler " + Quoted(handler) +
                               " stands twice, plugin " + Quoted(it->second) + " has it already");
    }
    target->push_back(std::move(plugin));
  }
  return {};
}

}  // namespace

Key PluginsKey(std::vector<PluginConfig>* target) {
  Key key;
  key.path = "Plugins";
  key.takes = "a list of maps";
  key.doc = "What runs pods here. Must have at least one.";
  key.example =
      "  - Name: local\n"
      "    Handlers:\n"
      "      - Name: local\n"
      "        AllowedHostPaths: [\"/data\"]\n"
      "    Options:\n"
      "      CNI: {ConfDir: \"/etc/cni/net.d\"}";
  key.read = [target](const Value& value, const std::string& path) {
    return ReadPlugins(value, path, target);
  };
  key.identity = [target] {
    std::string text;
    for (const PluginConfig& plugin : *target) {
      text += plugin.options.name + " " + plugin.path + "\n";
      for (const std::string& handler : plugin.options.handlers)
        text += "handler " + handler + "\n";
      for (const Option& option : plugin.options.options)
        text += option.key + "=" + option.value + "\n";
    }
    return text;
  };
  key.item_keys = [defaults = std::make_shared<PluginConfig>()] {
    return PluginKeys(defaults.get());
  };
  return key;
}

}  // namespace interlink::config
