// FakeState: what the fake backend knows, and its file. Value types; not thread-safe.
#ifndef INTERLINK_TEST_SUPPORT_FAKE_BACKEND_FAKE_STATE_H_
#define INTERLINK_TEST_SUPPORT_FAKE_BACKEND_FAKE_STATE_H_

#include <map>
#include <string>
#include <vector>

#include "base/status.h"
#include "sdk/observation.h"

namespace interlink::fake {

struct FakeContainer {
  sdk::Observation fact;
  std::vector<std::string> command;
  std::string log;  // CRI lines
};

struct FakeSandbox {
  sdk::Observation fact;
  std::map<std::string, FakeContainer> containers;  // by id
};

struct FakeState {
  std::map<std::string, FakeSandbox> sandboxes;  // by id

  // An absent file is an empty state.
  static Result<FakeState> Load(const std::string& path);
  Status Save(const std::string& path) const;
};

}  // namespace interlink::fake

#endif  // INTERLINK_TEST_SUPPORT_FAKE_BACKEND_FAKE_STATE_H_
