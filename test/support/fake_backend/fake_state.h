// FakeState: what the fake backend knows, and its files: one for each sandbox. Value types; not
// thread-safe.
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

  // The folder is made when there is none.
  static Result<FakeState> Load(const std::string& folder);
  // Writes that sandbox, or removes its file when it is gone.
  Status Save(const std::string& folder, const std::string& sandbox) const;
};

}  // namespace interlink::fake

#endif  // INTERLINK_TEST_SUPPORT_FAKE_BACKEND_FAKE_STATE_H_
