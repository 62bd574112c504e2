#include "auth/audit_reader.h"

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "auth/audit_chain.h"
#include "auth/audit_files.h"

namespace interlink::auth {
namespace {

constexpr size_t kMaxProblems = 100;
constexpr std::string_view kSignatureMember = ",\"signature\":\"";

std::string TextOf(const nlohmann::json& line, const char* name) {
  const auto it = line.find(name);
  return it != line.end() && it->is_string() ? it->get<std::string>() : std::string();
}

uint64_t NumberOf(const nlohmann::json& line, const char* name) {
  const auto it = line.find(name);
  return it != line.end() && it->is_number_unsigned() ? it->get<uint64_t>() : 0;
}

// The lines of one file, bounded. What stands behind the last newline is not a line.
class Lines {
 public:
  explicit Lines(const std::string& path) : in_(path, std::ios::binary) {}
  bool opened() const { return in_.is_open(); }
  bool Next() {
    line_.clear();
    for (int c = in_.get(); c != std::ifstream::traits_type::eof(); c = in_.get()) {
      if (c == '\n') return true;
      if (line_.size() <= kMaxAuditLine) line_.push_back(static_cast<char>(c));
    }
    return false;  // line_: the unfinished rest
  }
  const std::string& line() const { return line_; }

 private:
  std::ifstream in_;
  std::string line_;
};

class Verifier {
 public:
  Verifier(const std::string& folder, const std::vector<AuditKey>& keys)
      : folder_(folder), keys_(keys) {}

  Result<AuditReport> Run(const std::vector<uint64_t>& numbers) {
    report_.first_file = numbers.front();
    for (const uint64_t number : numbers) {
      if (report_.files != 0 && number != expected_file_) {
        place_ = AuditFileName(number);
        Problem("file " + AuditFileName(expected_file_) + " before it is missing");
      }
      expected_file_ = number + 1;
      ++report_.files;
      RETURN_IF_ERROR(ReadOne(number));
    }
    // A rest behind the last line of the newest file: it is being written, or its writer died.
    return std::move(report_);
  }

 private:
  Status ReadOne(uint64_t number) {
    const std::string name = AuditFileName(number);
    Lines lines(folder_ + "/" + name);
    if (!lines.opened()) return NotFound("\"" + folder_ + "/" + name + "\" cannot be opened");
    uint64_t count = 0;
    while (lines.Next()) {
      place_ = name + ":" + std::to_string(++count);
      Check(lines.line(), number, count == 1);
    }
    torn_ = lines.line().size();
    if (count == 0) place_ = name;
    return {};
  }

  void Check(const std::string& text, uint64_t file, bool first_of_file) {
    const auto line = nlohmann::json::parse(text, nullptr, false);
    if (text.size() > kMaxAuditLine || !line.is_object()) return Problem("is no JSON object");
    ++report_.lines;
    CheckLink(text, line);
    const std::string event = TextOf(line, "event");
    CheckFrame(line, event, file, first_of_file);
    if (report_.first_time.empty()) report_.first_time = TextOf(line, "time");
    report_.last_time = TextOf(line, "time");
    report_.closed = event == "close";
    const bool framing = event == "open" || event == "seal" || event == "close";
    if (event == "lost") report_.lost += NumberOf(line, "records");
    if (event == "call" || event == "session") ++report_.records;
    if (!framing) {
      ++report_.unsealed;
    } else if (CheckSignatureMember(text, line)) {
      report_.unsealed = 0;
    }
  }

  void CheckLink(const std::string& text, const nlohmann::json& line) {
    const uint64_t n = NumberOf(line, "n");
    const std::string prev = TextOf(line, "prev");
    if (report_.lines == 1) {
      if (report_.first_file == 1 && n != 1) Problem("the log does not begin with line 1");
    } else {
      if (n != chain_.next)
        Problem("is line " + std::to_string(n) + ", line " + std::to_string(chain_.next) +
                " should follow here: lines are missing, or have moved");
      if (prev != chain_.last)
        Problem("does not hold the line before it: one of the two has been changed");
    }
    if (report_.lines == 1 && n == 1 && prev != chain_.last)
      Problem("is the first line and holds one before it");
    chain_.next = n + 1;
    chain_.last = AuditHash(text);
  }

  void CheckFrame(const nlohmann::json& line, const std::string& event, uint64_t file,
                  bool first_of_file) {
    if (first_of_file != (event == "open")) {
      Problem(first_of_file ? "a file begins with the event open" : "open stands inside a file");
      return;
    }
    if (!first_of_file) {
      if (report_.closed) Problem("follows on the end of its file");
      return;
    }
    if (NumberOf(line, "file") != file) Problem("says that it is another file: it was renamed");
    if (report_.files > 1 && NumberOf(line, "torn") != torn_)
      Problem("the file before it has another rest behind its last line than its writer left");
  }

  bool CheckSignatureMember(const std::string& text, const nlohmann::json& line) {
    if (keys_.empty()) return true;
    const size_t at = text.rfind(kSignatureMember);
    const std::string id = TextOf(line, "key");
    const auto key = std::find_if(keys_.begin(), keys_.end(),
                                  [&id](const AuditKey& one) { return one.id() == id; });
    // Nothing stands behind it that it does not hold.
    const bool last =
        at != std::string::npos && text.size() == at + kSignatureMember.size() + 128 + 2;
    if (!last || id.empty()) {
      Problem("has no signature at its end");
      return false;
    }
    if (key == keys_.end()) {
      Problem("is signed by another key: " + id.substr(0, 16));
      return false;
    }
    if (!key->Verify(std::string_view(text).substr(0, at), TextOf(line, "signature"))) {
      Problem("its signature is wrong");
      return false;
    }
    ++report_.signatures;
    return true;
  }

  void Problem(const std::string& what) {
    if (report_.problems.size() < kMaxProblems) report_.problems.push_back(place_ + ": " + what);
  }

  const std::string folder_;
  const std::vector<AuditKey>& keys_;
  AuditReport report_;
  AuditChain chain_;
  uint64_t expected_file_ = 0;
  uint64_t torn_ = 0;
  std::string place_;
};

Result<std::vector<uint64_t>> FilesOf(const std::string& folder) {
  ASSIGN_OR_RETURN(std::vector<uint64_t> numbers, ListAuditFiles(folder));
  if (numbers.empty()) return NotFound("there is no audit log in \"" + folder + "\"");
  return numbers;
}

}  // namespace

Result<AuditReport> VerifyAudit(const std::string& folder, const std::vector<AuditKey>& keys) {
  ASSIGN_OR_RETURN(const std::vector<uint64_t> numbers, FilesOf(folder));
  return Verifier(folder, keys).Run(numbers);
}

Status ReadAudit(const std::string& folder, const TakeAuditLine& take) {
  ASSIGN_OR_RETURN(const std::vector<uint64_t> numbers, FilesOf(folder));
  for (const uint64_t number : numbers) {
    Lines lines(folder + "/" + AuditFileName(number));
    while (lines.opened() && lines.Next()) {
      const auto line = nlohmann::json::parse(lines.line(), nullptr, false);
      if (line.is_object() && !take(lines.line(), line)) return {};
    }
  }
  return {};
}

}  // namespace interlink::auth
