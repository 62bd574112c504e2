#include "images/registry.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "images/json.h"

namespace interlink::images {
namespace {

constexpr int kMaxRedirects = 5;

bool IsRedirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

std::string Header(const TransportHead& head, const char* name) {
  const auto found = head.headers.find(name);
  return found == head.headers.end() ? "" : found->second;
}

// {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}
std::string ErrorText(const TransportHead& head) {
  const auto root = ParseObject(head.body, "the error");
  if (!root.ok()) return "";
  const auto errors = root->find("errors");
  if (errors == root->end() || !errors->is_array() || errors->empty()) return "";
  const auto& first = errors->front();
  if (!first.is_object()) return "";
  const std::string message = TextField(first, "message", "").value_or("");
  return Printable(message.empty() ? TextField(first, "code", "").value_or("") : message);
}

Status ExplainStatus(const TransportHead& head, const std::string& what) {
  const std::string text = ErrorText(head);
  const std::string tail = text.empty() ? "" : ": " + text;
  const std::string number = std::to_string(head.status);
  switch (head.status) {
    case 401:
      return Unauthenticated(what + " needs other credentials (401)" + tail);
    case 403:
      return PermissionDenied(what + " is forbidden with these credentials (403)" + tail);
    case 404:
      return NotFound(what + " does not exist (404)" + tail);
    case 408:
    case 429:
      return Unavailable(what + ": the registry refuses for now (" + number + ")" + tail);
    default:
      break;
  }
  if (head.status >= 500) return Unavailable(what + ": the registry fails (" + number + ")" + tail);
  return UnknownError(what + ": the registry answers " + number + tail);
}

}  // namespace

// One thing to get from an endpoint, and where it goes.
struct Registry::Want {
  std::string rest;    // "manifests/latest"
  std::string accept;  // may be empty
  bool head_only = false;
  OnHead on_head;
  OnBytes on_bytes;
};

Registry::Registry(RegistryTransport& transport, std::vector<Endpoint> endpoints, std::string path,
                   Credentials credentials)
    : transport_(transport),
      endpoints_(std::move(endpoints)),
      path_(std::move(path)),
      credentials_(std::move(credentials)) {}

Result<Registry::FetchedManifest> Registry::GetManifest(const Call& call,
                                                        const std::string& wanted) {
  FetchedManifest out;
  const auto by_digest = Digest::Parse(wanted);
  const Status got = FromAny([&](size_t endpoint) -> Status {
    out = {};
    std::string told;
    Want want{"manifests/" + wanted, kManifestAccept, false, nullptr, nullptr};
    want.on_head = [&](const TransportHead& head) -> Status {
      out.content_type = Header(head, "content-type");
      told = Header(head, "docker-content-digest");
      return {};
    };
    want.on_bytes = [&](std::string_view bytes) -> Status {
      if (out.bytes.size() + bytes.size() > kMaxManifestBytes)
        return InvalidArgument("the manifest is larger than 4 MiB");
      out.bytes += bytes;
      return {};
    };
    RETURN_IF_ERROR(Get(call, endpoint, want));
    out.digest = Digest::Of(out.bytes);
    if (by_digest.ok() && Digest::Of(out.bytes, by_digest->algorithm()) != *by_digest) {
      return DataLoss("asked for the manifest " + wanted + ", it sends other bytes (" +
                      out.digest.str() + ")");
    }
    if (by_digest.ok()) out.digest = *by_digest;
    const auto header = Digest::Parse(told);
    if (header.ok() && Digest::Of(out.bytes, header->algorithm()) != *header) {
      return DataLoss("it calls the manifest " + header->str() + ", its bytes are " +
                      out.digest.str());
    }
    return {};
  });
  if (!got.ok()) return got;
  return out;
}

Status Registry::GetBlob(const Call& call, const Descriptor& blob, const BlobSink& sink) {
  return FromAny([&](size_t endpoint) -> Status {
    RETURN_IF_ERROR(sink.restart());
    Hasher hasher(blob.digest.algorithm());
    uint64_t size = 0;
    Want want{"blobs/" + blob.digest.str(), "", false, nullptr, nullptr};
    want.on_head = [](const TransportHead&) { return Status(); };
    want.on_bytes = [&](std::string_view bytes) -> Status {
      size += bytes.size();
      if (size > blob.size) {
        return DataLoss("the blob " + blob.digest.str() + " is longer than its " +
                        std::to_string(blob.size) + " bytes");
      }
      hasher.Update(bytes);
      return sink.write(bytes);
    };
    RETURN_IF_ERROR(Get(call, endpoint, want));
    if (size != blob.size) {
      return DataLoss("the blob " + blob.digest.str() + " has " + std::to_string(size) +
                      " bytes, the manifest says " + std::to_string(blob.size));
    }
    const Digest found = hasher.Finish();
    if (found != blob.digest) {
      return DataLoss("asked for the blob " + blob.digest.str() + ", it sends other bytes (" +
                      found.str() + ")");
    }
    return {};
  });
}

Status Registry::CheckBlob(const Call& call, const Descriptor& blob) {
  return FromAny([&](size_t endpoint) -> Status {
    Want want{"blobs/" + blob.digest.str(), "", /*head_only=*/true, nullptr, nullptr};
    want.on_head = [](const TransportHead&) { return Status(); };
    want.on_bytes = [](std::string_view) { return Status(); };
    return Get(call, endpoint, want);
  });
}

// The first endpoint that succeeds; else the error of the last one (the registry itself), with what
// the mirrors said.
Status Registry::FromAny(const std::function<Status(size_t endpoint)>& attempt) const {
  std::string before;
  for (size_t i = 0; i < endpoints_.size(); ++i) {
    const Status status = attempt(i);
    // Who has cancelled, is late, or has no room on the disk gains nothing from another endpoint.
    if (status.ok() || status.code() == Code::kCancelled ||
        status.code() == Code::kDeadlineExceeded || status.code() == Code::kResourceExhausted)
      return status;
    const std::string text = endpoints_[i].name + ": " + status.message();
    if (i + 1 == endpoints_.size())
      return {status.code(), text + (before.empty() ? "" : " (before: " + before + ")")};
    before += (before.empty() ? "" : "; ") + text;
  }
  return InternalError("no registry endpoint");
}

// One GET with authorization (tried again once after a challenge) and redirects.
Status Registry::Get(const Call& call, size_t endpoint, const Want& want) {
  TransportRequest request;
  request.url = endpoints_[endpoint].Target(want.rest);
  const net::Url first = request.url;
  std::string authorization = CachedAuthorization(endpoint);
  bool challenged = false;
  for (int hop = 0; hop <= kMaxRedirects;) {
    request.headers.clear();
    if (!want.accept.empty()) request.headers.emplace_back("Accept", want.accept);
    if (want.head_only) request.headers.emplace_back("Range", "bytes=0-0");
    if (hop == 0 && !authorization.empty())
      request.headers.emplace_back("Authorization", authorization);
    ASSIGN_OR_RETURN(const TransportHead head, Send(call, request, want));
    if (head.status == 200 || (want.head_only && head.status == 206)) return {};
    if (head.status == 416 && want.head_only) return {};  // an empty blob has no first byte
    if (IsRedirect(head.status)) {
      ASSIGN_OR_RETURN(request.url, ResolveLocation(request.url, Header(head, "location")));
      ++hop;
      continue;
    }
    if (head.status == 401 && hop == 0 && !std::exchange(challenged, true)) {
      ASSIGN_OR_RETURN(authorization, Authorize(call, endpoint, Header(head, "www-authenticate")));
      if (!authorization.empty()) continue;
    }
    return ExplainStatus(head, want.rest);
  }
  return Unavailable("more than " + std::to_string(kMaxRedirects) + " redirects");
}

// The head of the answer; a body of status 200 has gone to `want` by then.
Result<TransportHead> Registry::Send(const Call& call, TransportRequest request, const Want& want) {
  TransportHead answer;
  bool enough = false;
  const Status sent = transport_.Fetch(
      call, request,
      [&](const TransportHead& head) -> Status {
        answer = head;
        enough = want.head_only && head.status < 300;
        if (enough) return CancelledError("the head is enough");
        return head.status == 200 ? want.on_head(head) : Status();
      },
      [&](std::string_view bytes) {
        return answer.status == 200 ? want.on_bytes(bytes) : Status();
      });
  if (!enough) RETURN_IF_ERROR(sent);
  return answer;
}

std::string Registry::CachedAuthorization(size_t endpoint) const {
  {
    MutexLock lock(mutex_);
    const auto found = authorization_.find(endpoint);
    if (found != authorization_.end()) return found->second;
  }
  if (endpoints_[endpoint].origin && !credentials_.registry_token.empty())
    return "Bearer " + credentials_.registry_token;
  return "";
}

}  // namespace interlink::images
