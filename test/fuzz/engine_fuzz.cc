// What the engine reads that others wrote: results and configurations of CNI, seccomp profiles of
// pods, passwd and group of images. Input: halves divided by a line "---".
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "engine/cni_config.h"
#include "engine/seccomp_file.h"
#include "engine/stats_text.h"
#include "engine/users.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  using namespace interlink::engine;  // NOLINT(google-build-using-namespace): a program of one
                                      // function
  constexpr std::string_view kDivider = "\n---\n";
  const std::string input(reinterpret_cast<const char*>(bytes), size);
  const size_t at = input.find(kDivider);
  const std::string first = input.substr(0, at);
  const std::string second =
      at == std::string::npos ? std::string() : input.substr(at + kDivider.size());
  const auto steps = CniSteps(first, {});
  static_cast<void>(MapsHostPorts(first));
  static_cast<void>(CniAddresses(first));
  static_cast<void>(CniErrorText(first, second));
  if (steps.ok()) {
    for (const CniStep& step : *steps) static_cast<void>(WithPreviousResult(step.config, second));
  }
  static_cast<void>(ParseSeccompProfile(input));
  static_cast<void>(ParseNetDev(input));
  UserRequest request;
  request.image_user = second.substr(0, 64);
  const auto user = ResolveUser(request, first, second);
  if (user.ok() && (user->groups.empty() || user->groups.front() != user->gid)) abort();
  return 0;
}
