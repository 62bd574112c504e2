#include "slurm_wishes/sbatch_flags.h"

#include <algorithm>
#include <array>
#include <optional>

namespace interlink::slurm_wishes {
namespace {

struct FlagKey {
  std::string_view flag;  // without its dashes
  std::string_view letter;
  std::string_view key;
};

constexpr std::array<FlagKey, 10> kFlagKeys = {{{"cpus-per-task", "c", "cpus"},
                                                {"mem", "", "memory"},
                                                {"gpus", "G", "gpus"},
                                                {"gres", "", "gres"},
                                                {"time", "t", "time"},
                                                {"partition", "p", "partition"},
                                                {"account", "A", "account"},
                                                {"qos", "q", "qos"},
                                                {"reservation", "", "reservation"},
                                                {"constraint", "C", "constraint"}}};

// What the plugin sets, and what would change who runs what. Keys have their own place in a
// profile.
constexpr std::array<std::string_view, 39> kReserved = {"parsable",     "no-requeue",
                                                        "requeue",      "export",
                                                        "export-file",  "propagate",
                                                        "open-mode",    "nodes",
                                                        "ntasks",       "input",
                                                        "output",       "error",
                                                        "job-name",     "comment",
                                                        "chdir",        "signal",
                                                        "runtime",      "wrap",
                                                        "uid",          "gid",
                                                        "array",        "get-user-env",
                                                        "test-only",    "wait",
                                                        "hold",         "kill-on-invalid-dep",
                                                        "ignore-pbs",   "batch",
                                                        "clusters",     "container",
                                                        "container-id", "cpus-per-task",
                                                        "mem",          "gres",
                                                        "time",         "partition",
                                                        "account",      "qos",
                                                        "reservation"};

std::string ShownFlag(std::string_view text) {
  std::string safe = "\"";
  for (const char c : text.substr(0, 100)) safe += c >= ' ' && c < 0x7f ? c : '?';
  return safe + "\"";
}

// sbatch takes any beginning of an option's name that fits one option only.
bool IsReserved(std::string_view name) {
  return std::any_of(kReserved.begin(), kReserved.end(), [&](std::string_view reserved) {
    return reserved.substr(0, name.size()) == name;
  });
}

std::vector<std::string_view> SplitWords(std::string_view text) {
  constexpr std::string_view kSpace = " \t\n";
  std::vector<std::string_view> words;
  while (true) {
    const size_t begin = text.find_first_not_of(kSpace);
    if (begin == std::string_view::npos) return words;
    text.remove_prefix(begin);
    const size_t end = std::min(text.find_first_of(kSpace), text.size());
    words.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
}

struct FoundFlag {
  std::string_view key;
  std::optional<std::string_view> value;  // when it stands in the same word
};

std::optional<FoundFlag> FindFlag(std::string_view word) {
  for (const FlagKey& row : kFlagKeys) {
    if (word.substr(0, 2) == "--") {
      const size_t equals = word.find('=');
      if (word.substr(2, equals == std::string_view::npos ? equals : equals - 2) != row.flag)
        continue;
      if (equals == std::string_view::npos) return FoundFlag{row.key, std::nullopt};
      return FoundFlag{row.key, word.substr(equals + 1)};
    }
    if (!row.letter.empty() && word.size() > 1 && word.substr(1, 1) == row.letter) {
      if (word.size() == 2) return FoundFlag{row.key, std::nullopt};
      return FoundFlag{row.key, word.substr(2)};
    }
  }
  return std::nullopt;
}

std::string KnownFlags() {
  std::string known;
  for (const FlagKey& row : kFlagKeys) {
    known += (known.empty() ? "--" : ", --") + std::string(row.flag);
  }
  return known;
}

}  // namespace

Status CheckFlags(const std::vector<std::string>& flags) {
  for (const std::string& flag : flags) {
    const size_t end = std::min(flag.find('='), flag.size());
    bool good = flag.size() > 2 && flag.substr(0, 2) == "--" && end > 2;
    for (const char c : flag) good = good && c >= ' ' && c < 0x7f;
    for (size_t i = 2; good && i < end; ++i)
      good = flag[i] == '-' || (flag[i] >= 'a' && flag[i] <= 'z');
    if (!good)
      return InvalidArgument(ShownFlag(flag) + " is no option of sbatch: --name or --name=value");
    if (IsReserved(std::string_view(flag).substr(2, end - 2))) {
      return InvalidArgument(ShownFlag(flag.substr(0, end)) +
                             " is set by the plugin or has a key of its own");
    }
  }
  return {};
}

Result<std::map<std::string, std::string>> ParseIncumbentFlags(std::string_view text) {
  std::map<std::string, std::string> values;
  const auto words = SplitWords(text);
  for (const std::string_view word : words) {
    if (word.find_first_of("'\"\\`$") != std::string_view::npos) {
      return InvalidArgument(ShownFlag(word) + " has quotes or a \"$\": no shell reads it");
    }
  }
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string_view word = words[i];
    const auto found = word.front() == '-' ? FindFlag(word) : std::nullopt;
    if (!found)
      return InvalidArgument(ShownFlag(word) + " is not understood; there are: " + KnownFlags());
    std::optional<std::string_view> value = found->value;
    if (!value && i + 1 < words.size() && words[i + 1].front() != '-') value = words[++i];
    if (!value || value->empty()) return InvalidArgument(ShownFlag(word) + " has no value");
    values[std::string(found->key)] = *value;
  }
  return values;
}

}  // namespace interlink::slurm_wishes
