#include "wire/redacted.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <google/protobuf/unknown_field_set.h>

#include <string_view>
#include <vector>

namespace interlink::wire {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

constexpr size_t kMaxString = 256;

bool IsSecret(const FieldDescriptor& field) {
  const std::string& type = field.containing_type()->full_name();
  const std::string& name = field.name();
  // Everything in it but the address; a field of a later version is a secret until somebody says
  // otherwise.
  if (type == "runtime.v1.AuthConfig") return name != "server_address";
  if (type == "runtime.v1.KeyValue") return name == "value";
  // "info" of verbose answers, text or map, holds whole configurations with their environment.
  return name == "info" || name == "secret" || name == "next_secret" || name == "password" ||
         name == "token";
}

class Printer {
 public:
  explicit Printer(size_t limit) : limit_(limit) {}

  std::string Print(const Message& message) {
    out_ = message.GetDescriptor()->name();
    PutMessage(message);
    if (out_.size() > limit_) {
      out_.resize(limit_);
      // No half UTF-8 sequence at the cut.
      while (!out_.empty() && (static_cast<unsigned char>(out_.back()) & 0xC0U) == 0x80U)
        out_.pop_back();
      if (!out_.empty() && static_cast<unsigned char>(out_.back()) >= 0xC0U) out_.pop_back();
      out_ += "...";
    }
    return std::move(out_);
  }

 private:
  bool Full() const { return out_.size() > limit_; }

  void PutMessage(const Message& message) {
    out_ += '{';
    const Reflection* reflection = message.GetReflection();
    std::vector<const FieldDescriptor*> fields;
    reflection->ListFields(message, &fields);
    bool first = true;
    for (const FieldDescriptor* field : fields) {
      const int count = field->is_repeated() ? reflection->FieldSize(message, field) : 1;
      for (int i = 0; i < count && !Full(); ++i) {
        if (!first) out_ += ' ';
        first = false;
        out_ += field->name();
        PutValue(message, *field, field->is_repeated() ? i : -1);
      }
    }
    if (const int unknown = reflection->GetUnknownFields(message).field_count(); unknown > 0)
      out_ += (first ? "<" : " <") + std::to_string(unknown) + " unknown fields>";
    out_ += '}';
  }

  // `index` -1: not repeated.
  void PutValue(const Message& message, const FieldDescriptor& field, int index) {
    const Reflection* reflection = message.GetReflection();
    if (IsSecret(field)) {
      out_ += ":<redacted>";
      return;
    }
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      PutMessage(index < 0 ? reflection->GetMessage(message, &field)
                           : reflection->GetRepeatedMessage(message, &field, index));
      return;
    }
    out_ += ':';
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
      std::string scratch;
      const std::string& text =
          index < 0 ? reflection->GetStringReference(message, &field, &scratch)
                    : reflection->GetRepeatedStringReference(message, &field, index, &scratch);
      if (field.type() == FieldDescriptor::TYPE_BYTES) {
        out_ += "<" + std::to_string(text.size()) + " bytes>";
      } else {
        PutString(text);
      }
      return;
    }
    out_ += Scalar(message, field, index);
  }

  void PutString(std::string_view text) {
    static constexpr std::string_view kHex = "0123456789abcdef";
    out_ += '"';
    for (const char c : text.substr(0, kMaxString)) {
      const auto byte = static_cast<unsigned char>(c);
      if (c == '"' || c == '\\') {
        out_ += '\\';
        out_ += c;
      } else if (byte < 0x20 || byte == 0x7F) {
        out_ += "\\x";
        out_ += kHex[byte >> 4U];
        out_ += kHex[byte & 0x0FU];
      } else {
        out_ += c;
      }
    }
    out_ += text.size() > kMaxString ? "...\"" : "\"";
  }

  static std::string Scalar(const Message& message, const FieldDescriptor& field, int index) {
    const Reflection* r = message.GetReflection();
    const bool one = index < 0;
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_BOOL:
        return (one ? r->GetBool(message, &field) : r->GetRepeatedBool(message, &field, index))
                   ? "true"
                   : "false";
      case FieldDescriptor::CPPTYPE_ENUM: {
        const int value = one ? r->GetEnumValue(message, &field)
                              : r->GetRepeatedEnumValue(message, &field, index);
        const auto* known = field.enum_type()->FindValueByNumber(value);
        return known != nullptr ? known->name() : std::to_string(value);
      }
      case FieldDescriptor::CPPTYPE_INT32:
        return std::to_string(one ? r->GetInt32(message, &field)
                                  : r->GetRepeatedInt32(message, &field, index));
      case FieldDescriptor::CPPTYPE_INT64:
        return std::to_string(one ? r->GetInt64(message, &field)
                                  : r->GetRepeatedInt64(message, &field, index));
      case FieldDescriptor::CPPTYPE_UINT32:
        return std::to_string(one ? r->GetUInt32(message, &field)
                                  : r->GetRepeatedUInt32(message, &field, index));
      case FieldDescriptor::CPPTYPE_UINT64:
        return std::to_string(one ? r->GetUInt64(message, &field)
                                  : r->GetRepeatedUInt64(message, &field, index));
      case FieldDescriptor::CPPTYPE_DOUBLE:
        return std::to_string(one ? r->GetDouble(message, &field)
                                  : r->GetRepeatedDouble(message, &field, index));
      case FieldDescriptor::CPPTYPE_FLOAT:
        return std::to_string(one ? r->GetFloat(message, &field)
                                  : r->GetRepeatedFloat(message, &field, index));
      default:
        return "?";
    }
  }

  const size_t limit_;
  std::string out_;
};

}  // namespace

std::string Redacted(const Message& message, size_t limit) { return Printer(limit).Print(message); }

}  // namespace interlink::wire
