#include "sdk/descriptor.h"
#include "support/fake_backend/fake_backend.h"

INTERLINK_PLUGIN("fake", interlink::fake::FakeBackend::Create)
