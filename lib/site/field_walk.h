// Never accept and ignore: finds what a CRI config asks for and a backend does not do (DESIGN 7).
// Pure.
#ifndef INTERLINK_SITE_FIELD_WALK_H_
#define INTERLINK_SITE_FIELD_WALK_H_

#include <string>
#include <vector>

#include "base/status.h"
#include "sdk/description.h"

namespace google::protobuf {
class Message;
}

namespace interlink::site {

// Walks `config` by reflection, in field order. kUnimplemented for the first set field that no list
// covers:
// "\"linux.security_context.apparmor\" is not supported by handler \"x\"". kInvalidArgument for a
// field, or a value of an enum, that this build does not know. A field is set when it is non-empty
// or differs from its default; a message is set by its fields. Of a number wrapper, a security
// profile and a user namespace the first field is always set: their zero asks for something.
Status RefuseUnsupported(const google::protobuf::Message& config, const sdk::FieldLists& lists,
                         const std::string& handler);

// The paths of set fields that are only bounded, each once: for verbose status.
std::vector<std::string> BoundedFields(const google::protobuf::Message& config,
                                       const sdk::FieldLists& lists);

}  // namespace interlink::site

#endif  // INTERLINK_SITE_FIELD_WALK_H_
