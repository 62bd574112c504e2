#include "auth/strict_json.h"

#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

namespace interlink::auth {
namespace {

using nlohmann::json;

constexpr size_t kMostLevels = 16;

// Builds nothing: only the rules that json::parse does not have.
class StrictRules final : public nlohmann::json_sax<json> {
 public:
  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_object(size_t) override { return Enter(); }
  bool start_array(size_t) override { return Enter(); }
  bool end_object() override { return Leave(); }
  bool end_array() override { return Leave(); }
  bool key(string_t& name) override {
    if (names_.back().insert(name).second) return true;
    why_ = "a name comes twice in an object";
    return false;
  }
  bool parse_error(size_t position, const std::string&,
                   const nlohmann::detail::exception&) override {
    why_ = "no JSON at byte " + std::to_string(position);
    return false;
  }

  const std::string& why() const { return why_; }

 private:
  bool Enter() {
    names_.emplace_back();
    if (names_.size() <= kMostLevels) return true;
    why_ = "more than " + std::to_string(kMostLevels) + " levels";
    return false;
  }
  bool Leave() {
    names_.pop_back();
    return true;
  }

  std::vector<std::set<std::string>> names_;
  std::string why_;
};

}  // namespace

Result<json> ParseStrictJson(std::string_view text) {
  StrictRules rules;
  if (!json::sax_parse(text.begin(), text.end(), &rules)) return InvalidArgument(rules.why());
  json parsed = json::parse(text.begin(), text.end(), nullptr, false);
  if (!parsed.is_object()) return InvalidArgument("no JSON object");
  return parsed;
}

}  // namespace interlink::auth
