// Reference: the name of an image as people write it, normalised as docker/distribution does:
//
//   [host[:port]/] path [:tag] [@digest]      "busybox" -> "docker.io/library/busybox:latest"
//
// The first component is a host when it has a dot, a colon or an upper-case letter, or is
// "localhost". With both tag and digest the digest decides and the tag is dropped from what is
// fetched. Values.
#ifndef INTERLINK_IMAGES_REFERENCE_H_
#define INTERLINK_IMAGES_REFERENCE_H_

#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "images/digest.h"

namespace interlink::images {

struct Reference {
  std::string host;  // "docker.io", "localhost:5000"
  std::string path;  // "library/busybox"
  std::string tag;   // empty only when there is a digest
  std::optional<Digest> digest;

  std::string Name() const { return host + "/" + path; }
  // "host/path:tag". REQUIRES: a tag.
  std::string Tagged() const { return Name() + ":" + tag; }
  // "host/path@digest" for this or another digest.
  std::string Digested(const Digest& other) const { return Name() + "@" + other.str(); }
  // What a registry is asked for: the digest if there is one, else the tag.
  const std::string& Wanted() const { return digest ? digest->str() : tag; }
  std::string ToString() const;
};

// `default_registry` is the host of names without one; it may have a path ("registry.example/lab").
// Only docker.io gets "library/". kInvalidArgument says what is wrong and quotes at most 255 bytes.
Result<Reference> ParseReference(std::string_view text,
                                 const std::string& default_registry = "docker.io");

// A string that may mean an image id: "sha256:" + hex digits, or hex digits alone, 1 to 64 of them.
// Returns the hex digits (of an id, or a prefix of one).
std::optional<std::string> IdPrefix(std::string_view text);

}  // namespace interlink::images

#endif  // INTERLINK_IMAGES_REFERENCE_H_
