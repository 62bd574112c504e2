// Plugins: which backend serves which handler, and what a plugin is given (sdk::Host).
#include <algorithm>
#include <utility>

#include "base/file.h"
#include "site/live_site.h"

namespace interlink::site {

class LiveSite::PluginHost final : public sdk::Host {
 public:
  PluginHost(LiveSite& site, const std::string& plugin)
      : site_(site), data_folder_(site.options_.data_folder + "/plugins/" + plugin) {
    const Status made = MakeDirectories(data_folder_, 0700);
    if (!made.ok())
      site.ports_.log.Error("cannot make a plugin's folder",
                            {{"plugin", plugin}, {"error", made.message()}});
  }

  void Report(std::vector<sdk::Observation> facts) override { site_.Report(std::move(facts)); }
  void LogGrew(const ContainerId& id) override { site_.LogGrew(id); }
  Result<sdk::UnpackedImage> HoldImage(const ContainerId& holder,
                                       const std::string& image_id) override {
    return site_.ports_.images.Hold(holder, image_id);
  }
  void ReleaseImages(const ContainerId& holder) override { site_.ports_.images.Release(holder); }
  const Lineage& lineage() const override {
    return site_.options_.artefact_lineage.empty() ? site_.ports_.store.lineage()
                                                   : site_.options_.artefact_lineage;
  }
  const std::string& data_folder() const override { return data_folder_; }
  Log& log() override { return site_.ports_.log; }
  Metrics& metrics() override { return site_.ports_.metrics; }
  const Clock& clock() override { return site_.ports_.clock; }

 private:
  LiveSite& site_;
  const std::string data_folder_;
};

sdk::Host& LiveSite::HostFor(const std::string& plugin) {
  MutexLock lock(mutex_);
  auto& host = hosts_[plugin];
  if (host == nullptr) host = std::make_unique<PluginHost>(*this, plugin);
  return *host;
}

Status LiveSite::AddBackend(const std::string& plugin, const std::vector<std::string>& handlers,
                            std::unique_ptr<sdk::Backend> backend) {
  MutexLock lock(mutex_);
  for (const std::string& handler : handlers) {
    if (const Plugin* other = FindPlugin(handler)) {
      return InvalidArgument("handler \"" + handler + "\" is served by plugin \"" + other->name +
                             "\" already: give \"" + plugin + "\" another name for it");
    }
  }
  auto made = std::make_unique<Plugin>();
  made->name = plugin;
  made->handlers = handlers;
  made->backend = std::move(backend);
  plugins_.push_back(std::move(made));
  return {};
}

void LiveSite::AddMissing(const std::string& plugin, const std::vector<std::string>& handlers,
                          Status why) {
  MutexLock lock(mutex_);
  auto made = std::make_unique<Plugin>();
  made->name = plugin;
  made->handlers = handlers;
  made->missing = std::move(why);
  plugins_.push_back(std::move(made));
}

LiveSite::Plugin* LiveSite::FindPlugin(const std::string& handler) const {
  for (const auto& plugin : plugins_) {
    if (Serves(*plugin, handler)) return plugin.get();
  }
  return nullptr;
}

Result<LiveSite::Plugin*> LiveSite::PluginForChange(const std::string& handler) {
  Plugin* plugin = FindPlugin(handler);
  if (plugin == nullptr) {
    return InvalidArgument("unknown handler \"" + handler + "\": this site has " + KnownHandlers());
  }
  if (plugin->backend == nullptr) {
    return Unavailable("plugin \"" + plugin->name + "\" of handler \"" + handler +
                       "\" is not loaded: " + plugin->missing.message());
  }
  if (!plugin->recovered) {
    return Unavailable("handler \"" + handler +
                       "\" is being inventoried after the site's start, try again");
  }
  return plugin;
}

std::string LiveSite::KnownHandlers() const {
  std::string names;
  for (const auto& plugin : plugins_) {
    for (const std::string& handler : plugin->handlers)
      names += (names.empty() ? "\"" : ", \"") + handler + "\"";
  }
  return names.empty() ? "none" : names;
}

interlink::v1::InfoResponse LiveSite::Info() const {
  interlink::v1::InfoResponse info;
  info.set_site(options_.name);
  info.set_version(options_.version);
  info.set_site_lineage(ports_.store.lineage().str());
  info.set_epoch(epoch_);
  info.set_default_handler(options_.default_handler);
  info.set_images_on_this_host(options_.images_on_this_host);
  info.set_image_root(ports_.images.root());
  MutexLock lock(mutex_);
  bool policy = !plugins_.empty();
  for (const auto& plugin : plugins_) {
    for (const std::string& name : plugin->handlers) {
      if (info.default_handler().empty()) info.set_default_handler(name);
      auto* handler = info.add_handlers();
      handler->set_name(name);
      handler->set_plugin(plugin->name);
      handler->set_recovered(plugin->recovered);
      handler->set_unavailable(plugin->missing.message());
      if (plugin->backend == nullptr) continue;
      const auto& described = plugin->backend->Describe();
      policy = policy && described.supplemental_groups_policy;
      for (const auto& item : described.handlers) {
        if (item.name != name) continue;
        handler->mutable_features()->set_recursive_read_only_mounts(
            item.recursive_read_only_mounts);
        handler->mutable_features()->set_user_namespaces(item.user_namespaces);
        handler->set_kubelet_host(item.kubelet_host);
        handler->set_takes_contents(item.takes_contents);
        handler->set_real_memory_stats(item.real_memory_stats);
        handler->set_queue_at_start(item.queue_at_start);
        handler->mutable_node_options()->Assign(described.node_options.begin(),
                                                described.node_options.end());
      }
    }
  }
  info.set_supplemental_groups_policy(policy);
  return info;
}

bool LiveSite::Ready() const {
  MutexLock lock(mutex_);
  return !stopping_ && AllRecoveredLocked();
}

bool LiveSite::AllRecoveredLocked() const {
  return std::all_of(plugins_.begin(), plugins_.end(), [](const auto& plugin) {
    return plugin->recovered || plugin->backend == nullptr;
  });
}

}  // namespace interlink::site
