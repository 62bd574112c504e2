#include "auth/deny_list.h"

#include <algorithm>

#include "auth/without_token.h"

namespace interlink::auth {
namespace {

constexpr std::string_view kBlank = " \t\r";

std::string_view TakeWord(std::string_view* line) {
  line->remove_prefix(std::min(line->find_first_not_of(kBlank), line->size()));
  const size_t end = std::min(line->find_first_of(kBlank), line->size());
  const std::string_view word = line->substr(0, end);
  line->remove_prefix(end);
  return word;
}

std::string_view TakeRest(std::string_view line) {
  line.remove_prefix(std::min(line.find_first_not_of(kBlank), line.size()));
  return line.substr(0, line.find_last_not_of(kBlank) + 1);
}

Status ReadLine(std::string_view line, const std::string& where, DenyList::Names& names) {
  const std::string_view kind = TakeWord(&line);
  if (kind.empty() || kind.front() == '#') return {};
  if (kind == "subject") {
    const std::string_view issuer = TakeWord(&line);
    const std::string_view subject = TakeRest(line);
    if (subject.empty()) return InvalidArgument(where + ": a line is \"subject ISSUER SUBJECT\"");
    names.subjects.emplace(issuer, subject);
    return {};
  }
  if (kind != "node" && kind != "tenant") {
    return InvalidArgument(where +
                           ": a line begins with \"node\", \"subject\" or \"tenant\", this one "
                           "with \"" +
                           std::string(kind.substr(0, 32)) + "\"");
  }
  const std::string_view name = TakeRest(line);
  if (name.empty()) return InvalidArgument(where + ": which " + std::string(kind) + "?");
  // A name that no node can have would deny nobody.
  if (kind == "node") RETURN_IF_ERROR(CheckNodeName(name).WithContext(where));
  (kind == "node" ? names.nodes : names.tenants).emplace(name);
  return {};
}

}  // namespace

Result<DenyList::Names> DenyList::Parse(std::string_view text, const std::string& name) {
  Names names;
  for (size_t number = 1; !text.empty(); ++number) {
    const size_t end = text.find('\n');
    RETURN_IF_ERROR(
        ReadLine(text.substr(0, end), "\"" + name + "\":" + std::to_string(number), names));
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
  }
  return names;
}

Result<std::unique_ptr<DenyList>> DenyList::Open(std::string path, Timer& timer, Log& log,
                                                 bool certificate_is_enough) {
  // Whoever can write the list can let in whom it keeps out.
  const auto read = [path](const WatchedFile::Contents& contents) -> Result<Names> {
    RETURN_IF_ERROR(CheckNobodyElseWrites(contents, path));
    return Parse(contents.text, path);
  };
  ASSIGN_OR_RETURN(auto value,
                   WatchedValue<Names>::Open(
                       path,
                       {.what = "deny list",
                        .refused = "the deny list cannot be used, the one of before stays in force",
                        .taken = "the deny list was read again",
                        .counted = "names",
                        .warning = "who leaves the token out escapes the deny list"},
                       {.read = read,
                        .count = [](const Names& names) { return names.size(); },
                        .warn =
                            [certificate_is_enough](const Names& names) {
                              return certificate_is_enough ? EscapedWithoutToken(names) : "";
                            }},
                       timer, log));
  return std::unique_ptr<DenyList>(new DenyList(std::move(value)));  // NOLINT: private constructor
}

Status DenyList::Check(const Identity& identity) const {
  const std::shared_ptr<const Names> names = value_->Get();
  if (names->nodes.contains(identity.node.str())) {
    return PermissionDenied("node \"" + identity.node.str() +
                            "\" is on this site's deny list (Auth.DenyFile)");
  }
  if (!identity.by_token) return {};
  if (names->subjects.contains({identity.token.issuer, identity.token.subject}))
    return PermissionDenied("the token's subject is on this site's deny list (Auth.DenyFile)");
  if (!identity.token.tenant.empty() && names->tenants.contains(identity.token.tenant)) {
    return PermissionDenied("tenant \"" + identity.token.tenant +
                            "\" is on this site's deny list (Auth.DenyFile)");
  }
  return {};
}

}  // namespace interlink::auth
