#include "auth/audit_log.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "auth/audit_files.h"
#include "auth/audit_print.h"
#include "auth/audit_reader.h"
#include "support/eventually.h"
#include "support/small_disk.h"
#include "support/temporary_folder.h"

namespace interlink::auth {
namespace {

using test::Eventually;
using test::TemporaryFolder;

// A fresh private key as PEM, mode 0600.
void WriteKey(const std::string& path, int type = EVP_PKEY_ED25519) {
  EVP_PKEY* key = nullptr;
  EVP_PKEY_CTX* context = EVP_PKEY_CTX_new_id(type, nullptr);
  REQUIRE(EVP_PKEY_keygen_init(context) == 1);
  REQUIRE(EVP_PKEY_keygen(context, &key) == 1);
  FILE* file = fopen(path.c_str(), "w");
  REQUIRE(file != nullptr);
  REQUIRE(chmod(path.c_str(), 0600) == 0);
  REQUIRE(PEM_write_PrivateKey(file, key, nullptr, nullptr, 0, nullptr, nullptr) == 1);
  REQUIRE(fclose(file) == 0);
  EVP_PKEY_free(key);
  EVP_PKEY_CTX_free(context);
}

AuditRecord RecordOf(const std::string& sandbox) {
  AuditRecord record;
  record.event = "call";
  record.request = "r-" + sandbox;
  record.node = "node-1";
  record.certificate = "node-1";
  record.from = "10.0.0.1:4711";
  record.call = "RunSandbox";
  record.about = {{"sandbox", sandbox}, {"pod", "default/p"}};
  record.code = "OK";
  record.rule = "physics";
  record.took = std::chrono::milliseconds(3);
  return record;
}

struct AuditLab {
  AuditLab() { WriteKey(options.signing_key_file); }

  std::unique_ptr<AuditLog> Open() {
    auto made = AuditLog::Open(options, log, metrics, clock);
    INFO(made.status().ToString());
    REQUIRE(made.ok());
    return *std::move(made);
  }
  void Write(int records) {
    const auto audit = Open();
    for (int i = 0; i < records; ++i) audit->Append(RecordOf(std::to_string(i)));
    audit->Stop(std::chrono::seconds(30));
  }
  AuditReport Verify() const {
    auto key = AuditKey::LoadPublic(options.signing_key_file);
    REQUIRE(key.ok());
    auto report = VerifyAudit(options.folder, {*key});
    INFO(report.status().ToString());
    REQUIRE(report.ok());
    return *std::move(report);
  }
  std::string Path(uint64_t number) const { return options.folder + "/" + AuditFileName(number); }
  std::vector<std::string> Lines(uint64_t number) const {
    std::ifstream in(Path(number));
    std::vector<std::string> lines;
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
  }
  void Put(uint64_t number, const std::vector<std::string>& lines) const {
    std::ofstream out(Path(number));
    for (const std::string& line : lines) out << line << "\n";
  }

