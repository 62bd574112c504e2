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
  void Renew(long ends) {
    const auto fresh = Issue(ends);
    REQUIRE(rename(fresh.cert.c_str(), first.cert.c_str()) == 0);
    REQUIRE(rename(fresh.key.c_str(), first.key.c_str()) == 0);
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
  CHECK(watched.Prepare().status().code() == Code::kInvalidArgument);
  CHECK(lab.context->not_after() == before);

  REQUIRE(rename(fresh.key.c_str(), lab.first.key.c_str()) == 0);
  CHECK(Eventually([&] { return lab.context->not_after() > before + 100'000; }));
  CHECK(lab.log.errors() <= 2);
}

TEST_CASE("what was prepared is in force when it is taken, and not before") {
  TlsLab lab;
  int renewed = 0;
  WatchedTls watched(lab.context, lab.timer, lab.log, [&renewed] { ++renewed; });
  renewed = 0;
  const int64_t before = lab.context->not_after();
  const auto fresh = lab.Issue(200'000);
  REQUIRE(rename(fresh.cert.c_str(), lab.first.cert.c_str()) == 0);
  REQUIRE(rename(fresh.key.c_str(), lab.first.key.c_str()) == 0);

  const auto take = watched.Prepare();

  REQUIRE(take.ok());
  CHECK(renewed == 0);
  (*take)();
  CHECK(lab.context->not_after() > before + 100'000);
  CHECK(renewed >= 1);
}

// The context was made from the old files and the looks began with the new ones: nobody read them.
TEST_CASE("a certificate that is renewed before the watch begins is taken") {
  TlsLab lab;
  const int64_t before = lab.context->not_after();

  lab.Renew(200'000);
  const WatchedTls watched(lab.context, lab.timer, lab.log);

  CHECK(Eventually([&] { return lab.context->not_after() > before + 100'000; }));
}

// As of the deny list: the older one was put in force, and the newer one was taken for known.
TEST_CASE("a certificate that is renewed between the halves of a reload is in force soon") {
  TlsLab lab;
  WatchedTls watched(lab.context, lab.timer, lab.log);
  const int64_t before = lab.context->not_after();

  const auto take = watched.Prepare();
  REQUIRE(take.ok());
  lab.Renew(200'000);
  REQUIRE(Eventually([&] { return lab.context->not_after() > before + 100'000; }));
  (*take)();

  CHECK(Eventually([&] { return lab.context->not_after() > before + 100'000; }));
}

}  // namespace
}  // namespace interlink::auth
