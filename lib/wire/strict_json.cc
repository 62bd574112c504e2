#include "wire/strict_json.h"

#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <charconv>
#include <set>
#include <string>

#include "wire/json_text.h"

namespace interlink::wire {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

// What a value is checked against. Neither: only its syntax.
struct Expected {
  const Descriptor* message = nullptr;     // the top
  const FieldDescriptor* field = nullptr;  // a field's value ...
  bool item = false;                       // ... or one item of its list, one value of its map
};

enum class Shape { kAnything, kMessage, kMap, kList, kScalar };

Shape ShapeOf(const Expected& expected) {
  if (expected.message != nullptr) return Shape::kMessage;
  if (expected.field == nullptr) return Shape::kAnything;
  if (expected.field->is_map() && !expected.item) return Shape::kMap;
  if (expected.field->is_repeated() && !expected.item) return Shape::kList;
  return expected.field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE ? Shape::kMessage
                                                                        : Shape::kScalar;
}

const FieldDescriptor* FindField(const Descriptor& message, const std::string& key) {
  for (int i = 0; i < message.field_count(); ++i) {
    const FieldDescriptor* field = message.field(i);
    if (field->json_name() == key || field->name() == key) return field;
  }
  return nullptr;
}

bool IsInteger(std::string_view text) {
  if (text.starts_with('-')) text.remove_prefix(1);
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

const char* WantedText(const FieldDescriptor* field) {
  if (field == nullptr) return "a value";
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      return field->type() == FieldDescriptor::TYPE_BYTES ? "a string of base64" : "a string";
    case FieldDescriptor::CPPTYPE_BOOL:
      return "true or false";
    case FieldDescriptor::CPPTYPE_ENUM:
      return "the name of an enum value";
    case FieldDescriptor::CPPTYPE_DOUBLE:
    case FieldDescriptor::CPPTYPE_FLOAT:
      return "a number";
    default:
      return "an integer";
  }
}

class Checker {
 public:
  explicit Checker(std::string_view text) : text_(text) {}

  Status Check(const Descriptor* type) {
    RETURN_IF_ERROR(Value({.message = type}, 1));
    text_.SkipSpace();
    if (!text_.AtEnd()) return text_.Error("nothing may follow the value");
    return {};
  }

 private:
  Status Value(const Expected& expected, int depth) {
    if (depth > kMaxJsonDepth)
      return text_.Error("nested deeper than " + std::to_string(kMaxJsonDepth) + " levels");
    text_.SkipSpace();
    const Shape shape = ShapeOf(expected);
    switch (text_.Peek()) {
      case '{':
        if (shape == Shape::kList) return Wrong("a list");
        if (shape == Shape::kScalar) return Wrong(WantedText(expected.field));
        return Object(expected, shape, depth);
      case '[':
        if (shape == Shape::kMessage || shape == Shape::kMap) return Wrong("an object");
        if (shape == Shape::kScalar) return Wrong(WantedText(expected.field));
        return List(expected, depth);
      default:
        return Scalar(expected, shape);
    }
  }

  Status Object(const Expected& expected, Shape shape, int depth) {
    text_.Take('{');
    std::set<std::string, std::less<>> seen;
    text_.SkipSpace();
    if (text_.Take('}')) return {};
    while (true) {
      text_.SkipSpace();
      ASSIGN_OR_RETURN(const std::string key, text_.String());
      const size_t length = path_.size();
      RETURN_IF_ERROR(Member(expected, shape, key, &seen, depth));
      path_.resize(length);
      text_.SkipSpace();
      if (text_.Take('}')) return {};
      if (!text_.Take(',')) return text_.Error("\",\" or \"}\" must stand here");
    }
  }

  Status Member(const Expected& expected, Shape shape, const std::string& key,
                std::set<std::string, std::less<>>* seen, int depth) {
    Expected inner;
    std::string name = key;
    if (shape == Shape::kMessage) {
      const Descriptor* message =
          expected.message != nullptr ? expected.message : expected.field->message_type();
      inner.field = FindField(*message, key);
      if (inner.field == nullptr)
        return InvalidArgument("unknown field \"" + Joined(key) + "\": " + message->full_name() +
                               " has no such field");
      name = inner.field->name();
    } else if (shape == Shape::kMap) {
      inner.field = expected.field->message_type()->map_value();
      inner.item = true;
    }
    path_ = shape == Shape::kMap ? path_ + "[" + name + "]" : Joined(name);
    if (!seen->insert(name).second) return InvalidArgument("\"" + path_ + "\" is given twice");
    text_.SkipSpace();
    if (!text_.Take(':')) return text_.Error("\":\" must follow a key");
    return Value(inner, depth + 1);
  }

