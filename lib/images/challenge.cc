#include "images/challenge.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "images/json.h"

namespace interlink::images {
namespace {

bool IsTokenChar(char c) {
  static constexpr std::string_view kMore = "!#$%&'*+-.^_`|~";
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         kMore.find(c) != std::string_view::npos;
}

class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}

  void SkipSpacesAndCommas() {
    while (!rest_.empty() &&
           (rest_.front() == ' ' || rest_.front() == '\t' || rest_.front() == ','))
      rest_.remove_prefix(1);
  }
  void SkipSpaces() {
    while (!rest_.empty() && (rest_.front() == ' ' || rest_.front() == '\t'))
      rest_.remove_prefix(1);
  }
  // In lower case; empty when there is none.
  std::string Token() {
    size_t size = 0;
    while (size < rest_.size() && IsTokenChar(rest_[size])) ++size;
    std::string out(rest_.substr(0, size));
    rest_.remove_prefix(size);
    for (char& c : out) c = (c >= 'A' && c <= 'Z') ? static_cast<char>(c - 'A' + 'a') : c;
    return out;
  }
  bool Take(char c) {
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  std::string Value() {
    std::string out;
    if (!Take('"')) {
      while (!rest_.empty() && IsTokenChar(rest_.front())) {
        out += rest_.front();
        rest_.remove_prefix(1);
      }
      return out;
    }
    while (!rest_.empty() && rest_.front() != '"') {
      if (rest_.front() == '\\' && rest_.size() > 1) rest_.remove_prefix(1);
      out += rest_.front();
      rest_.remove_prefix(1);
    }
    Take('"');
    return out;
  }

 private:
  std::string_view rest_;
};

}  // namespace

std::vector<Challenge> ParseChallenges(std::string_view header) {
  std::vector<Challenge> out;
  Scanner scan(header.substr(0, 8192));
  while (true) {
    scan.SkipSpacesAndCommas();
    const std::string word = scan.Token();
    if (word.empty()) return out;
    scan.SkipSpaces();
    if (!scan.Take('=')) {
      out.push_back({word, {}});
      continue;
    }
    if (out.empty()) return out;  // a parameter of no scheme
    scan.SkipSpaces();
    out.back().parameters.emplace(word, scan.Value());
  }
}

Result<std::string> ParseTokenAnswer(std::string_view body) {
  const auto root = ParseObject(body, "the token server's answer");
  if (!root.ok()) return Unauthenticated(root.status().message());
  for (const char* name : {"token", "access_token"}) {
    const auto token = TextField(*root, name, "");
    if (!token.ok() || token->empty()) continue;
    if (std::any_of(token->begin(), token->end(),
                    [](char c) { return static_cast<unsigned char>(c) <= 0x20 || c == 0x7f; }))
      return Unauthenticated("the token server's token holds a control character");
    return *token;
  }
  return Unauthenticated("the token server's answer has no token");
}

}  // namespace interlink::images
