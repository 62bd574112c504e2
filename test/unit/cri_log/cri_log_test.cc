#include "cri_log/cri_log.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <fstream>

#include "log_lab.h"

namespace interlink::cri_log {
namespace {

const ContainerId kId("c1");
const ContainerId kOther("c2");

class Lab {
 public:
  Folder folder;
  NullLog log;
  NullMetrics metrics;
  std::unique_ptr<node::LogFiles> files = cri_log::Open(log, metrics);
  Positions positions{*files};

  // The log thread must not tell positions that are gone.
  ~Lab() {
    if (files != nullptr) files->SetDurable({});
  }

  void Send(const ContainerId& id, uint64_t offset, const std::string& bytes) {
    files->Append(id, offset, bytes, offset + bytes.size());
  }
  std::string Text(const std::string& name) const { return ReadFile(folder.File(name)).value(); }
};

TEST_CASE("opening makes an empty file with 0640, and opening again is fine") {
  Lab lab;
  const mode_t mask = umask(0077);

  const Status status = lab.files->Open(kId, lab.folder.File("0.log"), {}, false);
  umask(mask);

  REQUIRE(status.ok());
  struct stat about {};
  REQUIRE(stat(lab.folder.File("0.log").c_str(), &about) == 0);
  REQUIRE((about.st_mode & 0777) == 0640);
  REQUIRE(about.st_size == 0);
  REQUIRE(lab.files->Open(kId, lab.folder.File("0.log"), {}, false).ok());
  REQUIRE(lab.files->Open(kId, lab.folder.File("1.log"), {}, false).code() ==
          Code::kFailedPrecondition);
  REQUIRE_FALSE(std::filesystem::exists(lab.folder.File("1.log")));
}

TEST_CASE("an existing file is continued, never emptied") {
  Lab lab;
  std::ofstream(lab.folder.File("0.log")) << Line(5, "earlier");

  REQUIRE(lab.files->Open(kId, lab.folder.File("0.log"), {}, false).ok());
  lab.Send(kId, 0, Line(9, "new"));
  REQUIRE(CloseAndWait(*lab.files, kId));

  REQUIRE(lab.Text("0.log") == Line(5, "earlier") + Line(9, "new"));
}

TEST_CASE("a path that could lead elsewhere is refused") {
  Lab lab;
  const std::string& folder = lab.folder.path();
  REQUIRE(symlink("/etc/hostname", lab.folder.File("link").c_str()) == 0);
  REQUIRE(mkfifo(lab.folder.File("pipe").c_str(), 0600) == 0);
  // '@' is the folder.
  std::string path = GENERATE(values<std::string>({
      "relative.log",
      "@/../x.log",
      "/..",
      "..",
      "@/link",
      "@/pipe",
      "@",
      "@/",
      std::string("@/a\0b", 5),
      "/" + std::string(5000, 'a'),
  }));
  if (path[0] == '@') path = folder + path.substr(1);

  const bool resume = GENERATE(false, true);
  const Status status = lab.files->Open(kId, path, {}, resume);

  INFO(path);
  REQUIRE(status.code() == Code::kInvalidArgument);
}

TEST_CASE("two dots inside a name are a name") {
  Lab lab;

  REQUIRE(lab.files->Open(kId, lab.folder.File("..a..log"), {}, false).ok());
}

TEST_CASE("a missing folder is made at the start, and only then") {
  // Kubelet makes it; a pod from crictl often has none, and its log must not be lost for that. A
  // folder that kubelet deleted since must not come back.
  Lab lab;

  REQUIRE(lab.files->Open(kId, lab.folder.File("pod/0.log"), {}, false).ok());
  REQUIRE(std::filesystem::exists(lab.folder.File("pod/0.log")));

  std::filesystem::remove_all(lab.folder.File("pod"));
  const Status reopened = lab.files->Reopen(kId, true);
  REQUIRE(reopened.code() == Code::kNotFound);
  REQUIRE(reopened.message().find("log folder \"" + lab.folder.File("pod") + "\"") !=
          std::string::npos);
  REQUIRE_FALSE(std::filesystem::exists(lab.folder.File("pod")));
}

TEST_CASE("a file that cannot be opened at the start is opened later and loses nothing") {
  // The whole log was once lost for a full disk or for too many open files at the start.
  Lab lab;
  std::filesystem::create_directory(lab.folder.File("real"));
  std::ofstream(lab.folder.File("blocker")) << "no folder";
  std::filesystem::create_symlink("blocker", lab.folder.File("pod"));
  std::filesystem::create_symlink("real", lab.folder.File("next"));
  const bool resume = GENERATE(false, true);
  CAPTURE(resume);
  if (resume) std::ofstream(lab.folder.File("real/0.log")) << Line(5, "old");

  REQUIRE_FALSE(lab.files->Open(kId, lab.folder.File("pod/0.log"), {}, resume).ok());
  lab.Send(kId, 0, Line(5, "old") + Line(9, "new"));
  std::filesystem::rename(lab.folder.File("next"), lab.folder.File("pod"));

  REQUIRE(lab.positions.WaitFor(kId, Line(5, "old").size() + Line(9, "new").size()));
  REQUIRE(lab.Text("real/0.log") == Line(5, "old") + Line(9, "new"));
}

TEST_CASE("a log that could not be opened is opened by Reopen") {
  Lab lab;
  std::ofstream(lab.folder.File("pod")) << "in the way of the folder";
  REQUIRE_FALSE(lab.files->Open(kId, lab.folder.File("pod/0.log"), {}, false).ok());
  CHECK_FALSE(lab.files->Reopen(kId, true).ok());
  std::filesystem::remove(lab.folder.File("pod"));
  std::filesystem::create_directory(lab.folder.File("pod"));

  REQUIRE(lab.files->Reopen(kId, true).ok());

  REQUIRE(std::filesystem::exists(lab.folder.File("pod/0.log")));
  lab.Send(kId, 0, Line(9, "new"));
  REQUIRE(CloseAndWait(*lab.files, kId));
  REQUIRE(lab.Text("pod/0.log") == Line(9, "new"));
}

TEST_CASE("only whole lines reach the file and count as durable") {
  Lab lab;
  REQUIRE(lab.files->Open(kId, lab.folder.File("0.log"), {}, false).ok());
  const std::string one = Line(1, "one");
  const std::string two = Line(2, "two");

  lab.Send(kId, 0, one + two.substr(0, 20));
  REQUIRE(lab.positions.WaitFor(kId, one.size()));
  REQUIRE(lab.positions.Get(kId).site_offset == one.size());
  REQUIRE(lab.positions.Get(kId).file_offset == one.size());
  REQUIRE(lab.Text("0.log") == one);
  lab.Send(kId, one.size() + 20, two.substr(20));
  REQUIRE(lab.positions.WaitFor(kId, one.size() + two.size()));

  REQUIRE(lab.Text("0.log") == one + two);
}

TEST_CASE("repeated and overlapping bytes are written once") {
  Lab lab;
  std::mt19937 random(1);
  const std::string stream = Join(MakeLines(random, 500));
  REQUIRE(lab.files->Open(kId, lab.folder.File("0.log"), {}, false).ok());

  Send(*lab.files, kId, stream, 0, stream.size(), random);
  lab.Send(kId, 10, stream.substr(10, 1000));
  REQUIRE(CloseAndWait(*lab.files, kId));

  REQUIRE(lab.Text("0.log") == stream);
  REQUIRE(lab.positions.Get(kId).site_offset == stream.size());
}

TEST_CASE("what the site has dropped leaves whole lines and a moved position") {
  Lab lab;
  REQUIRE(lab.files->Open(kId, lab.folder.File("0.log"), {}, false).ok());
  const std::string one = Line(1, "one");
  const std::string later = Line(9, "later");

  lab.files->Append(kId, 0, one + "2023-torn", 10'000);
  lab.Send(kId, 10'000, "the end of a line that began before\n" + later);
  REQUIRE(lab.positions.WaitFor(kId, 10'000 + 36 + later.size()));

  REQUIRE(lab.Text("0.log") == one + later);
}

TEST_CASE("a site that never ends its line cannot fill the memory") {
  Lab lab;
  REQUIRE(lab.files->Open(kId, lab.folder.File("0.log"), {}, false).ok());
  const std::string rubbish(1'000'000, 'x');

  lab.Send(kId, 0, rubbish);
  lab.Send(kId, rubbish.size(), "x\n" + Line(3, "sense"));
  REQUIRE(lab.positions.WaitFor(kId, rubbish.size() + 2 + Line(3, "sense").size()));

  REQUIRE(lab.Text("0.log") == Line(3, "sense"));
}

TEST_CASE("an empty path discards and still acknowledges") {
  Lab lab;
  REQUIRE(lab.files->Open(kId, "", {}, GENERATE(false, true)).ok());

  lab.Send(kId, 0, Line(1, "one"));

  REQUIRE(lab.positions.WaitFor(kId, Line(1, "one").size()));
  REQUIRE(lab.files->Reopen(kId, true).ok());
  REQUIRE(CloseAndWait(*lab.files, kId));
  REQUIRE(std::filesystem::is_empty(lab.folder.path()));
}

TEST_CASE("after a rotation the new file exists at once and takes what follows") {
  Lab lab;
  REQUIRE(lab.files->Open(kId, lab.folder.File("0.log"), {}, false).ok());
  const std::string one = Line(1, "one");
  const std::string two = Line(2, "two");
  lab.Send(kId, 0, one + two.substr(0, 7));
  REQUIRE(lab.positions.WaitFor(kId, one.size()));
  std::filesystem::rename(lab.folder.File("0.log"), lab.folder.File("0.log.20260101-000000"));

  REQUIRE(lab.files->Reopen(kId, true).ok());

  REQUIRE(std::filesystem::exists(lab.folder.File("0.log")));
  lab.Send(kId, one.size() + 7, two.substr(7));
  REQUIRE(CloseAndWait(*lab.files, kId));
  REQUIRE(lab.Text("0.log.20260101-000000") == one);
  REQUIRE(lab.Text("0.log") == two);
}

TEST_CASE(
    "a file is made again for a running container only, and only where kubelet has a folder") {
  Lab lab;
  std::filesystem::create_directory(lab.folder.File("pod"));
  REQUIRE(lab.files->Open(kId, lab.folder.File("pod/0.log"), {}, false).ok());
  std::filesystem::remove(lab.folder.File("pod/0.log"));

  REQUIRE(lab.files->Reopen(kId, false).code() == Code::kFailedPrecondition);
  REQUIRE_FALSE(std::filesystem::exists(lab.folder.File("pod/0.log")));
  REQUIRE(lab.files->Reopen(kId, true).ok());
  REQUIRE(std::filesystem::exists(lab.folder.File("pod/0.log")));
  std::filesystem::remove_all(lab.folder.File("pod"));
  REQUIRE(lab.files->Reopen(kId, true).code() == Code::kNotFound);
  REQUIRE(lab.files->Reopen(kOther, true).code() == Code::kNotFound);
  REQUIRE(CloseAndWait(*lab.files, kId));
}

TEST_CASE("logs that kubelet has deleted take what comes and close") {
  Lab lab;
  std::filesystem::create_directory(lab.folder.File("pod"));
  REQUIRE(lab.files->Open(kId, lab.folder.File("pod/0.log"), {}, false).ok());
  std::filesystem::remove_all(lab.folder.File("pod"));

  lab.Send(kId, 0, Line(1, "one"));

  REQUIRE(lab.positions.WaitFor(kId, Line(1, "one").size()));
  REQUIRE(CloseAndWait(*lab.files, kId));
  REQUIRE_FALSE(std::filesystem::exists(lab.folder.File("pod")));
}

TEST_CASE("closing what is not open is done at once, and late bytes are dropped") {
  Lab lab;

  REQUIRE(CloseAndWait(*lab.files, kId));
  lab.Send(kId, 0, Line(1, "late"));
  REQUIRE(CloseAndWait(*lab.files, kId));

  REQUIRE(lab.positions.Get(kId).site_offset == 0);
}

TEST_CASE("after SetDurable({}) nobody is called any more") {
  Lab lab;
  REQUIRE(lab.files->Open(kId, lab.folder.File("0.log"), {}, false).ok());
  lab.files->SetDurable({});

  lab.Send(kId, 0, Line(1, "one"));
  REQUIRE(CloseAndWait(*lab.files, kId));

  REQUIRE(lab.Text("0.log") == Line(1, "one"));
  REQUIRE(lab.positions.Get(kId).site_offset == 0);
}

TEST_CASE("what was enqueued before the end is written") {
  Lab lab;
  std::mt19937 random(3);
  const std::string stream = Join(MakeLines(random, 3000));
  REQUIRE(lab.files->Open(kId, lab.folder.File("0.log"), {}, false).ok());

  for (uint64_t at = 0; at < stream.size(); at += 65536)
    lab.Send(kId, at, stream.substr(at, 65536));
  lab.files.reset();

  REQUIRE(lab.Text("0.log") == stream);
}

// Files may not grow beyond `bytes` while it lives: write(2) then fails in the middle of a line, as
// on a full disk.
class FileLimit {
 public:
  explicit FileLimit(rlim_t bytes) {
    getrlimit(RLIMIT_FSIZE, &before_);
    handler_ = signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_{};
  void (*handler_)(int) = nullptr;
};

TEST_CASE("a file that cannot grow waits, holds up no other and loses nothing") {
  Lab lab;
  const std::string one = Line(1, std::string(1000, 'a'));
  const std::string two = Line(2, std::string(1000, 'b'));
  const std::string small = Line(3, "small");
  REQUIRE(lab.files->Open(kId, lab.folder.File("full.log"), {}, false).ok());
  REQUIRE(lab.files->Open(kOther, lab.folder.File("other.log"), {}, false).ok());
  {
    const FileLimit limit(one.size() + 500);
    lab.Send(kId, 0, one + two);
    lab.Send(kOther, 0, small);
    REQUIRE(lab.positions.WaitFor(kOther, small.size()));
    // The torn half of the second line was taken back.
    REQUIRE(lab.Text("full.log") == one);
    REQUIRE(lab.positions.Get(kId).site_offset < one.size() + two.size());
  }

  REQUIRE(lab.positions.WaitFor(kId, one.size() + two.size()));
  REQUIRE(lab.Text("full.log") == one + two);
}

TEST_CASE("kubelet may make room by a rotation") {
  Lab lab;
  const std::string one = Line(1, std::string(1000, 'a'));
  const std::string two = Line(2, std::string(1000, 'b'));
  REQUIRE(lab.files->Open(kId, lab.folder.File("0.log"), {}, false).ok());
  const FileLimit limit(one.size() + 500);
  lab.Send(kId, 0, one + two);
  REQUIRE(lab.files->Open(kOther, lab.folder.File("other.log"), {}, false).ok());
  lab.Send(kOther, 0, one);
  REQUIRE(lab.positions.WaitFor(kOther, one.size()));

  std::filesystem::rename(lab.folder.File("0.log"), lab.folder.File("0.log.1"));
  REQUIRE(lab.files->Reopen(kId, true).ok());

  REQUIRE(lab.positions.WaitFor(kId, one.size() + two.size()));
  REQUIRE(lab.Text("0.log.1") + lab.Text("0.log") == one + two);
}

TEST_CASE("a blocked log whose file was deleted closes") {
  Lab lab;
  const std::string one = Line(1, std::string(1000, 'a'));
  REQUIRE(lab.files->Open(kId, lab.folder.File("0.log"), {}, false).ok());
  const FileLimit limit(500);
  lab.Send(kId, 0, one);
  std::filesystem::remove(lab.folder.File("0.log"));

  REQUIRE(CloseAndWait(*lab.files, kId));

  REQUIRE(lab.positions.Get(kId).site_offset == 0);
}

TEST_CASE("many logs are written side by side") {
  Lab lab;
  std::mt19937 random(2);
  std::vector<std::string> streams;
  for (int i = 0; i < 50; ++i) {
    streams.push_back(Join(MakeLines(random, 40)));
    REQUIRE(lab.files
                ->Open(ContainerId("c" + std::to_string(i)),
                       lab.folder.File(std::to_string(i) + ".log"), {}, false)
                .ok());
  }

  for (size_t i = 0; i < streams.size(); ++i) {
    Send(*lab.files, ContainerId("c" + std::to_string(i)), streams[i], 0, streams[i].size(),
         random);
  }

  for (size_t i = 0; i < streams.size(); ++i) {
    const ContainerId id("c" + std::to_string(i));
    REQUIRE(lab.positions.WaitFor(id, streams[i].size()));
    REQUIRE(lab.positions.Get(id).file_offset == streams[i].size());
    REQUIRE(lab.Text(std::to_string(i) + ".log") == streams[i]);
  }
}

TEST_CASE("64 MiB in chunks of the wire arrive whole") {
  Lab lab;
  const std::string line = Line(1'700'000'000'000'000'000, std::string(88, 'x'));
  std::string block;
  while (block.size() + line.size() <= 65536) block += line;
  REQUIRE(lab.files->Open(kId, lab.folder.File("0.log"), {}, false).ok());
  const auto begin = std::chrono::steady_clock::now();

  uint64_t offset = 0;
  for (; offset < (64U << 20U); offset += block.size()) lab.Send(kId, offset, block);
  REQUIRE(lab.positions.WaitFor(kId, offset));

  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  INFO("MB/s: " << static_cast<double>(offset) / 1e6 / took.count());
  REQUIRE(std::filesystem::file_size(lab.folder.File("0.log")) == offset);
  REQUIRE(took.count() < 30);
}

}  // namespace
}  // namespace interlink::cri_log
