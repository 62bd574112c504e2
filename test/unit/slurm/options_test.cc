// Job options: what each value may be, who may say it, and who wins.
#include <catch2/catch.hpp>
#include <limits>

#include "runtime/v1/api.pb.h"
#include "slurm/job_options.h"
#include "slurm/job_values.h"
#include "slurm_wishes/wishes.h"

namespace interlink::slurm {
namespace {

using slurm_wishes::kAnnotationPrefix;
using slurm_wishes::kOptionKeys;

using Texts = std::vector<std::string>;

// Values that try to become more than a value.
const Texts kHostile = {"",
                        " ",
                        "a b",
                        "a\n#SBATCH --partition=other",
                        "$(id)",
                        "`id`",
                        "${HOME}",
                        "a;b",
                        "a'b",
                        "a\"b",
                        "a\\b",
                        "--uid=0",
                        "-p",
                        "a\tb",
                        std::string("a\0b", 3),
                        "caf\xc3\xa9",
                        std::string(300, 'a')};

Result<JobOptions> Resolve(const Values& annotations, const Rules& rules = DefaultRules()) {
  OptionSources sources;
  sources.annotations = annotations;
  return ResolveOptions(rules, sources);
}

bool Has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("CPUs are a number") {
  CHECK(ParseCpus("1").value() == 1);
  CHECK(ParseCpus("65535").value() == 65535);
  const std::string text =
      GENERATE("0", "-1", "1.5", "65536", "+1", " 1", "1 ", "0x10", "99999999999999999999");
  CHECK(ParseCpus(text).status().code() == Code::kInvalidArgument);
}

TEST_CASE("Memory is MiB, or has a unit of 1024") {
  const auto [text, mib] = GENERATE(table<std::string, int64_t>({{"1", 1},
                                                                 {"4096", 4096},
                                                                 {"4096M", 4096},
                                                                 {"4G", 4096},
                                                                 {"4Gi", 4096},
                                                                 {"512Mi", 512},
                                                                 {"1T", 1048576},
                                                                 {"1K", 1},
                                                                 {"1025Ki", 2}}));
  CHECK(ParseMemoryMib(text).value() == mib);
}

TEST_CASE("What is no amount of memory is refused") {
  const std::string text = GENERATE("0", "0G", "-1", "1.5G", "G", "4g", "4GB", "4i", "i", "4P",
                                    "2000000T", "99999999999999999999");
  CHECK(ParseMemoryMib(text).status().code() == Code::kInvalidArgument);
}

TEST_CASE("Times are SLURM's, in minutes") {
  const auto [text, minutes] = GENERATE(table<std::string, int64_t>({{"90", 90},
                                                                     {"90:00", 90},
                                                                     {"90:01", 91},
                                                                     {"0:30", 1},
                                                                     {"1:30:00", 90},
                                                                     {"01:00:00", 60},
                                                                     {"1-12", 2160},
                                                                     {"1-0", 1440},
                                                                     {"1-12:30", 2190},
                                                                     {"1-12:30:01", 2191}}));
  CHECK(ParseTimeMinutes(text).value() == minutes);
}

TEST_CASE("What is no time is refused") {
  const std::string text =
      GENERATE("0", "0:00", "-1", "1-", "-", ":", "1:", "1:2:3:4", "1h", "UNLIMITED", "INFINITE",
               "367-0", "99999999", "1-1-1", "1:-5", "99999999999999999999:00");
  CHECK(ParseTimeMinutes(text).status().code() == Code::kInvalidArgument);
}

TEST_CASE("GPUs and other resources are counted") {
  CHECK(ParseGpus("2").value().at(0).count == 2);
  CHECK(GresText(ParseGpus("a100:2").value().at(0)) == "gpu:a100:2");
  CHECK(ParseGpus("a100:1,h100:1").value().size() == 2);
  CHECK(GresText(ParseGres("gpu").value().at(0)) == "gpu:1");
  CHECK(GresText(ParseGres("gpu:2").value().at(0)) == "gpu:2");
  CHECK(GresText(ParseGres("gpu:a100").value().at(0)) == "gpu:a100:1");
  CHECK(GresText(ParseGres("nvme:1,gpu:a100:2").value().at(1)) == "gpu:a100:2");
  const std::string text =
      GENERATE("", "0", "-1", "a100:", ":2", "a100:0", "a:b:2", "2,", "2,,3", "70000");
  CHECK(ParseGpus(text).status().code() == Code::kInvalidArgument);
}

// SLURM drops a "gres:" before a name: "gres:gpu:8" was no GPU here and eight there.
TEST_CASE("A generic resource has no name that SLURM drops") {
  CHECK(ParseGres("gres:gpu:8").status().code() == Code::kInvalidArgument);
  CHECK(ParseGres("nvme:1,gres:gpu").status().code() == Code::kInvalidArgument);
  CHECK(ParseGres("gres2:1").ok());
}

TEST_CASE("What is no generic resource is refused") {
  const std::string text = GENERATE("", "gpu:", ":2", "gpu:0", "gpu:a100:0", "gpu:a100:x",
                                    "a:b:c:2", "gpu:2,", "gpu:2(S:0)");
  CHECK(ParseGres(text).status().code() == Code::kInvalidArgument);
}

TEST_CASE("A hostile value of any key is refused, and shown without control characters") {
  for (const std::string& value : kHostile) {
    for (const std::string_view key : kOptionKeys) {
      Rules rules = DefaultRules();
      rules[std::string(key)].pod = true;
      const std::string annotation = std::string(kAnnotationPrefix) + std::string(key);
      CAPTURE(key, value);
      // A feature's name may be joined by operators, but nothing that a shell or SLURM's parser
      // splits at.
      const auto options = Resolve({{annotation, value}}, rules);
      REQUIRE(options.status().code() == Code::kInvalidArgument);
      CHECK(options.status().message().find("annotation \"" + annotation + "\": ") == 0);
      CHECK(options.status().message().find('\n') == std::string::npos);
    }
  }
}

TEST_CASE("Good names and constraints are taken as they are") {
  CHECK(ParseName("account", "phys_01.a@x-y").value() == "phys_01.a@x-y");
  CHECK(ParseNames("partition", "gpu,long").value() == Texts{"gpu", "long"});
  CHECK(ParseNames("partition", "gpu,").status().code() == Code::kInvalidArgument);
  const std::string text = GENERATE("a100&nvlink", "[rack1|rack2]", "a*4", "key=1");
  CHECK(ParseConstraint(text).value() == text);
}

TEST_CASE("The stronger source wins, key by key") {
  OptionSources sources;
  sources.profile = {{"partition", "p1"}, {"qos", "q1"}, {"cpus", "1"},
                     {"memory", "100"},   {"time", "1"}, {"gres", "gpu:1"}};
  sources.node = {
      {"SLURM_QOS", "q2"}, {"SLURM_CPUS", "2"}, {"SLURM_MEMORY", "200"}, {"SLURM_TIME", "2"}};
  sources.resources = {3000, int64_t{300} << 20};
  sources.annotations = {{"slurm-job.vk.io/flags", "--time=4 --mem 400M"},
                         {"slurm.interlink.io/memory", "500"},
                         {"unrelated/annotation", "$(id)"}};

  const auto options = ResolveOptions(DefaultRules(), sources);

  REQUIRE(options.ok());
  CHECK(options->partition == "p1");
  CHECK(options->qos == "q2");
  CHECK(options->cpus == 3);
  CHECK(options->time_minutes == 4);
  CHECK(options->memory_mib == 500);
  CHECK(options->gres == "gpu:1");
}

TEST_CASE("Every key of a pod becomes one argument of sbatch") {
  Rules rules;
  for (const std::string_view key : kOptionKeys) rules[std::string(key)].pod = true;
  const auto options = Resolve({{"slurm.interlink.io/cpus", "4"},
                                {"slurm.interlink.io/memory", "4Gi"},
                                {"slurm.interlink.io/gpus", "a100:2"},
                                {"slurm.interlink.io/gres", "nvme:1"},
                                {"slurm.interlink.io/time", "1-0"},
                                {"slurm.interlink.io/partition", "gpu,long"},
                                {"slurm.interlink.io/account", "phys"},
                                {"slurm.interlink.io/qos", "high"},
                                {"slurm.interlink.io/reservation", "maint"},
                                {"slurm.interlink.io/constraint", "a100&nvlink"}},
                               rules);
  REQUIRE(options.ok());
  CHECK(OptionArguments(*options) == Texts{"--cpus-per-task=4", "--mem=4096M", "--time=1440",
                                           "--gres=nvme:1,gpu:a100:2", "--partition=gpu,long",
                                           "--account=phys", "--qos=high", "--reservation=maint",
                                           "--constraint=a100&nvlink"});
}

TEST_CASE("Nothing asked for is nothing said") {
  CHECK(OptionArguments(Resolve({}).value()).empty());
}

TEST_CASE("A key that the site keeps for itself is refused by name, with those that are open") {
  const auto options = Resolve({{"slurm.interlink.io/account", "phys"}});
  CHECK(options.status().code() == Code::kPermissionDenied);
  CHECK(options.status().message() ==
        "annotation \"slurm.interlink.io/account\": this site does not let pods choose it; they "
        "may choose: "
        "constraint, cpus, gpus, gres, memory, time");
}

TEST_CASE("The incumbent's options keep the same rules") {
  const auto options = Resolve({{"slurm-job.vk.io/flags", "-A phys"}});
  CHECK(options.status().code() == Code::kPermissionDenied);
  CHECK(Has(options.status().message(),
            "annotation \"slurm-job.vk.io/flags\": this site does not let pods"));
}

TEST_CASE("A node may choose what its rule says") {
  Rules rules;
  rules["partition"].node = true;
  rules["partition"].values = {"gpu", "long"};
  OptionSources sources;
  sources.node = {{"SLURM_PARTITION", "gpu"}};
  CHECK(ResolveOptions(rules, sources)->partition == "gpu");
  sources.node = {{"SLURM_PARTITION", "gpu,secret"}};
  const auto refused = ResolveOptions(rules, sources);
  CHECK(refused.status().code() == Code::kPermissionDenied);
  CHECK(refused.status().message() ==
        "the node's PluginConfig, \"SLURM_PARTITION\": \"secret\" is not among what this site "
        "allows: gpu, long");
  sources.node = {{"SLURM_QOS", "high"}};
  CHECK(ResolveOptions(rules, sources).status().code() == Code::kPermissionDenied);
  sources.node = {{"SLURM_PARTITON", "gpu"}};
  CHECK(ResolveOptions(rules, sources).status().code() == Code::kInvalidArgument);
}

TEST_CASE("A maximum holds for pods, whichever way they say it") {
  Rules rules = DefaultRules();
  rules["cpus"].maximum = 8;
  rules["memory"].maximum = 1024;
  rules["time"].maximum = 60;
  rules["gpus"].maximum = 2;
  CHECK(Resolve({{"slurm.interlink.io/cpus", "8"}}, rules).ok());
  const auto [key, value] = GENERATE(table<std::string, std::string>({{"cpus", "9"},
                                                                      {"memory", "2G"},
                                                                      {"time", "1:00:01"},
                                                                      {"gpus", "3"},
                                                                      {"gpus", "a:1,b:2"},
                                                                      {"gres", "gpu:3"}}));
  CHECK(Resolve({{"slurm.interlink.io/" + key, value}}, rules).status().code() ==
        Code::kPermissionDenied);
  OptionSources sources;
  sources.resources.milli_cpus = 8001;
  CHECK(ResolveOptions(rules, sources).status().code() == Code::kPermissionDenied);
}

TEST_CASE("A pod's resources count also where pods may not choose") {
  Rules closed;
  OptionSources sources;
  sources.resources = {1500, (int64_t{64} << 20) + 1};
  const auto options = ResolveOptions(closed, sources);
  REQUIRE(options.ok());
  CHECK(options->cpus == 2);
  CHECK(options->memory_mib == 65);
}

TEST_CASE("GPUs that pods may not choose cannot be chosen as a generic resource") {
  Rules rules = DefaultRules();
  rules["gpus"].pod = false;
  CHECK(Resolve({{"slurm.interlink.io/gres", "gpu:1"}}, rules).status().code() ==
        Code::kPermissionDenied);
  CHECK(Resolve({{"slurm.interlink.io/gres", "nvme:1"}}, rules).ok());
  rules["gpus"].pod = true;
  rules["gpus"].values = {"gpu:a100"};
  CHECK(Resolve({{"slurm.interlink.io/gpus", "a100:1"}}, rules).ok());
  CHECK(Resolve({{"slurm.interlink.io/gres", "gpu:h100:1"}}, rules).status().code() ==
        Code::kPermissionDenied);
}

TEST_CASE("GPUs named twice by one source are refused, a stronger source replaces them") {
  CHECK(Resolve({{"slurm.interlink.io/gpus", "1"}, {"slurm.interlink.io/gres", "gpu:2,nvme:1"}})
            .status()
            .code() == Code::kInvalidArgument);
  OptionSources sources;
  sources.profile = {{"gres", "gpu:4,nvme:1"}};
  sources.annotations = {{"slurm.interlink.io/gpus", "2"}};
  CHECK(ResolveOptions(DefaultRules(), sources)->gres == "nvme:1,gpu:2");
  sources.profile = {{"gpus", "4"}};
  sources.annotations = {{"slurm.interlink.io/gres", "gpu:a100:1"}};
  CHECK(ResolveOptions(DefaultRules(), sources)->gres == "gpu:a100:1");
}

TEST_CASE("CDI names of GPUs count where GPUs are not named otherwise") {
  CHECK(Resolve({{"cdi.k8s.io/a", "nvidia.com/gpu=0,nvidia.com/gpu=1,vendor.com/nic=0"},
                 {"cdi.k8s.io/b", "nvidia.com/gpu=1"}})
            ->gres == "gpu:2");
  CHECK(Resolve({{"cdi.k8s.io/a", "nvidia.com/gpu=0"}, {"slurm.interlink.io/gpus", "a100:3"}})
            ->gres == "gpu:a100:3");
  CHECK(Resolve({{"cdi.k8s.io/a", "vendor.com/nic=0"}})->gres.empty());
  const auto all = Resolve({{"cdi.k8s.io/a", "nvidia.com/gpu=all"}});
  CHECK(all.status().code() == Code::kInvalidArgument);
  CHECK(Has(all.status().message(), "say slurm.interlink.io/gpus"));
}

TEST_CASE("The GPUs of a job are those that the site counts, whichever source and key names them") {
  const Values nodes[] = {{}, {{"SLURM_GPUS", "3"}}, {{"SLURM_GRES", "gpu:4,nvme:1"}}};
  const Values pods[] = {{},
                         {{"cdi.k8s.io/a", "nvidia.com/gpu=0,nvidia.com/gpu=1"}},
                         {{"slurm-job.vk.io/flags", "--gres=gpu:a100:5"}},
                         {{"slurm-job.vk.io/flags", "-G6"}, {"cdi.k8s.io/a", "nvidia.com/gpu=0"}},
                         {{"slurm-job.vk.io/flags", "--gpus 6"}, {"slurm.interlink.io/gpus", "7"}},
                         {{"slurm.interlink.io/gres", "nvme:2"}}};
  for (const Values& node : nodes) {
    for (const Values& pod : pods) {
      OptionSources sources;
      sources.node = node;
      sources.annotations = pod;
      const auto options = ResolveOptions(DefaultRules(), sources);
      REQUIRE(options.ok());
      Texts of_job;
      const auto job =
          options->gres.empty() ? std::vector<Gres>() : ParseGres(options->gres).value();
      for (const Gres& gres : job) {
        if (gres.name == "gpu") of_job.push_back(GresText(gres).substr(4));
      }
      const Values counted = slurm_wishes::WishesInForce(node, pod).value();
      CAPTURE(options->gres, counted);
      CHECK(of_job == (counted.count("gpus") == 0 ? Texts() : Texts{counted.at("gpus")}));
    }
  }
}

TEST_CASE("An annotation of ours that does not exist is refused with those that do") {
  const auto options = Resolve({{"slurm.interlink.io/cpu", "1"}});
  CHECK(options.status().code() == Code::kInvalidArgument);
  CHECK(Has(options.status().message(),
            "\"slurm.interlink.io/cpu\" is not known; there are: cpus, memory, gpus"));
}

TEST_CASE("An annotation of the incumbent that would write the script is refused") {
  const std::string name =
      GENERATE("pre-exec", "singularity-options", "mpi-flags", "image-root", "flavor");
  const auto options = Resolve({{"slurm-job.vk.io/" + name, "curl x | sh"}});
  CHECK(options.status().code() == Code::kInvalidArgument);
  CHECK(Has(options.status().message(), "\"slurm-job.vk.io/" + name + "\" is not understood"));
}

TEST_CASE("A wrong profile is refused, with its key") {
  OptionSources sources;
  sources.profile = {{"partitions", "gpu"}};
  CHECK(ResolveOptions({}, sources)
            .status()
            .message()
            .find("the handler's profile has no key \"partitions\"") == 0);
  sources.profile = {{"time", "soon"}};
  CHECK(ResolveOptions({}, sources)
            .status()
            .message()
            .find("the handler's profile, \"time\": \"soon\" is no time") == 0);
}

TEST_CASE("A pod's CPU is its limit, else its shares, with the overhead") {
  runtime::v1::PodSandboxConfig config;
  CHECK(ResourcesOf(config).milli_cpus == 0);
  auto& resources = *config.mutable_linux()->mutable_resources();
  resources.set_cpu_shares(2);
  CHECK(ResourcesOf(config).milli_cpus == 0);
  resources.set_cpu_shares(1536);
  CHECK(ResourcesOf(config).milli_cpus == 1500);
  resources.set_cpu_quota(250000);
  CHECK(ResourcesOf(config).milli_cpus == 2500);
  resources.set_cpu_period(50000);
  CHECK(ResourcesOf(config).milli_cpus == 5000);
  resources.set_memory_limit_in_bytes(1000);
  config.mutable_linux()->mutable_overhead()->set_memory_limit_in_bytes(24);
  config.mutable_linux()->mutable_overhead()->set_cpu_shares(256);
  CHECK(ResourcesOf(config).milli_cpus == 5250);
  CHECK(ResourcesOf(config).memory_bytes == 1024);
  resources.set_memory_limit_in_bytes(-1);
  resources.set_cpu_quota(-1);
  CHECK(ResourcesOf(config).memory_bytes == 24);
  CHECK(ResourcesOf(config).milli_cpus == 1750);
}

TEST_CASE("A pod's CPU and memory beyond any machine's are no small ones") {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  runtime::v1::PodSandboxConfig config;
  for (auto* resources :
       {config.mutable_linux()->mutable_resources(), config.mutable_linux()->mutable_overhead()}) {
    if (GENERATE(false, true)) {
      resources->set_cpu_quota(kMost);
      resources->set_cpu_period(1);
    } else {
      resources->set_cpu_shares(kMost);
    }
    resources->set_memory_limit_in_bytes(kMost);
  }
  CHECK(ResourcesOf(config).milli_cpus > 1'000'000'000'000);
  CHECK(ResourcesOf(config).memory_bytes > kMost / 4);
  OptionSources sources;
  sources.resources = ResourcesOf(config);
  CHECK_FALSE(ResolveOptions(DefaultRules(), sources).ok());
}

}  // namespace interlink::slurm
