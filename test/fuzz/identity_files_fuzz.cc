// Any text as a token file and as a deny list: refused with its line, or understood.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "auth/deny_list.h"
#include "auth/token_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  using namespace interlink::auth;  // NOLINT(google-build-using-namespace): a program of one
                                    // function
  const std::string_view text(reinterpret_cast<const char*>(bytes), size);
  const auto tokens = TokenFile::Parse(text, "f");
  if (!tokens.ok() && !tokens.status().message().starts_with("\"f\":")) abort();
  const auto denied = DenyList::Parse(text, "f");
  if (!denied.ok() && !denied.status().message().starts_with("\"f\":")) abort();
  if (!denied.ok()) return 0;
  for (const auto& node : denied->nodes)
    if (!CheckNodeName(node).ok()) abort();
  return 0;
}
