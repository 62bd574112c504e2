// Subject: the backend that the suite looks at, and how to say to it what the suite wants to see.
// Each binary of the suite links one definition of MakeSubject.
#ifndef INTERLINK_TEST_CONTRACT_SUBJECT_H_
#define INTERLINK_TEST_CONTRACT_SUBJECT_H_

#include <memory>
#include <string>
#include <vector>

#include "sdk/backend.h"
#include "support/recording_host/recording_host.h"

namespace interlink::contract {

using Words = std::vector<std::string>;

class Subject {
 public:
  virtual ~Subject() = default;
  virtual test::RecordingHost& host() = 0;
  // A new backend object on the same world, as after a restart of the site.
  virtual std::unique_ptr<sdk::Backend> Make() = 0;
  virtual std::string handler() const = 0;
  virtual std::string image() const = 0;

  // Commands with that behaviour.
  virtual Words RunsForever() const = 0;  // ends with 143 at TERM
  virtual Words IgnoresStop() const = 0;
  // The line by which these two say that TERM finds its handler; empty: at once.
  virtual std::string ready() const = 0;
  virtual Words Prints(const std::string& text) const = 0;  // a line, then exit 0
  virtual Words ExitsWith(int code) const = 0;
  virtual Words CannotStart() const = 0;  // refused by create or by start
  virtual Words EchoesStdin() const = 0;  // an exec
  virtual Words SleepsLong() const = 0;   // an exec
  // An exec with a terminal: prints "ROWS COLUMNS" after a resize and a line of input.
  virtual Words PrintsSize() const = 0;
  virtual Words Complains(const std::string& text) const = 0;  // an exec: a line on stderr
  // A container that echoes on that port what comes, connection by connection.
  virtual Words EchoesOnPort(uint16_t port) const = 0;

  // What is left on the machine after everything was removed.
  virtual std::vector<std::string> Remains() = 0;
};

std::unique_ptr<Subject> MakeSubject();

}  // namespace interlink::contract

#endif  // INTERLINK_TEST_CONTRACT_SUBJECT_H_
