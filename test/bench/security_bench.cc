// What one request costs in lib/auth: a token verified, a policy decision, an audit record. Prints
// a table; no verdict.
//
//   security_bench FOLDER     FOLDER: where the audit log is written, on the disk that is meant
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <vector>

#include "auth/audit_log.h"
#include "auth/jwk_set.h"
#include "auth/jwt.h"
#include "auth/oidc_verifier.h"
#include "auth/policy.h"
#include "unit/auth/token_issuer.h"

namespace interlink::auth {
namespace {

using Clocked = std::chrono::steady_clock;

double Micros(Duration duration) {
  return std::chrono::duration<double, std::micro>(duration).count();
}

// Each of `count` calls, after a tenth of them to warm up.
void Measure(const std::string& what, int count, const std::function<void(int)>& call) {
  for (int i = 0; i < count / 10; ++i) call(i);
  std::vector<double> took;
  took.reserve(static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) {
    const auto begun = Clocked::now();
    call(i);
    took.push_back(Micros(Clocked::now() - begun));
  }
  std::sort(took.begin(), took.end());
  std::printf("%-36s | %7d | %8.2f | %8.2f\n", what.c_str(), count, took[took.size() / 2],
              took[took.size() * 9 / 10]);
}

[[noreturn]] void Fail(const Status& status) {
  std::cerr << "security_bench: " << status.ToString() << "\n";
  std::exit(1);
}

void MeasureToken(const std::string& kind, const std::string& algorithm) {
  const IssuerKey key(kind);
  nlohmann::json jwk = key.Jwk();
  jwk["kid"] = "k";
  const nlohmann::json claims = {{"iss", "https://issuer"}, {"sub", "system:node:n1"},
                                 {"aud", {"interlink"}},    {"exp", 4'000'000'000},
                                 {"iat", 1'000'000'000},    {"groups", {"gpu", "staff"}}};
  const std::string token = SignedToken(key, {{"alg", algorithm}, {"kid", "k"}}, claims);
  const auto keys = JwkSet::Parse(nlohmann::json{{"keys", {jwk}}}.dump());
  if (!keys.ok()) Fail(keys.status());
  Measure("token " + algorithm + " (" + kind + ")", 5000, [&](int) {
    const auto parsed = ParseJwt(token);
    if (!parsed.ok()) Fail(parsed.status());
    if (const Status status = keys->Verify(*parsed); !status.ok()) Fail(status);
    const Status good =
        CheckClaims(parsed->claims, {"https://issuer", {"interlink"}, 30}, 2'000'000'000);
    if (!good.ok()) Fail(good);
  });
}

// As the site asks it, with a token that it has seen before.
void MeasureKnownToken(const std::string& folder) {
  const IssuerKey key("RSA");
  nlohmann::json jwk = key.Jwk();
  jwk["kid"] = "k";
  OidcIssuer rules;
  rules.keys.issuer = "https://issuer";
  rules.keys.jwks_file = folder + "/jwks.json";
  rules.audiences = {"interlink"};
  rules.node_prefix = "system:node:";
  std::ofstream(rules.keys.jwks_file) << nlohmann::json{{"keys", {jwk}}}.dump();
  net::Io io;
  Timer timer;
  NullLog log;
  const SystemClock clock;
  const auto verifier = OidcVerifier::Create({rules}, nullptr, io, timer, log, clock);
  if (!verifier.ok()) Fail(verifier.status());
  const std::string token = SignedToken(key, {{"alg", "RS256"}, {"kid", "k"}},
                                        {{"iss", "https://issuer"},
                                         {"sub", "system:node:n1"},
                                         {"aud", {"interlink"}},
                                         {"exp", 4'000'000'000}});
  Measure("token RS256 (RSA), seen before", 5000, [&](int) {
    if (const auto identity = (*verifier)->Verify(token); !identity.ok()) Fail(identity.status());
  });
}

// Ten rules for other teams, then the one that lets it through.
void MeasurePolicy() {
  std::vector<PolicyRule> rules;
  for (int i = 0; i <= 10; ++i) {
    PolicyRule rule;
    rule.name = "team-" + std::to_string(i);
    rule.nodes = {"hpc-*"};
    rule.groups = {"gpu"};
    rule.namespaces = {"team-" + std::to_string(i), "ml-" + std::to_string(i) + "-*"};
    rule.may = {Action::kRun, Action::kCreate, Action::kPull};
    rule.handlers = {"hpc"};
    rule.images = {"registry.example.org/team/*"};
    rules.push_back(std::move(rule));
  }
  const Policy policy(std::move(rules));
  PolicyRequest request;
  request.action = Action::kCreate;
  request.node = "hpc-17";
  request.groups = {"staff", "gpu"};
  request.pod_namespace = "team-10";
  request.handler = "hpc";
  request.images = {"registry.example.org/team/app:1", "registry.example.org/team/app@sha256:00"};
  Measure("policy, the eleventh rule allows", 20'000, [&](int) {
    if (!policy.Decide(request).allowed) Fail(InternalError("refused"));
  });
  request.pod_namespace = "nobody";
  Measure("policy, none allows", 20'000, [&](int) {
    if (policy.Decide(request).allowed) Fail(InternalError("let through"));
  });
}

std::string WriteKey(const std::string& folder) {
  const std::string path = folder + "/key.pem";
  EVP_PKEY* key = EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519");
  std::FILE* file = std::fopen(path.c_str(), "w");
  if (key == nullptr || file == nullptr) Fail(InternalError("no key"));
  chmod(path.c_str(), 0600);
  PEM_write_PrivateKey(file, key, nullptr, nullptr, 0, nullptr, nullptr);
  std::fclose(file);
  EVP_PKEY_free(key);
  return path;
}

AuditRecord RecordOf(int i) {
  AuditRecord record;
  record.event = "call";
  record.request = "0123456789abcdef";
  record.node = record.certificate = "hpc-17";
  record.issuer = "https://issuer";
  record.subject = "system:node:hpc-17";
  record.from = "10.0.0.17:51234";
  record.call = "RunSandbox";
  record.about = {{"sandbox", std::string(64, 'a')}, {"pod", "team/job-" + std::to_string(i)}};
  record.code = "OK";
  record.http_status = 200;
  record.rule = "team-10";
  return record;
}

// The caller's share, then the whole: until the last record is on the disk and signed.
void MeasureAudit(const std::string& folder, const std::string& name, Duration flush) {
  AuditOptions options;
  options.folder = folder + "/audit-" + name;
  options.signing_key_file = WriteKey(folder);
  options.daemon = "bench";
  options.flush = flush;
  NullLog log;
  NullMetrics metrics;
  const SystemClock clock;
  auto audit = AuditLog::Open(options, log, metrics, clock);
  if (!audit.ok()) Fail(audit.status());
  constexpr int kRecords = 50'000;
  const auto begun = Clocked::now();
  Measure("audit record, caller, flush " + name, kRecords,
          [&](int i) { (*audit)->Append(RecordOf(i)); });
  (*audit)->Stop(std::chrono::seconds(60));
  const double each = Micros(Clocked::now() - begun) / (kRecords * 1.1);
  std::printf("%-36s | %7d | %8.2f | on the disk and signed, on average\n",
              ("audit record, whole, flush " + name).c_str(), kRecords, each);
}

int Run(const std::string& folder) {
  std::printf("%-36s | %7s | %8s | %8s\n", "microseconds", "n", "p50", "p90");
  MeasureToken("RSA", "RS256");
  MeasureKnownToken(folder);
  MeasureToken("P-256", "ES256");
  MeasureToken("Ed25519", "EdDSA");
  MeasurePolicy();
  MeasureAudit(folder, "1s", std::chrono::seconds(1));
  MeasureAudit(folder, "0s", Duration::zero());
  return 0;
}

}  // namespace
}  // namespace interlink::auth

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: security_bench FOLDER\n";
    return 2;
  }
  return interlink::auth::Run(argv[1]);
}
