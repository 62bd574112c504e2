#include "unit/wire/populate.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <stdexcept>
#include <string>

namespace interlink::wire {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

class Populator {
 public:
  void Fill(Message* message) {
    for (int i = 0; i < message->GetDescriptor()->field_count(); ++i) {
      const FieldDescriptor* field = message->GetDescriptor()->field(i);
      const int count = field->is_map() ? 1 : field->is_repeated() ? 2 : 1;
      for (int n = 0; n < count; ++n) FillField(message, field);
    }
  }

 private:
  void FillField(Message* message, const FieldDescriptor* field) {
    const auto* reflection = message->GetReflection();
    const int number = ++counter_;
#define SET(Kind, value)                                                \
  field->is_repeated() ? reflection->Add##Kind(message, field, (value)) \
                       : reflection->Set##Kind(message, field, (value))
    switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_MESSAGE:
        return Fill(field->is_repeated() ? reflection->AddMessage(message, field)
                                         : reflection->MutableMessage(message, field));
      case FieldDescriptor::CPPTYPE_STRING:
        if (field->type() == FieldDescriptor::TYPE_BYTES) {
          SET(String, std::string("\0\xFF\xFE", 3) + std::to_string(number));
        } else {
          SET(String, "\xC3\xA4\"\\\n\x01 " + std::to_string(number));
        }
        return;
      case FieldDescriptor::CPPTYPE_BOOL:
        SET(Bool, true);
        return;
      case FieldDescriptor::CPPTYPE_ENUM: {
        const auto* type = field->enum_type();
        SET(EnumValue, type->value(type->value_count() - 1)->number());
        return;
      }
      case FieldDescriptor::CPPTYPE_INT32:
        SET(Int32, -number);
        return;
      case FieldDescriptor::CPPTYPE_UINT32:
        SET(UInt32, 4294960000U + static_cast<uint32_t>(number));
        return;
      case FieldDescriptor::CPPTYPE_INT64:
        SET(Int64, -9223372036854770000LL + number);
        return;
      case FieldDescriptor::CPPTYPE_UINT64:
        SET(UInt64, 18446744073709550000ULL + static_cast<uint64_t>(number));
        return;
      case FieldDescriptor::CPPTYPE_DOUBLE:
        SET(Double, number + 0.125);
        return;
      default:
        throw std::logic_error("no rule for the type of " + field->full_name());
    }
#undef SET
  }

  int counter_ = 0;
};

}  // namespace

void Populate(Message* message) { Populator().Fill(message); }

}  // namespace interlink::wire
