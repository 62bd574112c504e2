// SLURM's commands as a test wants them: each call is noted, and answered by what `answer` says.
// Thread-safe as far as `answer` is.
#ifndef INTERLINK_TEST_SUPPORT_FAKE_COMMANDS_H_
#define INTERLINK_TEST_SUPPORT_FAKE_COMMANDS_H_

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "slurm/commands.h"

namespace interlink::test {

class FakeCommands final : public slurm::Commands {
 public:
  struct Ran {
    std::vector<std::string> argv;
    std::string input;
  };

  // What the next calls are answered; it may move a clock.
  std::function<Result<slurm::Answer>(const Ran&)> answer =
      [](const Ran&) -> Result<slurm::Answer> { return slurm::Answer{}; };

  Result<slurm::Answer> Run(const Call&, const std::vector<std::string>& argv,
                            std::string_view input) override {
    Ran ran{argv, std::string(input)};
    {
      const MutexLock lock(mutex_);
      calls_.push_back(ran);
    }
    return answer(ran);
  }

  // What goes on: a process of a test's own.
  std::function<Result<slurm::Started>(const std::vector<std::string>&)> start =
      [](const std::vector<std::string>&) -> Result<slurm::Started> {
    return Unavailable("nothing can be started here");
  };
  Result<slurm::Started> Start(const std::vector<std::string>& argv) override {
    {
      const MutexLock lock(mutex_);
      calls_.push_back({argv, ""});
    }
    return start(argv);
  }

  std::vector<Ran> calls() const {
    const MutexLock lock(mutex_);
    return calls_;
  }
  size_t Count(const std::string& command) const {
    size_t count = 0;
    for (const Ran& ran : calls()) count += ran.argv.front() == command ? 1 : 0;
    return count;
  }

 private:
  mutable Mutex mutex_;
  std::vector<Ran> calls_ GUARDED_BY(mutex_);
};

}  // namespace interlink::test

#endif  // INTERLINK_TEST_SUPPORT_FAKE_COMMANDS_H_
