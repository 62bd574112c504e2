#include "auth/strict_json.h"

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

namespace interlink::auth {
namespace {

using nlohmann::json;

constexpr size_t kMostLevels = 16;

// Builds the value, and has the rules that json::parse does not have.
class StrictBuilder final : public nlohmann::json_sax<json> {
 public:
  bool null() override { return Put(nullptr); }
  bool boolean(bool value) override { return Put(value); }
  bool number_integer(number_integer_t value) override { return Put(value); }
  bool number_unsigned(number_unsigned_t value) override { return Put(value); }
  bool number_float(number_float_t value, const string_t&) override { return Put(value); }
  bool string(string_t& value) override { return Put(std::move(value)); }
  bool binary(binary_t&) override { return false; }
  bool start_object(size_t) override { return Enter(json::object()); }
  bool start_array(size_t) override { return Enter(json::array()); }
  bool end_object() override { return Leave(); }
  bool end_array() override { return Leave(); }
  bool key(string_t& name) override {
    const auto [member, is_new] = open_.back()->emplace(std::move(name), nullptr);
    member_ = &*member;
    if (!is_new) why_ = "a name comes twice in an object";
    return is_new;
  }
  bool parse_error(size_t position, const std::string&,
                   const nlohmann::detail::exception&) override {
    why_ = "no JSON at byte " + std::to_string(position);
    return false;
  }

  const std::string& why() const { return why_; }
  json Take() { return std::move(top_); }

 private:
  // Where it stands now: it moves no more until what holds it has ended.
  json* Place(json value) {
    if (open_.empty()) return &(top_ = std::move(value));
    if (open_.back()->is_object()) return &(*member_ = std::move(value));
    open_.back()->push_back(std::move(value));
    return &open_.back()->back();
  }
  bool Put(json value) {
    Place(std::move(value));
    return true;
  }
  bool Enter(json value) {
    if (open_.size() == kMostLevels) {
      why_ = "more than " + std::to_string(kMostLevels) + " levels";
      return false;
    }
    open_.push_back(Place(std::move(value)));
    return true;
  }
  bool Leave() {
    open_.pop_back();
    return true;
  }

  json top_;
  std::vector<json*> open_;  // from the outermost in
  json* member_ = nullptr;   // of the innermost object, whose value comes next
  std::string why_;
};

}  // namespace

Result<json> ParseStrictJson(std::string_view text) {
  StrictBuilder builder;
  if (!json::sax_parse(text.begin(), text.end(), &builder)) return InvalidArgument(builder.why());
  json parsed = builder.Take();
  if (!parsed.is_object()) return InvalidArgument("no JSON object");
  return parsed;
}

}  // namespace interlink::auth
