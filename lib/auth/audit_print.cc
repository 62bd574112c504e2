#include "auth/audit_print.h"

#include <iomanip>
#include <nlohmann/json.hpp>

#include "auth/audit_reader.h"

namespace interlink::auth {
namespace {

using nlohmann::json;

std::string Field(const json& line, const char* name) {
  const auto it = line.find(name);
  if (it == line.end()) return "";
  return it->is_string() ? it->get<std::string>() : it->dump();
}

bool IsRecord(const json& line) {
  const std::string event = Field(line, "event");
  return event == "call" || event == "session" || event == "lost";
}

bool HasId(const json& line, const std::string& id) {
  if (Field(line, "request").starts_with(id)) return true;
  const auto about = line.find("about");
  if (about == line.end() || !about->is_object()) return false;
  for (const auto& value : *about) {
    if (value.is_string() && value.get<std::string>().starts_with(id)) return true;
  }
  return false;
}

bool Matches(const json& line, const AuditFilter& filter) {
  if (!IsRecord(line)) return false;
  if (!filter.node.empty() && Field(line, "node") != filter.node) return false;
  if (filter.denied && Field(line, "result") != "denied") return false;
  if (!filter.since.empty() && Field(line, "time") < filter.since) return false;
  return filter.id.empty() || HasId(line, filter.id);
}

std::string Who(const json& line) {
  std::string who = Field(line, "node");
  const std::string subject = Field(line, "subject");
  if (!subject.empty() && subject != who) who += (who.empty() ? "" : "/") + subject;
  if (const auto process = line.find("process"); process != line.end() && process->is_object()) {
    who +=
        Field(*process, "exe") + "[" + Field(*process, "pid") + "] uid " + Field(*process, "uid");
  }
  return who.empty() ? Field(line, "from") : who;
}

std::string About(const json& line) {
  std::string text;
  const auto about = line.find("about");
  if (about == line.end() || !about->is_object()) return text;
  for (const auto& [name, value] : about->items()) {
    const std::string what = value.is_string() ? value.get<std::string>() : value.dump();
    // Of an id what tells it apart.
    text += " " + name + "=" + (what.size() == 64 ? what.substr(0, 13) : what);
  }
  return text;
}

void PrintLine(const json& line, std::ostream& out) {
  if (Field(line, "event") == "lost") {
    out << Field(line, "time") << "  " << Field(line, "records") << " records were lost\n";
    return;
  }
  const std::string ended = Field(line, "event") == "session" ? " (end)" : "";
  out << Field(line, "time").substr(0, 23) << "Z  " << std::left << std::setw(7)
      << Field(line, "result") << std::setw(18) << Field(line, "call") + ended << Who(line)
      << About(line);
  if (const std::string rule = Field(line, "rule"); !rule.empty()) out << " rule=" << rule;
  if (const std::string code = Field(line, "code"); !code.empty() && code != "OK")
    out << " " << code;
  if (const std::string why = Field(line, "why"); !why.empty()) out << ": " << why;
  out << "\n";
}

Status NoAuditLog() {
  return FailedPrecondition(
      "no audit log is kept: set Audit.Folder in the configuration, or name one with --folder");
}

}  // namespace

Status PrintAuditReport(const std::string& folder, const std::vector<std::string>& key_files,
                        std::ostream& out) {
  if (folder.empty()) return NoAuditLog();
  std::vector<AuditKey> keys;
  for (const std::string& file : key_files) {
    ASSIGN_OR_RETURN(AuditKey key, AuditKey::LoadPublic(file));
    keys.push_back(std::move(key));
  }
  ASSIGN_OR_RETURN(const AuditReport report, VerifyAudit(folder, keys));
  for (const std::string& problem : report.problems) out << folder << "/" << problem << "\n";
  out << "audit log " << folder << ": " << report.records << " records in " << report.files
      << " files, " << report.first_time << " to " << report.last_time << "\n";
  if (report.first_file > 1)
    out << "it begins with file " << report.first_file << ": older ones have been removed\n";
  if (report.lost != 0)
    out << report.lost << " records were lost: its disk was full, or too slow\n";
  if (keys.empty()) {
    out << "no key was given: signatures were not checked\n";
  } else {
    out << report.signatures << " signatures; the last " << report.unsealed
        << " lines stand behind the last one\n";
  }
  if (!report.closed) out << "its newest file has no end: a daemon writes it, or was killed\n";
  if (report.problems.empty()) {
    out << "it is whole\n";
    return {};
  }
  return DataLoss("the audit log is not whole: " + report.problems.front());
}

Status PrintAudit(const std::string& folder, const AuditFilter& filter, std::ostream& out) {
  if (folder.empty()) return NoAuditLog();
  return ReadAudit(folder, [&](const std::string& text, const json& line) {
    if (!Matches(line, filter)) return true;
    if (filter.json) {
      out << text << "\n";
    } else {
      PrintLine(line, out);
    }
    return out.good();
  });
}

}  // namespace interlink::auth
