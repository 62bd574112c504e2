#include "rest/audit.h"

#include <algorithm>

#include "rest/exchange.h"

namespace interlink::rest {
namespace {

using wire::Route;

// Neither the arguments nor the environment of a command: they may hold secrets.
template <typename Command>
std::string ProgramOf(const Command& command) {
  return command.empty() ? std::string() : command[0];
}

bool IsDenial(int http_status) {
  return http_status == 401 || http_status == 403 || http_status == 429;
}

bool Changes(const wire::RouteEntry& entry) {
  constexpr Route kAlso[] = {Route::kLink,       Route::kPortForward, Route::kExec,
                             Route::kAttach,     Route::kTakeover,    Route::kDropNode,
                             Route::kForgetDead, Route::kReload};
  return entry.kind == wire::Kind::kChange ||
         std::find(std::begin(kAlso), std::end(kAlso), entry.route) != std::end(kAlso);
}

auth::AuditRecord RecordOf(const Exchange& exchange) {
  auth::AuditRecord record;
  record.request = exchange.call.request_id().str();
  record.traceparent = exchange.call.traceparent();
  record.node = exchange.caller.node.str();
  const net::Peer& peer = exchange.request.peer;
  if (peer.verified) record.certificate = peer.common_name;
  if (exchange.caller.token != nullptr) {
    record.issuer = exchange.caller.token->issuer;
    record.subject = exchange.caller.token->subject;
    record.tenant = exchange.caller.token->tenant;
  }
  record.from = peer.address;
  const wire::RouteEntry* entry = exchange.routing.entry;
  record.call = entry == nullptr ? exchange.request.method : std::string(entry->name);
  const wire::PathParameters& path = exchange.routing.path;
  record.about = {{"sandbox", path.sandbox.str()},
                  {"container", path.container.str()},
                  {"volume", path.digest},
                  {"pull", path.pull},
                  {"node", path.node},
                  {"id", path.any_id},
                  {"image", exchange.QueryValue("image")}};
  std::erase_if(record.about, [](const auto& one) { return one.second.empty(); });
  const auto more = exchange.notes->about();
  record.about.insert(record.about.end(), more.begin(), more.end());
  if (exchange.caller.ruling != nullptr) record.rule = exchange.caller.ruling->rules();
  return record;
}

}  // namespace

void Describe(const interlink::v1::RunSandboxRequest& request, AuditNotes& notes) {
  const auto& metadata = request.config().metadata();
  notes.About("pod", metadata.namespace_() + "/" + metadata.name());
  notes.About("pod-uid", metadata.uid());
  notes.About("handler", request.handler());
}

void Describe(const interlink::v1::CreateContainerRequest& request, AuditNotes& notes) {
  notes.About("name", request.config().metadata().name());
  notes.About("image", request.config().image().image());
}

void Describe(const interlink::v1::PullImageRequest& request, AuditNotes& notes) {
  notes.About("image", request.image().image());
  notes.About("for-sandbox", request.sandbox_id());
}

void Describe(const interlink::v1::ExecSyncRequest& request, AuditNotes& notes) {
  notes.About("program", ProgramOf(request.cmd()));
}

void Describe(const interlink::v1::SessionRequest& request, AuditNotes& notes) {
  if (request.has_exec()) notes.About("program", ProgramOf(request.exec().cmd()));
  if (request.has_port_forward())
    notes.About("port", std::to_string(request.port_forward().port()));
}

bool BeginsSomething(Route route) {
  constexpr Route kNew[] = {
      Route::kRunSandbox,      Route::kUpdateSandbox,  Route::kPortForward,
      Route::kCreateContainer, Route::kStartContainer, Route::kUpdateContainer,
      Route::kRefreshVolumes,  Route::kExecSync,       Route::kExec,
      Route::kAttach,          Route::kPutVolume,      Route::kPullImage};
  return std::find(std::begin(kNew), std::end(kNew), route) != std::end(kNew);
}

void AuditAnswer(const Exchange& exchange, int http_status, Duration took) {
  auth::AuditLog* audit = exchange.state->ports.audit;
  const wire::RouteEntry* entry = exchange.routing.entry;
  if (audit == nullptr) return;
  if (!IsDenial(http_status) && (entry == nullptr || !Changes(*entry))) return;
  auth::AuditRecord record = RecordOf(exchange);
  record.event = "call";
  record.http_status = http_status;
  const Status status = exchange.notes->status();
  record.code = std::string(CodeName(status.code()));
  if (IsDenial(http_status)) {
    record.result = auth::AuditResult::kDenied;
    record.why = status.message();
  } else if (http_status >= 400 || !status.ok()) {
    record.result = auth::AuditResult::kFailed;
  }
  record.took = took;
  audit->Append(std::move(record));
}

void AuditSessionEnd(const Exchange& exchange, const Status& why, Duration took) {
  auth::AuditLog* audit = exchange.state->ports.audit;
  if (audit == nullptr) return;
  auth::AuditRecord record = RecordOf(exchange);
  record.event = "session";
  record.rule.clear();  // the record of its call has it
  record.code = std::string(CodeName(why.code()));
  if (!why.ok()) record.result = auth::AuditResult::kFailed;
  record.took = took;
  audit->Append(std::move(record));
}

}  // namespace interlink::rest