  const TemporaryFolder folder;
  AuditOptions options = [this] {
    AuditOptions made;
    made.folder = folder.File("audit");
    made.signing_key_file = folder.File("key.pem");
    made.daemon = "interlink-api";
    made.name = "here";
    return made;
  }();
  NullLog log;
  NullMetrics metrics;
  SystemClock clock;
};

bool Says(const AuditReport& report, const std::string& text) {
  return std::any_of(report.problems.begin(), report.problems.end(),
                     [&](const auto& problem) { return problem.find(text) != std::string::npos; });
}

TEST_CASE("records are lines of JSON that hold each other, signed at both ends of a file") {
  AuditLab lab;

  lab.Write(3);

  const AuditReport report = lab.Verify();
  CHECK(report.problems.empty());
  CHECK(report.records == 3);
  CHECK(report.files == 1);
  CHECK(report.signatures == 2);
  CHECK(report.unsealed == 0);
  CHECK(report.closed);
  const auto lines = lab.Lines(1);
  REQUIRE(lines.size() == 5);
  const auto record = nlohmann::json::parse(lines[1]);
  CHECK(record["n"] == 2);
  CHECK(record["event"] == "call");
  CHECK(record["node"] == "node-1");
  CHECK(record["about"]["sandbox"] == "0");
  CHECK(record["result"] == "ok");
  CHECK(record["rule"] == "physics");
  CHECK(record["us"] == 3000);
  CHECK(nlohmann::json::parse(lines[0])["name"] == "here");
  struct stat about {};
  REQUIRE(stat(lab.Path(1).c_str(), &about) == 0);
  CHECK((about.st_mode & 0777U) == 0600);
  REQUIRE(stat(lab.options.folder.c_str(), &about) == 0);
  CHECK((about.st_mode & 0777U) == 0700);
}

TEST_CASE("the largest record is a line, whatever its caller has written into it") {
  const std::string text(1U << 20U, GENERATE('a', '\x01', '"', '\xff'));
  AuditRecord record = RecordOf("1");
  for (std::string* one : {&record.request, &record.traceparent, &record.node, &record.certificate,
                           &record.issuer, &record.subject, &record.tenant, &record.from,
                           &record.call, &record.code, &record.rule, &record.why})
    *one = text;
  record.process = AuditRecord::Process{1, 2, 3, text};
  for (int i = 0; i < 10'000; ++i) record.about.emplace_back("id", text.substr(0, 4096));

  const std::string members = EncodeAuditRecord(record);

  CHECK(members.size() < kMaxAuditLine - 1024);  // the rest: the chain's own members
  CHECK(nlohmann::json::accept("{" + members + "}"));
}

TEST_CASE("any change of any line is found") {
  AuditLab lab;
  lab.Write(4);
  const auto lines = lab.Lines(1);

  for (size_t i = 0; i < lines.size(); ++i) {
    for (const size_t at : {size_t{5}, lines[i].size() / 2, lines[i].size() - 3}) {
      auto changed = lines;
      changed[i][at] = changed[i][at] == '7' ? '8' : '7';
      lab.Put(1, changed);
      INFO("line " << i << " byte " << at);
      CHECK_FALSE(lab.Verify().problems.empty());
    }
  }
}

TEST_CASE("a line that is gone, put in, or moved is found, though the rest was linked anew") {
  AuditLab lab;
  lab.Write(4);
  const auto lines = lab.Lines(1);

  SECTION("gone") {
    auto less = lines;
    less.erase(less.begin() + 2);
    lab.Put(1, less);
    CHECK(Says(lab.Verify(), "audit-00000001.jsonl:3: is line 4, line 3 should follow here"));
  }
  SECTION("twice") {
    auto more = lines;
    more.insert(more.begin() + 2, lines[2]);
    lab.Put(1, more);
    CHECK_FALSE(lab.Verify().problems.empty());
  }
  SECTION("moved") {
    auto moved = lines;
    std::swap(moved[1], moved[2]);
    lab.Put(1, moved);
    CHECK(Says(lab.Verify(), "does not hold the line before it"));
  }
  SECTION("a record made up, with a chain that fits") {
    AuditChain chain;
    std::vector<std::string> forged;
    for (const std::string& line : lines) {
      std::string members = line.substr(line.find("\"event\""));
      members.pop_back();
      if (members.find("\"call\"") != std::string::npos)
        members.replace(members.find("r-"), 3, "r-9");
      std::string made = chain.Add(0, members);
      made.pop_back();
      forged.push_back(made);
    }
    lab.Put(1, forged);
    const AuditReport report = lab.Verify();
    CHECK(Says(report, "audit-00000001.jsonl:1: its signature is wrong"));
    CHECK(Says(report, "audit-00000001.jsonl:6: its signature is wrong"));
  }
  SECTION("something behind a signature") {
    auto more = lines;
    more.back().insert(more.back().size() - 1, ",\"x\":1");
    lab.Put(1, more);
    CHECK(Says(lab.Verify(), "has no signature at its end"));
  }
}

TEST_CASE("files go on from each other, and one that is missing or renamed is found") {
  AuditLab lab;
  for (int i = 0; i < 4; ++i) lab.Write(2);
  REQUIRE(lab.Verify().problems.empty());
  CHECK(lab.Verify().files == 4);
  CHECK(lab.Verify().records == 8);

  SECTION("in the middle") {
    std::filesystem::remove(lab.Path(2));
    CHECK(Says(lab.Verify(), "file audit-00000002.jsonl before it is missing"));
  }
  SECTION("the first: said, but no fault, since old files may be removed") {
    std::filesystem::remove(lab.Path(1));
    CHECK(lab.Verify().problems.empty());
    CHECK(lab.Verify().first_file == 2);
  }
  SECTION("swapped") {
    std::filesystem::rename(lab.Path(2), lab.folder.File("x"));
    std::filesystem::rename(lab.Path(3), lab.Path(2));
    std::filesystem::rename(lab.folder.File("x"), lab.Path(3));
    CHECK(Says(lab.Verify(), "says that it is another file"));
  }
  SECTION("cut at its end") {
    auto lines = lab.Lines(2);
    lines.pop_back();
    lab.Put(2, lines);
    CHECK_FALSE(lab.Verify().problems.empty());
  }
}

TEST_CASE("a writer that died leaves what it wrote, and the next one goes on behind it") {
  AuditLab lab;
  lab.Write(2);
  auto lines = lab.Lines(1);
  lines.pop_back();  // died before its end
  lab.Put(1, lines);
  std::ofstream(lab.Path(1), std::ios::app) << R"({"n":4,"prev":"half)";

  lab.Write(1);

  const AuditReport report = lab.Verify();
  CHECK(report.problems.empty());
  CHECK(report.records == 3);
  CHECK(nlohmann::json::parse(lab.Lines(2)[0])["torn"] == 19);

  SECTION("and that rest cannot be changed either") {
    std::ofstream(lab.Path(1), std::ios::app) << "x";
    CHECK(Says(lab.Verify(), "another rest behind its last line"));
  }
}

TEST_CASE("a file that never got its first line stands in nobody's way") {
  AuditLab lab;
  lab.Write(1);
  std::ofstream(lab.Path(2)) << "";

  lab.Write(1);

  CHECK(lab.Verify().problems.empty());
  CHECK(lab.Verify().records == 2);
}

TEST_CASE("a full file is ended and the next one begun; the oldest go") {
  AuditLab lab;
  lab.options.max_file_bytes = 2000;
  lab.options.max_files = 3;

  for (int i = 0; i < 10; ++i) {
    const auto audit = lab.Open();
    for (int k = 0; k < 20; ++k) {
      audit->Append(RecordOf(std::to_string(k)));
      audit->Append(RecordOf(std::to_string(k)));
    }
  }

  const AuditReport report = lab.Verify();
  CHECK(report.problems.empty());
  CHECK(report.files == 3);
  CHECK(report.first_file > 7);
}

TEST_CASE("one writer at a time") {
  AuditLab lab;
  const auto audit = lab.Open();

  const auto second = AuditLog::Open(lab.options, lab.log, lab.metrics, lab.clock);

  CHECK(second.status().code() == Code::kFailedPrecondition);
}

TEST_CASE("a key that cannot sign is refused by its file") {
  AuditLab lab;
  const std::string& path = lab.options.signing_key_file;
  const auto open = [&lab] {
    return AuditLog::Open(lab.options, lab.log, lab.metrics, lab.clock).status();
  };

  SECTION("that others may read") {
    REQUIRE(chmod(path.c_str(), 0640) == 0);
    CHECK(open().code() == Code::kPermissionDenied);
    CHECK(open().message().find("chmod 600") != std::string::npos);
  }
  SECTION("of another kind") {
    WriteKey(path, EVP_PKEY_X25519);
    CHECK(open().code() == Code::kInvalidArgument);
    CHECK(open().message().find("Ed25519") != std::string::npos);
  }
  SECTION("that is none") {
    std::ofstream(path) << "hello\n";
    CHECK(open().code() == Code::kInvalidArgument);
  }
  SECTION("that is not there") {
    std::filesystem::remove(path);
    CHECK(open().code() == Code::kNotFound);
  }
}

TEST_CASE("a folder with something else in it is not written over") {
  AuditLab lab;
  std::filesystem::create_directory(lab.options.folder);
  std::ofstream(lab.Path(3)) << "hello\n";

  const auto opened = AuditLog::Open(lab.options, lab.log, lab.metrics, lab.clock);

  CHECK(opened.status().code() == Code::kDataLoss);
}

TEST_CASE("another key's signature does not count") {
  AuditLab lab;
  lab.Write(1);
  WriteKey(lab.options.signing_key_file);

  CHECK(Says(lab.Verify(), "is signed by another key"));
}

TEST_CASE("texts are cut, and what is no UTF-8 harms nobody") {
  AuditLab lab;
  {
    const auto audit = lab.Open();
    AuditRecord record = RecordOf("x");
    record.subject = std::string(100'000, 's');
    record.certificate = "a\"b\\\n\xff\x01";
    audit->Append(std::move(record));
  }

  CHECK(lab.Verify().problems.empty());
  const auto line = nlohmann::json::parse(lab.Lines(1)[1]);
  CHECK(line["subject"].get<std::string>().size() == 1027);
  CHECK(line["certificate"].get<std::string>().starts_with("a\"b\\\n"));
}

TEST_CASE("what it says is shown, by who and what") {
  AuditLab lab;
  {
    const auto audit = lab.Open();
    audit->Append(RecordOf(std::string(64, 'a')));
    AuditRecord denied = RecordOf(std::string(64, 'b'));
    denied.node = "node-2";
    denied.result = AuditResult::kDenied;
    denied.code = "PERMISSION_DENIED";
    denied.why = "no rule lets it through";
    audit->Append(std::move(denied));
  }
  const auto show = [&lab](const AuditFilter& filter) {
    std::ostringstream out;
    CHECK(PrintAudit(lab.options.folder, filter, out).ok());
    return out.str();
  };

  const std::string all = show({});
  CHECK(std::count(all.begin(), all.end(), '\n') == 2);
  CHECK(all.find("ok     RunSandbox") != std::string::npos);
  CHECK(all.find("rule=physics") != std::string::npos);
  const std::string denied = show({.denied = true});
  CHECK(std::count(denied.begin(), denied.end(), '\n') == 1);
  CHECK(denied.find("node-2 pod=default/p sandbox=bbbbbbbbbbbbb rule=physics PERMISSION_DENIED: "
                    "no rule lets it through") != std::string::npos);
  CHECK(show({.node = "node-1"}).find("node-2") == std::string::npos);
  CHECK(show({.id = "bbbb"}).find("node-1") == std::string::npos);
  CHECK(show({.since = "2999"}).empty());
  CHECK(nlohmann::json::parse(show({.node = "node-1", .json = true}))["n"] == 2);
}

TEST_CASE("on a full disk nothing new begins, nothing is lost, and room heals it") {
  AuditLab lab;
  const std::string disk = lab.folder.File("disk");
  std::filesystem::create_directory(disk);
  lab.options.folder = disk + "/audit";

  REQUIRE(test::RunOnSmallDisk(disk, "1m", [&] {
    auto audit = AuditLog::Open(lab.options, lab.log, lab.metrics, lab.clock);
    test::Expect(audit.ok(), audit.status().ToString());
    test::Expect((*audit)->MayBegin().ok(), "at first");
    test::FillDisk(disk + "/filler");
    for (int i = 0; i < 100; ++i) (*audit)->Append(RecordOf(std::to_string(i)));
    test::Expect(Eventually([&] { return !(*audit)->MayBegin().ok(); }), "refused");
    test::Expect((*audit)->MayBegin().code() == Code::kUnavailable, "for now");
    std::filesystem::remove(disk + "/filler");
    test::Expect(Eventually([&] { return (*audit)->MayBegin().ok(); }), "healed");
    (*audit)->Stop(std::chrono::seconds(30));
    auto key = AuditKey::LoadPublic(lab.options.signing_key_file);
    const auto report = VerifyAudit(lab.options.folder, {*key});
    test::Expect(report.ok() && report->problems.empty(), "whole");
    test::Expect(report->records == 100 && report->lost == 0, "nothing is lost");
  }));
}

TEST_CASE("with continue a full disk stops nobody, and the log says what is missing") {
  AuditLab lab;
  const std::string disk = lab.folder.File("disk");
  std::filesystem::create_directory(disk);
  lab.options.folder = disk + "/audit";
  lab.options.refuse_when_failing = false;
  lab.options.max_waiting = 10;

  REQUIRE(test::RunOnSmallDisk(disk, "1m", [&] {
    auto audit = AuditLog::Open(lab.options, lab.log, lab.metrics, lab.clock);
    test::Expect(audit.ok(), audit.status().ToString());
    test::FillDisk(disk + "/filler");
    for (int i = 0; i < 100; ++i) (*audit)->Append(RecordOf(std::to_string(i)));
    test::Expect((*audit)->MayBegin().ok(), "goes on");
    std::filesystem::remove(disk + "/filler");
    (*audit)->Stop(std::chrono::seconds(30));
    auto key = AuditKey::LoadPublic(lab.options.signing_key_file);
    const auto report = VerifyAudit(lab.options.folder, {*key});
    test::Expect(report.ok() && report->problems.empty(), "whole");
    test::Expect(report->records >= 10 && report->records + report->lost == 100,
                 "each is there or counted");
  }));
}

TEST_CASE("many callers at once: every record is there, in one chain") {
  AuditLab lab;
  {
    const auto audit = lab.Open();
    std::vector<std::jthread> threads;
    for (int t = 0; t < 8; ++t) {
      threads.emplace_back([&audit] {
        for (int i = 0; i < 500; ++i) audit->Append(RecordOf(std::to_string(i)));
      });
    }
  }

  const AuditReport report = lab.Verify();
  CHECK(report.problems.empty());
  CHECK(report.records == 4000);
  CHECK(report.signatures >= 5);  // a seal every 1000 records
}

}  // namespace
}  // namespace interlink::auth
