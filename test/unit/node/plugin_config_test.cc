// The node's PluginConfig goes with pods of the handlers that take it, and is part of the bytes
// that identify a request.
#include "node/plugin_config.h"

#include "node_lab.h"

namespace interlink::test {
namespace {

NodeOptions Sent(NodeLab& lab, const SandboxId& id) {
  const auto bodies = lab.site.Bodies(id.str());
  REQUIRE_FALSE(bodies.empty());
  interlink::v1::RunSandboxRequest request;
  REQUIRE(request.ParseFromString(bodies.front()));
  return {request.plugin_config().begin(), request.plugin_config().end()};
}

// Keeps the keys of the warnings about PluginConfig.
class WarningLog final : public Log {
 public:
  bool Enabled(LogLevel) const override { return true; }
  void Write(LogLevel level, std::string_view message,
             const std::vector<LogField>& fields) override {
    if (level != LogLevel::kWarning || message.find("PluginConfig") == std::string_view::npos)
      return;
    MutexLock lock(mutex_);
    warnings_.push_back(fields.front().value);
  }
  std::vector<std::string> Warnings() {
    MutexLock lock(mutex_);
    return warnings_;
  }

 private:
  Mutex mutex_;
  std::vector<std::string> warnings_ GUARDED_BY(mutex_);
};

TEST_CASE("each key goes only with pods of a handler that takes it") {
  NodeLab lab;
  lab.site.SetNodeOptions({"SLURM_PARTITION", "SLURM_QOS"});
  lab.site.SetSecondHandler("plain");
  lab.options.plugin_config = {{"SLURM_PARTITION", "gpu"}, {"OTHER_KEY", "x"}};
  lab.Restart();

  const auto taken = lab.Run(NodeLab::Pod("a"));
  auto plain_pod = NodeLab::Pod("b");
  plain_pod.set_runtime_handler("plain");
  const auto plain = lab.Run(plain_pod);

  REQUIRE(taken.ok());
  CHECK(Sent(lab, *taken) == NodeOptions{{"SLURM_PARTITION", "gpu"}});
  REQUIRE(plain.ok());
  CHECK(Sent(lab, *plain).empty());
}

TEST_CASE("a retry repeats the stored bytes, whatever the configuration and the site say by then") {
  NodeLab lab;
  lab.site.SetNodeOptions({"SLURM_PARTITION"});
  lab.options.plugin_config = {{"SLURM_PARTITION", "before"}};
  lab.Restart();
  lab.site.Fail("RunSandbox", Unavailable("no answer"));
  auto first = lab.BeginRun(NodeLab::Pod("a"));
  REQUIRE(Eventually([&] { return lab.site.Calls("RunSandbox") > 0; }));

  lab.site.SetNodeOptions({});
  lab.options.plugin_config = {{"SLURM_PARTITION", "after"}};
  lab.Restart();
  CHECK(NodeLab::Get(std::move(first)).status().code() == Code::kUnavailable);
  const int before = lab.site.Calls("RunSandbox");
  lab.site.Fail("RunSandbox", Status::Ok());
  const auto id = lab.Run(NodeLab::Pod("a"));

  REQUIRE(id.ok());
  CHECK(lab.site.Calls("RunSandbox") > before);
  const auto bodies = lab.site.Bodies(id->str());
  REQUIRE(bodies.size() >= 2);
  for (const std::string& body : bodies) CHECK(body == bodies.front());
  CHECK(Sent(lab, *id) == NodeOptions{{"SLURM_PARTITION", "before"}});
}

TEST_CASE("while a plugin is not loaded no pod is minted without what it might take") {
  NodeLab lab;
  lab.site.SetUnavailable("another build");
  lab.options.plugin_config = {{"SLURM_PARTITION", "gpu"}};
  lab.Restart();

  const auto refused = lab.Run(NodeLab::Pod("a"));

  CHECK(refused.status().code() == Code::kUnavailable);
  CHECK(refused.status().message().find("another build") != std::string::npos);
  CHECK(lab.site.Calls("RunSandbox") == 0);
  CHECK(lab.node->Summary().sandboxes == 0);
}

TEST_CASE("keys that no handler takes are told once for each set of them") {
  WarningLog log;
  NodeLab lab;
  lab.told_to = &log;
  lab.site.SetNodeOptions({"SLURM_PARTITION"});
  lab.options.plugin_config = {
      {"SLURM_PARTITION", "gpu"}, {"SLURM_WORD", "x"}, {"ANOTHER_WORD", "y"}};
  lab.Restart();
  lab.Relink();

  CHECK(log.Warnings() == std::vector<std::string>{"ANOTHER_WORD, SLURM_WORD"});
  lab.site.SetNodeOptions({"SLURM_PARTITION", "SLURM_WORD"});
  lab.Relink();
  CHECK(log.Warnings() == std::vector<std::string>{"ANOTHER_WORD, SLURM_WORD", "ANOTHER_WORD"});
  lab.Crash();  // the log dies before the lab
}

}  // namespace
}  // namespace interlink::test
