// Every metric of the product: one list, for code, dashboards and alerts. A new metric gets its
// line here, with what it counts and its labels.
#ifndef INTERLINK_BASE_METRIC_NAMES_H_
#define INTERLINK_BASE_METRIC_NAMES_H_

#include <array>
#include <string_view>

namespace interlink {

inline constexpr std::string_view kMetricCriCalls = "interlink_cri_calls_total";
inline constexpr std::string_view kMetricCriCallSeconds = "interlink_cri_call_seconds";
inline constexpr std::string_view kMetricRestRequests = "interlink_rest_requests_total";
inline constexpr std::string_view kMetricRestSeconds = "interlink_rest_request_seconds";
inline constexpr std::string_view kMetricRestSessions = "interlink_rest_sessions_open";
inline constexpr std::string_view kMetricSiteReachable = "interlink_site_reachable";
inline constexpr std::string_view kMetricLogBytes = "interlink_log_bytes_total";
inline constexpr std::string_view kMetricLogBlocked = "interlink_log_blocked_files";
inline constexpr std::string_view kMetricLogErrors = "interlink_log_errors_total";
inline constexpr std::string_view kMetricStreamSessions = "interlink_stream_sessions_open";
inline constexpr std::string_view kMetricStreamSessionsTotal = "interlink_stream_sessions_total";
inline constexpr std::string_view kMetricStreamBytes = "interlink_stream_bytes_total";
inline constexpr std::string_view kMetricAuditRecords = "interlink_audit_records_total";
inline constexpr std::string_view kMetricAuditFailing = "interlink_audit_failing";
inline constexpr std::string_view kMetricRefused = "interlink_metrics_refused_total";
// The names that every Prometheus client gives to these.
inline constexpr std::string_view kMetricMemory = "process_resident_memory_bytes";
inline constexpr std::string_view kMetricOpenFiles = "process_open_fds";
inline constexpr std::string_view kMetricThreads = "process_threads";

struct MetricName {
  std::string_view name;
  std::string_view help;
};

inline constexpr std::array kMetricNames = {
    MetricName{kMetricCriCalls, "CRI calls answered, by rpc and gRPC code."},
    MetricName{kMetricCriCallSeconds, "Time from a CRI call to its answer, by rpc."},
    MetricName{kMetricRestRequests, "Requests answered by the site, by route and HTTP status."},
    MetricName{kMetricRestSeconds, "Time from a request to its answer at the site, by route."},
    MetricName{kMetricRestSessions, "Sessions of nodes at the site now, by route."},
    MetricName{kMetricSiteReachable, "1: this node has a link with its site. 0: it has none."},
    MetricName{kMetricLogBytes, "Bytes of container logs written on this node."},
    MetricName{kMetricLogBlocked, "Container log files that cannot be written now."},
    MetricName{kMetricLogErrors, "Writes and syncs of container log files that failed."},
    MetricName{kMetricStreamSessions, "Clients of exec, attach and port-forward now, by kind."},
    MetricName{kMetricStreamSessionsTotal,
               "Clients of exec, attach and port-forward that have ended, by kind, transport and "
               "code."},
    MetricName{kMetricStreamBytes,
               "Bytes between clients and sessions, by direction: in (from the client), out."},
    MetricName{kMetricAuditRecords, "Records of the audit log, by result: written, lost."},
    MetricName{kMetricAuditFailing, "1: the audit log cannot be written now."},
    MetricName{kMetricRefused, "Metrics that the program gave and that were refused, by reason."},
    MetricName{kMetricMemory, "Resident memory of this process."},
    MetricName{kMetricOpenFiles, "Open file descriptors of this process."},
    MetricName{kMetricThreads, "Threads of this process."},
};

// Empty for a name that is not in the list.
constexpr std::string_view MetricHelp(std::string_view name) {
  for (const MetricName& metric : kMetricNames) {
    if (metric.name == name) return metric.help;
  }
  return {};
}

}  // namespace interlink

#endif  // INTERLINK_BASE_METRIC_NAMES_H_
