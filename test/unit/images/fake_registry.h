// A registry in memory, behind the transport of lib/images.
#ifndef INTERLINK_TEST_UNIT_IMAGES_FAKE_REGISTRY_H_
#define INTERLINK_TEST_UNIT_IMAGES_FAKE_REGISTRY_H_

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "images/digest.h"
#include "images/transport.h"

namespace interlink::images {

struct FakeAnswer {
  int status = 200;
  std::map<std::string, std::string> headers;
  std::string body;
};

struct FakeImage {
  std::string id;
  std::string manifest;            // digest
  std::vector<std::string> blobs;  // digests of the layers
};

class FakeRegistry {
 public:
  // Sees each request first, e.g. to block it; an error is the request's.
  std::function<Status(const Call&, const TransportRequest&)> before;
  // Decides instead of the stored answers when it returns something.
  std::function<std::unique_ptr<FakeAnswer>(const TransportRequest&)> instead;

  static std::string KeyOf(const net::Url& url) {
    return url.host + ":" + std::to_string(url.port) + url.target.substr(0, url.target.find('?'));
  }
  void Put(const std::string& key, FakeAnswer answer) {
    MutexLock lock(mutex_);
    answers_[key] = std::move(answer);
  }
  // `host`: "r.io:443"; `path`: "app".
  FakeImage PutImage(const std::string& host, const std::string& path, const std::string& tag,
                     const std::vector<std::string>& tars, const std::string& config_fields = "") {
    FakeImage image;
    const std::string base = host + "/v2/" + path;
    std::string diff_ids;
    std::string layers;
    for (const std::string& tar : tars) {
      const std::string digest = Digest::Of(tar).str();
      image.blobs.push_back(digest);
      Put(base + "/blobs/" + digest, {200, {}, tar});
      diff_ids += (diff_ids.empty() ? "\"" : ",\"") + digest + "\"";
      layers += (layers.empty() ? "" : ",") +
                Describe("application/vnd.oci.image.layer.v1.tar", digest, tar.size());
    }
    const std::string config = R"({"config":{)" + config_fields +
                               R"(},"rootfs":{"type":"layers","diff_ids":[)" + diff_ids + "]}}";
    image.id = Digest::Of(config).str();
    Put(base + "/blobs/" + image.id, {200, {}, config});
    const std::string manifest =
        R"({"schemaVersion":2,"config":)" +
        Describe("application/vnd.oci.image.config.v1+json", image.id, config.size()) +
        R"(,"layers":[)" + layers + "]}";
    image.manifest = Digest::Of(manifest).str();
    for (const std::string& name : {tag, image.manifest}) {
      Put(base + "/manifests/" + name,
          {200, {{"content-type", "application/vnd.oci.image.manifest.v1+json"}}, manifest});
    }
    return image;
  }
  static std::string Describe(const std::string& type, const std::string& digest, size_t size) {
    return R"({"mediaType":")" + type + R"(","digest":")" + digest + R"(","size":)" +
           std::to_string(size) + "}";
  }
  std::vector<TransportRequest> requests() const {
    MutexLock lock(mutex_);
    return requests_;
  }
  // How often the whole bytes behind `part` of an URL were asked for.
  int Count(const std::string& part) const {
    int count = 0;
    for (const TransportRequest& request : requests()) {
      const bool checked = !request.headers.empty() && request.headers[0].first == "Range";
      if (!checked && KeyOf(request.url).find(part) != std::string::npos) ++count;
    }
    return count;
  }

  Status Serve(const Call& call, const TransportRequest& request,
               const std::function<Status(const TransportHead&)>& on_head,
               const std::function<Status(std::string_view)>& on_bytes) {
    FakeAnswer answer{404, {}, R"({"errors":[{"message":"manifest unknown"}]})"};
    {
      MutexLock lock(mutex_);
      requests_.push_back(request);
      const auto found = answers_.find(KeyOf(request.url));
      if (found != answers_.end()) answer = found->second;
    }
    if (before) RETURN_IF_ERROR(before(call, request));
    if (instead) {
      if (auto other = instead(request)) answer = *other;
    }
    TransportHead head{answer.status, answer.headers, ""};
    if (answer.status >= 300) head.body = answer.body;
    RETURN_IF_ERROR(on_head(head));
    return answer.status < 300 ? on_bytes(answer.body) : Status();
  }

  // What ImageStore::Open takes; this registry outlives it.
  std::unique_ptr<RegistryTransport> Transport() {
    class Wire final : public RegistryTransport {
     public:
      explicit Wire(FakeRegistry& registry) : registry_(registry) {}
      Status Fetch(const Call& call, const TransportRequest& request,
                   const std::function<Status(const TransportHead&)>& on_head,
                   const std::function<Status(std::string_view)>& on_bytes) override {
        return registry_.Serve(call, request, on_head, on_bytes);
      }

     private:
      FakeRegistry& registry_;
    };
    return std::make_unique<Wire>(*this);
  }

 private:
  mutable Mutex mutex_;
  std::map<std::string, FakeAnswer> answers_ GUARDED_BY(mutex_);
  std::vector<TransportRequest> requests_ GUARDED_BY(mutex_);
};

inline std::string HeaderOf(const TransportRequest& request, const std::string& name) {
  for (const auto& [key, value] : request.headers)
    if (key == name) return value;
  return "";
}

}  // namespace interlink::images

#endif  // INTERLINK_TEST_UNIT_IMAGES_FAKE_REGISTRY_H_
