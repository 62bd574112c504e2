#include "auth/audit_record.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace interlink::auth {
namespace {

constexpr size_t kMaxEncoded = 2 * kMaxAuditText;
// What escapes to a string of kMaxEncoded bytes at most: \u0001 is one.
constexpr size_t kMostEscaped = kMaxEncoded / 6 - 1;

std::string Escaped(const std::string& text, size_t most) {
  const std::string cut = text.size() <= most ? text : text.substr(0, most) + "...";
  return nlohmann::json(cut).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// A JSON string, in quotes.
void AppendText(const std::string& text, std::string& out) {
  const bool plain =
      text.size() <= kMaxAuditText && std::all_of(text.begin(), text.end(), [](char c) {
        return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
      });
  if (plain) {
    out.append(1, '"').append(text).append(1, '"');
    return;
  }
  const std::string escaped = Escaped(text, kMaxAuditText);
  out += escaped.size() <= kMaxEncoded ? escaped : Escaped(text, kMostEscaped);
}

// Written by hand: this is what an audit log costs, and a tree of JSON costs four times as much.
class Members {
 public:
  void Text(const char* name, const std::string& value) {
    if (value.empty()) return;
    Name(name);
    AppendText(value, out_);
  }
  void Number(const char* name, int64_t value) {
    Name(name);
    out_ += std::to_string(value);
  }
  void Object(const char* name, const Members& members) {
    Name(name);
    out_ += "{" + members.out_ + "}";
  }
  std::string Take() { return std::move(out_); }

 private:
  void Name(const char* name) {
    if (!out_.empty()) out_ += ',';
    out_.append(1, '"').append(name).append("\":");
  }

  std::string out_;
};

Members ProcessMembers(const AuditRecord::Process& process) {
  Members members;
  members.Number("pid", process.pid);
  members.Number("uid", process.uid);
  members.Number("gid", process.gid);
  members.Text("exe", process.executable);
  return members;
}

}  // namespace

std::string_view NameOf(AuditResult result) {
  switch (result) {
    case AuditResult::kOk:
      return "ok";
    case AuditResult::kDenied:
      return "denied";
    case AuditResult::kFailed:
      break;
  }
  return "failed";
}

std::string EncodeAuditRecord(const AuditRecord& record) {
  Members members;
  members.Text("event", record.event);
  members.Text("request", record.request);
  members.Text("trace", record.traceparent);
  members.Text("node", record.node);
  members.Text("certificate", record.certificate);
  members.Text("issuer", record.issuer);
  members.Text("subject", record.subject);
  members.Text("tenant", record.tenant);
  members.Text("from", record.from);
  if (record.process) members.Object("process", ProcessMembers(*record.process));
  members.Text("call", record.call);
  Members about;
  const size_t told = std::min(record.about.size(), kMaxAuditAbout);
  for (size_t i = 0; i < told; ++i)
    about.Text(record.about[i].first.c_str(), record.about[i].second);
  if (!record.about.empty()) members.Object("about", about);
  members.Text("result", std::string(NameOf(record.result)));
  members.Text("code", record.code);
  if (record.http_status != 0) members.Number("status", record.http_status);
  members.Text("rule", record.rule);
  members.Text("why", record.why);
  members.Number("us", std::chrono::duration_cast<std::chrono::microseconds>(record.took).count());
  return members.Take();
}

}  // namespace interlink::auth
