#include "auth/audit_record.h"

#include <nlohmann/json.hpp>

namespace interlink::auth {
namespace {

constexpr size_t kMaxText = 1024;

std::string Cut(const std::string& text) {
  return text.size() <= kMaxText ? text : text.substr(0, kMaxText) + "...";
}

class Members {
 public:
  void Text(const char* name, const std::string& value) {
    if (!value.empty()) json_[name] = Cut(value);
  }
  template <typename Value>
  void Put(const char* name, Value value) {
    json_[name] = std::move(value);
  }
  nlohmann::ordered_json& json() { return json_; }
  std::string Encode() const {
    const std::string text = json_.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    return text.substr(1, text.size() - 2);
  }

 private:
  nlohmann::ordered_json json_ = nlohmann::ordered_json::object();
};

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
  if (record.process) {
    nlohmann::ordered_json process = {
        {"pid", record.process->pid}, {"uid", record.process->uid}, {"gid", record.process->gid}};
    if (!record.process->executable.empty()) process["exe"] = Cut(record.process->executable);
    members.Put("process", std::move(process));
  }
  members.Text("call", record.call);
  if (!record.about.empty()) {
    nlohmann::ordered_json about = nlohmann::ordered_json::object();
    for (const auto& [name, value] : record.about) {
      if (!value.empty()) about[name] = Cut(value);
    }
    members.Put("about", std::move(about));
  }
  members.Text("result", std::string(NameOf(record.result)));
  members.Text("code", record.code);
  if (record.http_status != 0) members.Put("status", record.http_status);
  members.Text("rule", record.rule);
  members.Text("why", record.why);
  members.Put("us", std::chrono::duration_cast<std::chrono::microseconds>(record.took).count());
  return members.Encode();
}

}  // namespace interlink::auth
