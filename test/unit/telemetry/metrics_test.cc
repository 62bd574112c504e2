#include "telemetry/metrics.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <thread>

#include "base/metric_names.h"

namespace interlink::telemetry {
namespace {

bool Has(const std::string& text, const std::string& line) {
  return ("\n" + text).find("\n" + line + "\n") != std::string::npos;
}

TEST_CASE("counters add, gauges keep the last value, histograms have buckets of seconds") {
  const auto metrics = OpenMetrics();

  metrics->Count("interlink_cri_calls_total", {{"rpc", "Version"}, {"code", "OK"}}, 1);
  metrics->Count("interlink_cri_calls_total", {{"code", "OK"}, {"rpc", "Version"}}, 2);
  metrics->Count("interlink_cri_calls_total", {{"rpc", "Version"}, {"code", "OK"}}, -5);
  metrics->Gauge("interlink_x", {}, 3);
  metrics->Gauge("interlink_x", {}, 1.5);
  metrics->Observe("interlink_s_seconds", {}, 0.02);

  const std::string text = metrics->Expose();
  REQUIRE(Has(text, R"(interlink_cri_calls_total{code="OK",rpc="Version"} 3)"));
  REQUIRE(Has(text, "# HELP interlink_cri_calls_total CRI calls answered, by rpc and gRPC code."));
  REQUIRE(Has(text, "# TYPE interlink_cri_calls_total counter"));
  REQUIRE(Has(text, "interlink_x 1.5"));
  REQUIRE(Has(text, R"(interlink_s_seconds_bucket{le="0.01"} 0)"));
  REQUIRE(Has(text, R"(interlink_s_seconds_bucket{le="0.025"} 1)"));
  REQUIRE(Has(text, R"(interlink_s_seconds_bucket{le="+Inf"} 1)"));
}

TEST_CASE("label values are escaped") {
  const auto metrics = OpenMetrics();

  metrics->Count("interlink_x_total", {{"a", "q\"b\\c\nd"}}, 1);

  REQUIRE(Has(metrics->Expose(), R"(interlink_x_total{a="q\"b\\c\nd"} 1)"));
}

TEST_CASE("what is not allowed is refused and counted, and harms nothing else") {
  const auto metrics = OpenMetrics();

  metrics->Count("interlink_x_total", {}, 1);
  metrics->Gauge("interlink_x_total", {}, 7);
  metrics->Count("not a name", {}, 1);
  metrics->Count("interlink_y_total", {{"not a label", "v"}}, 1);
  metrics->Count("interlink_y_total", {{"fine", "v"}}, 1);

  const std::string text = metrics->Expose();
  REQUIRE(Has(text, "interlink_x_total 1"));
  REQUIRE(Has(text, R"(interlink_y_total{fine="v"} 1)"));
  REQUIRE(Has(text, R"(interlink_metrics_refused_total{reason="other type"} 1)"));
  REQUIRE(Has(text, R"(interlink_metrics_refused_total{reason="not allowed"} 2)"));
}

TEST_CASE("label sets and names are bounded") {
  const auto metrics = OpenMetrics({.max_label_sets = 3, .max_names = 2});

  for (int i = 0; i < 100; ++i) {
    metrics->Count("interlink_a_total", {{"id", std::to_string(i)}}, 1);
  }
  metrics->Count("interlink_b_total", {}, 1);
  metrics->Count("interlink_c_total", {}, 1);

  const std::string text = metrics->Expose();
  REQUIRE(Has(text, R"(interlink_a_total{id="2"} 1)"));
  REQUIRE(Has(text, R"(interlink_a_total{id="other"} 97)"));
  REQUIRE(text.find(R"(id="3")") == std::string::npos);
  REQUIRE(Has(text, "interlink_b_total 1"));
  REQUIRE(text.find("interlink_c_total") == std::string::npos);
  REQUIRE(Has(text, R"(interlink_metrics_refused_total{reason="too many names"} 1)"));
}

TEST_CASE("threads may count and expose at once") {
  const auto metrics = OpenMetrics();
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&metrics, t] {
        for (int i = 0; i < 500; ++i) {
          metrics->Count("interlink_a_total", {{"t", std::to_string(i % 7)}}, 1);
          metrics->Observe("interlink_a_seconds", {{"t", std::to_string(t)}}, 0.1);
          if (i % 100 == 0 && metrics->Expose().empty()) metrics->Count("interlink_bad", {}, 1);
        }
      });
    }
  }

  const std::string text = metrics->Expose();
  REQUIRE(Has(text, R"(interlink_a_total{t="0"} 288)"));
  REQUIRE(text.find("interlink_bad") == std::string::npos);
}

TEST_CASE("the process tells its memory, descriptors and threads") {
  const auto metrics = OpenMetrics();

  const std::string text = metrics->Expose();

  const auto value = [&text](const std::string& name) {
    const size_t at = ("\n" + text).find("\n" + name + " ");
    REQUIRE(at != std::string::npos);
    return std::stod(text.substr(at + name.size() + 1));
  };
  REQUIRE(value("process_resident_memory_bytes") > 1e6);
  REQUIRE(value("process_open_fds") >= 3);
  REQUIRE(value("process_threads") >= 1);
}

TEST_CASE("the list of names has each name once, with a help") {
  std::set<std::string_view> names;
  for (const MetricName& metric : kMetricNames) {
    REQUIRE(names.insert(metric.name).second);
    REQUIRE_FALSE(metric.help.empty());
    const bool ours = metric.name.substr(0, 10) == "interlink_";
    REQUIRE((ours || metric.name.substr(0, 8) == "process_"));
  }
}

TEST_CASE("every metric that the code names is in the one list, with what it counts") {
  const std::regex literal("\"(interlink_[a-z_]+)\"");
  size_t files = 0;
  for (const char* top : {"/lib", "/cmd", "/plugins"}) {
    for (const auto& entry :
         std::filesystem::recursive_directory_iterator(SOURCES + std::string(top))) {
      const std::string extension = entry.path().extension();
      if ((extension != ".cc" && extension != ".h") || entry.path().filename() == "metric_names.h")
        continue;
      ++files;
      std::ifstream file(entry.path());
      const std::string text(std::istreambuf_iterator<char>(file), {});
      for (auto it = std::sregex_iterator(text.begin(), text.end(), literal);
           it != std::sregex_iterator(); ++it) {
        INFO(entry.path().string() << ": " << (*it)[1].str());
        CHECK_FALSE(MetricHelp((*it)[1].str()).empty());
      }
    }
  }
  CHECK(files > 100);
  std::set<std::string_view> names;
  for (const MetricName& metric : kMetricNames) CHECK(names.insert(metric.name).second);
}

}  // namespace
}  // namespace interlink::telemetry
