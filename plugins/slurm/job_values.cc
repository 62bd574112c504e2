#include "slurm/job_values.h"

#include <array>
#include <optional>

#include "slurm/numbers.h"

namespace interlink::slurm {
namespace {

constexpr size_t kValueLimit = 256;  // bytes of any value
constexpr int64_t kMaxCpus = 65535;
constexpr int64_t kMaxMemoryMib = int64_t{1} << 30;  // 1 PiB
constexpr int64_t kMaxMinutes = int64_t{366} * 24 * 60;
constexpr int64_t kMaxGres = 65535;
constexpr int64_t kKibInMib = 1024;
constexpr int64_t kSecondsInMinute = 60;

// A hostile value is shown, but not as it came.
std::string Shown(std::string_view text) {
  std::string safe = "\"";
  for (const char c : text.substr(0, kValueLimit)) safe += c >= ' ' && c < 0x7f ? c : '?';
  return safe + "\"";
}

Status IsNo(std::string_view text, const std::string& right) {
  return InvalidArgument(Shown(text) + " is no " + right);
}

bool IsWordCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

bool IsName(std::string_view text) {
  if (text.empty() || text.size() > kValueLimit || text.front() == '-') return false;
  for (const char c : text) {
    if (!IsWordCharacter(c) && c != '-' && c != '.' && c != '@') return false;
  }
  return true;
}

std::vector<std::string_view> Split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

// Digits with colons between them, from the highest unit down.
std::optional<std::vector<int64_t>> ClockNumbers(std::string_view text) {
  std::vector<int64_t> numbers;
  for (const std::string_view part : Split(text, ':')) {
    const auto number = ParseDigits<int64_t>(part);
    if (!number || *number > kMaxMinutes * kSecondsInMinute) return std::nullopt;
    numbers.push_back(*number);
  }
  return numbers;
}

std::optional<int64_t> Seconds(std::string_view text) {
  constexpr std::array<int64_t, 3> kOfDay = {3600, 60, 1};   // days-hours:minutes:seconds
  constexpr std::array<int64_t, 2> kMinutesFirst = {60, 1};  // minutes:seconds
  constexpr int64_t kDay = 86400;
  const size_t dash = text.find('-');
  int64_t total = 0;
  if (dash != std::string_view::npos) {
    const auto days = ParseDigits<int64_t>(text.substr(0, dash));
    if (!days || *days > kMaxMinutes) return std::nullopt;
    total = *days * kDay;
    text.remove_prefix(dash + 1);
  }
  const auto numbers = ClockNumbers(text);
  if (!numbers || numbers->size() > kOfDay.size()) return std::nullopt;
  const bool hours_first = dash != std::string_view::npos || numbers->size() == kOfDay.size();
  for (size_t i = 0; i < numbers->size(); ++i) {
    total += numbers->at(i) * (hours_first ? kOfDay.at(i) : kMinutesFirst.at(i));
  }
  return total;
}

std::optional<int64_t> Count(std::string_view text) {
  const auto count = ParseDigits<int64_t>(text);
  if (!count || *count < 1 || *count > kMaxGres) return std::nullopt;
  return count;
}

}  // namespace

Result<int64_t> ParseCpus(std::string_view text) {
  const auto cpus = ParseDigits<int64_t>(text);
  if (!cpus || *cpus < 1 || *cpus > kMaxCpus) {
    return IsNo(text, "number of CPUs: 1 to " + std::to_string(kMaxCpus));
  }
  return *cpus;
}

Result<int64_t> ParseMemoryMib(std::string_view text) {
  const Status wrong =
      IsNo(text, "amount of memory: a number of MiB, or with K, M, G or T behind it");
  std::string_view number = text;
  if (!number.empty() && number.back() == 'i') number.remove_suffix(1);
  const bool binary = number.size() != text.size();
  char unit = 'M';
  if (!number.empty() && (number.back() < '0' || number.back() > '9')) {
    unit = number.back();
    number.remove_suffix(1);
  } else if (binary) {
    return wrong;
  }
  const auto amount = ParseDigits<int64_t>(number);
  if (!amount || *amount < 1 || *amount > kMaxMemoryMib) return wrong;
  int64_t mib = *amount;
  switch (unit) {
    case 'K':
      mib = (*amount + kKibInMib - 1) / kKibInMib;
      break;
    case 'M':
      break;
    case 'G':
      mib = *amount * kKibInMib;
      break;
    case 'T':
      mib = *amount * kKibInMib * kKibInMib;
      break;
    default:
      return wrong;
  }
  if (mib > kMaxMemoryMib) return wrong;
  return mib;
}

Result<int64_t> ParseTimeMinutes(std::string_view text) {
  const Status wrong = IsNo(text,
                            "time: minutes, hours:minutes:seconds or days-hours:minutes:seconds, "
                            "at most 366 days");
  if (text.size() > kValueLimit) return wrong;
  std::optional<int64_t> seconds;
  if (text.find_first_of(":-") == std::string_view::npos) {
    seconds = ParseDigits<int64_t>(text);
    if (seconds && *seconds > kMaxMinutes) return wrong;
    if (seconds) *seconds *= kSecondsInMinute;
  } else {
    seconds = Seconds(text);
  }
  if (!seconds || *seconds < 1) return wrong;
  const int64_t minutes = (*seconds + kSecondsInMinute - 1) / kSecondsInMinute;
  if (minutes > kMaxMinutes) return wrong;
  return minutes;
}

std::string GresText(const Gres& gres) {
  return gres.name + ":" + (gres.type.empty() ? "" : gres.type + ":") + std::to_string(gres.count);
}

Result<std::vector<Gres>> ParseGres(std::string_view text) {
  const Status wrong =
      IsNo(text, "list of generic resources: NAME:COUNT or NAME:TYPE:COUNT, commas between");
  if (text.size() > kValueLimit) return wrong;
  std::vector<Gres> list;
  for (const std::string_view item : Split(text, ',')) {
    const auto parts = Split(item, ':');
    // SLURM reads "gres:gpu:8" as gpu:8.
    if (parts.size() > 3 || !IsName(parts[0]) || parts[0] == "gres") return wrong;
    Gres gres{std::string(parts[0]), "", 1};
    const bool counted = parts.size() > 1 && ParseDigits<int64_t>(parts.back()).has_value();
    if (counted) {
      const auto count = Count(parts.back());
      if (!count) return wrong;
      gres.count = *count;
    }
    if (parts.size() == 3 && !counted) return wrong;
    if (parts.size() == 3 || (parts.size() == 2 && !counted)) {
      if (!IsName(parts[1])) return wrong;
      gres.type = parts[1];
    }
    list.push_back(std::move(gres));
  }
  return list;
}

Result<std::vector<Gres>> ParseGpus(std::string_view text) {
  const Status wrong =
      IsNo(text, "number of GPUs: COUNT or TYPE:COUNT, commas between several types");
  if (text.size() > kValueLimit) return wrong;
  std::vector<Gres> list;
  for (const std::string_view item : Split(text, ',')) {
    const size_t colon = item.find(':');
    const std::string_view type = colon == std::string_view::npos ? "" : item.substr(0, colon);
    const auto count = Count(colon == std::string_view::npos ? item : item.substr(colon + 1));
    if (!count || (colon != std::string_view::npos && !IsName(type))) return wrong;
    list.push_back({"gpu", std::string(type), *count});
  }
  return list;
}

Result<std::string> ParseName(std::string_view what, std::string_view text) {
  if (IsName(text)) return std::string(text);
  return IsNo(text,
              std::string(what) +
                  ": letters, digits, \"_\", \"-\", \".\" and \"@\", not \"-\" first, at most " +
                  std::to_string(kValueLimit) + " bytes");
}

Result<std::vector<std::string>> ParseNames(std::string_view what, std::string_view text) {
  std::vector<std::string> names;
  if (text.size() > kValueLimit) return ParseName(what, text).status();
  for (const std::string_view item : Split(text, ',')) {
    ASSIGN_OR_RETURN(std::string name, ParseName(what, item));
    names.push_back(std::move(name));
  }
  return names;
}

Result<std::string> ParseConstraint(std::string_view text) {
  constexpr std::string_view kOperators = "-.@&|,*()[]=:!";
  bool good = !text.empty() && text.size() <= kValueLimit && text.front() != '-';
  for (const char c : text) {
    good = good && (IsWordCharacter(c) || kOperators.find(c) != std::string_view::npos);
  }
  if (good) return std::string(text);
  return IsNo(
      text,
      "constraint: names of features with \"&\", \"|\", \"*\", \",\", brackets between them, "
      "no spaces, at most " +
          std::to_string(kValueLimit) + " bytes");
}

}  // namespace interlink::slurm
