// What a pod and its node ask of SLURM: each spelling is read, the strongest holds.
#include "slurm_wishes/wishes.h"

#include <catch2/catch.hpp>

#include "slurm_wishes/sbatch_flags.h"

namespace interlink::slurm_wishes {

TEST_CASE("The stronger spelling holds, key by key") {
  const Values node = {{"SLURM_ACCOUNT", "a1"}, {"SLURM_QOS", "q1"}, {"SLURM_TIME", "1"}};
  const Values annotations = {{"slurm-job.vk.io/flags", "-q q2 -A a2"},
                              {"slurm.interlink.io/account", "a3"},
                              {"unrelated/annotation", "$(id)"}};
  CHECK(WishesInForce(node, annotations).value() ==
        Values{{"account", "a3"}, {"qos", "q2"}, {"time", "1"}});
  const Values all = AnnotationsInForce(node, annotations).value();
  CHECK(all.at("slurm.interlink.io/qos") == "q2");
  CHECK(all.at("slurm.interlink.io/account") == "a3");
  CHECK(all.at("slurm-job.vk.io/flags") == "-q q2 -A a2");
  CHECK(all.at("unrelated/annotation") == "$(id)");
}

TEST_CASE("GPUs of a generic resource are GPUs") {
  const auto gpus = [](const Values& node, const Values& annotations) {
    return WishesInForce(node, annotations).value()["gpus"];
  };
  const std::string gres = "slurm.interlink.io/gres";
  CHECK(gpus({}, {{gres, "gpu:a100:2,nvme:1,gpu,gpux:4"}}) == "a100:2,1");
  CHECK(gpus({{"SLURM_GPUS", "8"}}, {{gres, "nvme:1"}}) == "8");
  CHECK(gpus({{"SLURM_GPUS", "8"}}, {{gres, "gpu:1"}}) == "1");
  CHECK(gpus({{"SLURM_GRES", "gpu:8"}}, {{"slurm.interlink.io/gpus", "1"}}) == "1");
  // The plugin refuses it; who only counts must not count less.
  CHECK(gpus({}, {{gres, "gpu:8"}, {"slurm.interlink.io/gpus", "1"}}) == "1,8");
}

TEST_CASE("What cannot be read is an error, and names its place") {
  const auto [name, value, said] = GENERATE(table<std::string, std::string, std::string>(
      {{"slurm-job.vk.io/flags", "--uid=0", "is not understood"},
       {"slurm-job.vk.io/pre-exec", "id", "is not understood"},
       {"slurm.interlink.io/gpu", "1", "is not known; there are: cpus"},
       {"cdi.k8s.io/a", "nvidia.com/gpu=all", "is no number of GPUs"}}));
  const Status refused = AnnotationsInForce({}, {{name, value}}).status();
  CHECK(refused.code() == Code::kInvalidArgument);
  CHECK(refused.message().find("annotation \"" + name + "\"") == 0);
  CHECK(refused.message().find(said) != std::string::npos);
  CHECK(WishesInForce({{"SLURM_GPU", "1"}}, {}).status().code() == Code::kInvalidArgument);
}

TEST_CASE("Options of sbatch in the incumbent's annotation are our keys") {
  const auto values = ParseIncumbentFlags(
      " --time=01:00:00  -p gpu -c4 --mem=4G\n--gres=gpu:1 -A phys --qos high ");
  REQUIRE(values.ok());
  CHECK(*values == Values{{"time", "01:00:00"},
                          {"partition", "gpu"},
                          {"cpus", "4"},
                          {"memory", "4G"},
                          {"gres", "gpu:1"},
                          {"account", "phys"},
                          {"qos", "high"}});
  CHECK(ParseIncumbentFlags("").value().empty());
}

TEST_CASE("Other options in the incumbent's annotation are refused by name") {
  const std::string text = GENERATE("--uid=0", "--wrap=id", "-N 2", "--requeue", "--tim=1", "--",
                                    "-", "debug", "--time", "--time=", "--time --mem=1G",
                                    "--time='1'", "-p $(id)", "--time=1 `id`", "-p \"a b\"");
  CAPTURE(text);
  CHECK(ParseIncumbentFlags(text).status().code() == Code::kInvalidArgument);
}

TEST_CASE("An administrator's flags may not undo what the plugin relies on") {
  CHECK(CheckFlags({"--exclusive", "--mail-type=ALL", "--licenses=matlab:1"}).ok());
  const std::string flag =
      GENERATE("--requeue", "--requ", "--export=ALL", "--exp=ALL", "--uid=0", "--wrap=id",
               "--job-name=x", "--array=1-9", "-H", "exclusive", "--", "--=x", "--Exclusive",
               "--a\nb", "--comment=x", "--time=5", "--get-user-env");
  CHECK(CheckFlags({"--exclusive", flag}).code() == Code::kInvalidArgument);
}

}  // namespace interlink::slurm_wishes
