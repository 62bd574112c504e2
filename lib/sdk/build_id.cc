#include "sdk/descriptor.h"

namespace interlink::sdk {

const char* BuildId() { return INTERLINK_BUILD_ID; }

}  // namespace interlink::sdk
