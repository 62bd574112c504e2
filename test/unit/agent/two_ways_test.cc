// Which way an agent takes, after what.
#include "agent/two_ways.h"

#include <catch2/catch.hpp>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace interlink::agent {
namespace {

// A stream that reads `answer`, once.
class OneAnswer final : public Stream {
 public:
  explicit OneAnswer(Result<std::optional<std::string>> answer) : answer_(std::move(answer)) {}
  Status Write(std::string, SteadyTime) override { return {}; }
  Result<std::optional<std::string>> Read(SteadyTime) override { return answer_; }
  void Cancel() override {}

 private:
  const Result<std::optional<std::string>> answer_;
};

struct Tries {
  std::vector<std::string> opened;  // "direct", "relay s1"
  std::map<std::string, int> made;
  std::set<std::string> working;
  bool there = false;
};

class NotingChannel final : public Channel {
 public:
  NotingChannel(Tries& tries, std::string name) : tries_(tries), name_(std::move(name)) {
    ++tries_.made[name_];
  }
  std::unique_ptr<Stream> OpenControl() override {
    tries_.opened.push_back(name_);
    if (tries_.working.count(name_) == 0) {
      return std::make_unique<OneAnswer>(Unavailable("not this way"));
    }
    return std::make_unique<OneAnswer>(std::optional<std::string>("welcome"));
  }
  std::unique_ptr<Stream> OpenStream(const std::string& id) override {
    tries_.opened.push_back(name_ + " " + id);
    return std::make_unique<OneAnswer>(std::optional<std::string>("piece"));
  }

 private:
  Tries& tries_;
  const std::string name_;
};

struct WaysLab {
  Tries tries;
  std::unique_ptr<Channel> channel =
      MakeTwoWays({[this] { return std::make_unique<NotingChannel>(tries, "direct"); },
                   [this] { return std::make_unique<NotingChannel>(tries, "relay"); },
                   [this] { return tries.there; }});
  // One connection: what was tried, and whether a message came.
  bool Connect() { return channel->OpenControl()->Read(SteadyTime::max()).ok(); }
};

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("The direct way comes first, and stays while it brings something") {
  WaysLab lab;
  lab.tries.there = true;
  lab.tries.working = {"direct", "relay"};
  CHECK(lab.Connect());
  CHECK(lab.Connect());
  CHECK(lab.tries.opened == Names{"direct", "direct"});
  CHECK(lab.tries.made == std::map<std::string, int>{{"direct", 1}});
}

TEST_CASE("Without a relay the direct way is tried again and again") {
  WaysLab lab;
  CHECK(!lab.Connect());
  CHECK(!lab.Connect());
  CHECK(lab.tries.opened == Names{"direct", "direct"});
}

TEST_CASE("A direct way that brings nothing is followed by the relay, which then stays") {
  WaysLab lab;
  lab.tries.there = true;
  lab.tries.working = {"relay"};
  CHECK(!lab.Connect());
  CHECK(lab.Connect());
  CHECK(lab.Connect());
  CHECK(lab.tries.opened == Names{"direct", "relay", "relay"});
  lab.channel->OpenStream("s1");
  CHECK(lab.tries.opened.back() == "relay s1");
}

TEST_CASE("While nothing works both ways are tried by turns") {
  WaysLab lab;
  lab.tries.there = true;
  for (int i = 0; i < 4; ++i) CHECK(!lab.Connect());
  CHECK(lab.tries.opened == Names{"direct", "relay", "direct", "relay"});
}

TEST_CASE("A way that worked and then does not is given one try more") {
  WaysLab lab;
  lab.tries.there = true;
  lab.tries.working = {"relay"};
  CHECK(!lab.Connect());
  CHECK(lab.Connect());
  lab.tries.working = {"direct"};
  CHECK(!lab.Connect());
  CHECK(lab.Connect());
  CHECK(lab.tries.opened == Names{"direct", "relay", "relay", "direct"});
}

TEST_CASE("A session's bytes do not make a way useful") {
  WaysLab lab;
  lab.tries.there = true;
  lab.tries.working = {"relay"};
  CHECK(!lab.Connect());
  CHECK(lab.channel->OpenStream("s1")->Read(SteadyTime::max()).ok());
  CHECK(lab.Connect());
  CHECK(lab.tries.opened == Names{"direct", "direct s1", "relay"});
}

TEST_CASE("Streams outlive the way that was left") {
  WaysLab lab;
  lab.tries.there = true;
  const auto stream = lab.channel->OpenStream("s1");
  CHECK(!lab.Connect());
  CHECK(!lab.Connect());
  CHECK(stream->Read(SteadyTime::max()).ok());
}

}  // namespace interlink::agent