  Status List(const Expected& expected, int depth) {
    text_.Take('[');
    text_.SkipSpace();
    if (text_.Take(']')) return {};
    const size_t length = path_.size();
    for (int index = 0;; ++index) {
      path_ += "[" + std::to_string(index) + "]";
      RETURN_IF_ERROR(Value({.field = expected.field, .item = true}, depth + 1));
      path_.resize(length);
      text_.SkipSpace();
      if (text_.Take(']')) return {};
      if (!text_.Take(',')) return text_.Error("\",\" or \"]\" must stand here");
    }
  }

  Status Scalar(const Expected& expected, Shape shape) {
    const char first = text_.Peek();
    if (first == 'n') {
      RETURN_IF_ERROR(text_.Word("null"));
      if (expected.message != nullptr) return Wrong("an object");
      if (expected.item && expected.field != nullptr) return Wrong("a value, not null");
      return {};
    }
    if (shape == Shape::kMessage || shape == Shape::kMap) return WrongUnlessSyntax("an object");
    if (shape == Shape::kList) return WrongUnlessSyntax("a list");
    if (first == '"') {
      ASSIGN_OR_RETURN(const std::string value, text_.String());
      return CheckString(expected.field, value);
    }
    if (first == 't' || first == 'f') {
      RETURN_IF_ERROR(text_.Word(first == 't' ? "true" : "false"));
      if (expected.field != nullptr && expected.field->cpp_type() != FieldDescriptor::CPPTYPE_BOOL)
        return Wrong(WantedText(expected.field));
      return {};
    }
    if (first != '-' && (first < '0' || first > '9')) return text_.Word("a value");
    ASSIGN_OR_RETURN(const std::string_view number, text_.Number());
    return CheckNumber(expected.field, number);
  }

  // A scalar where an object or list belongs; text that is not JSON at all is told as such.
  Status WrongUnlessSyntax(const char* wanted) {
    RETURN_IF_ERROR(Scalar({}, Shape::kAnything));
    return Wrong(wanted);
  }

  Status CheckString(const FieldDescriptor* field, const std::string& value) {
    if (field == nullptr || field->cpp_type() == FieldDescriptor::CPPTYPE_STRING) return {};
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_BOOL) return Wrong(WantedText(field));
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_ENUM) {
      if (field->enum_type()->FindValueByName(value) != nullptr) return {};
      return InvalidArgument("\"" + path_ + "\": \"" + value + "\" is not a value of " +
                             field->enum_type()->full_name());
    }
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_DOUBLE ||
        field->cpp_type() == FieldDescriptor::CPPTYPE_FLOAT)
      return {};  // "NaN", "Infinity", "1.5": proto3 JSON; protobuf's parser checks the rest
    return IsInteger(value) ? Status() : Wrong(WantedText(field));
  }

  Status CheckNumber(const FieldDescriptor* field, std::string_view number) {
    if (field == nullptr) return {};
    switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_STRING:
      case FieldDescriptor::CPPTYPE_BOOL:
        return Wrong(WantedText(field));
      case FieldDescriptor::CPPTYPE_DOUBLE:
      case FieldDescriptor::CPPTYPE_FLOAT:
        return {};
      case FieldDescriptor::CPPTYPE_ENUM: {
        int value = 0;
        const auto end = number.data() + number.size();
        const auto [rest, error] = std::from_chars(number.data(), end, value);
        if (error == std::errc() && rest == end &&
            field->enum_type()->FindValueByNumber(value) != nullptr)
          return {};
        return InvalidArgument("\"" + path_ + "\": " + std::string(number) + " is not a value of " +
                               field->enum_type()->full_name());
      }
      default:
        return IsInteger(number) ? Status() : Wrong(WantedText(field));
    }
  }

  std::string Joined(const std::string& key) const {
    return path_.empty() ? key : path_ + "." + key;
  }

  Status Wrong(const char* wanted) const {
    return InvalidArgument((path_.empty() ? "the body" : "\"" + path_ + "\"") +
                           std::string(" must be ") + wanted);
  }

  JsonText text_;
  std::string path_;
};

}  // namespace

Status CheckStrictJson(std::string_view text, const Descriptor* type) {
  return Checker(text).Check(type);
}

}  // namespace interlink::wire
