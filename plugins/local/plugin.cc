// local: containers on the site's own machine, by lib/engine.
#include "engine/engine.h"
#include "options.h"
#include "sdk/descriptor.h"

namespace interlink::local {
namespace {

Result<std::unique_ptr<sdk::Backend>> Create(sdk::Host& host, const sdk::PluginOptions& options) {
  ASSIGN_OR_RETURN(engine::EngineOptions parsed, ParseOptions(options, host.data_folder()));
  return engine::Engine::Create(host, std::move(parsed));
}

}  // namespace
}  // namespace interlink::local

INTERLINK_PLUGIN("local", interlink::local::Create)
