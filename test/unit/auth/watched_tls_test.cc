// Certificates that are renewed while they are used.
#include "auth/watched_tls.h"

#include <catch2/catch.hpp>
#include <cstdio>
#include <fstream>

#include "base/mutex.h"
#include "support/certificates.h"
#include "support/eventually.h"
#include "support/temporary_folder.h"

namespace interlink::auth {
namespace {

using test::Eventually;

class CountedLines final : public Log {
 public:
  bool Enabled(LogLevel) const override { return true; }
  void Write(LogLevel level, std::string_view, const std::vector<LogField>&) override {
    const MutexLock lock(mutex_);
    ++(level == LogLevel::kError ? errors_ : infos_);
  }
  int errors() {
    const MutexLock lock(mutex_);
    return errors_;
  }
  int infos() {
    const MutexLock lock(mutex_);
    return infos_;
  }

 private:
  Mutex mutex_;
  int errors_ GUARDED_BY(mutex_) = 0;
  int infos_ GUARDED_BY(mutex_) = 0;
};

struct TlsLab {
  TlsLab() {
    const auto made =
        net::TlsContext::Server({first.cert, first.key, ca.ca_file()}, net::ClientAuth::kRequire);
    REQUIRE(made.ok());
    context = *made;
  }
  test::CertificateFiles Issue(long ends) {
    return ca.Issue("fresh",
                    {.common_name = "s", .alternative_names = "IP:127.0.0.1", .ends = ends});
  }

  test::TemporaryFolder folder;
  test::CertificateAuthority ca{folder.path(), "ca"};
  test::CertificateFiles first = ca.Issue("server", {.common_name = "s"});
  std::shared_ptr<net::TlsContext> context;
  CountedLines log;
  Timer timer;
};

TEST_CASE("a renewed certificate is taken when its key is there too") {
  TlsLab lab;
  const WatchedTls watched(lab.context, lab.timer, lab.log);
  const int64_t before = lab.context->not_after();

  const auto fresh = lab.Issue(200'000);
  REQUIRE(rename(fresh.cert.c_str(), lab.first.cert.c_str()) == 0);
  REQUIRE(rename(fresh.key.c_str(), lab.first.key.c_str()) == 0);

  CHECK(Eventually([&] { return lab.context->not_after() > before + 100'000; }));
  CHECK(lab.log.errors() == 0);
}

TEST_CASE("what cannot be used changes nothing, and is said once") {
  TlsLab lab;
  WatchedTls watched(lab.context, lab.timer, lab.log);
  const int64_t before = lab.context->not_after();
  const auto fresh = lab.Issue(200'000);

  std::ofstream(lab.first.key) << "broken";
  REQUIRE(Eventually([&] { return lab.log.errors() == 1; }));
  REQUIRE(rename(fresh.cert.c_str(), lab.first.cert.c_str()) == 0);
  watched.ReadSoon();
  CHECK(lab.context->not_after() == before);

  REQUIRE(rename(fresh.key.c_str(), lab.first.key.c_str()) == 0);
  CHECK(Eventually([&] { return lab.context->not_after() > before + 100'000; }));
  CHECK(lab.log.errors() <= 2);
}

TEST_CASE("asked to, it reads files that have not changed") {
  TlsLab lab;
  WatchedTls watched(lab.context, lab.timer, lab.log);

  watched.ReadSoon();

  CHECK(Eventually([&] { return lab.log.infos() == 1; }));
}

}  // namespace
}  // namespace interlink::auth
