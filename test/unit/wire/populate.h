// Sets every field of a message, so that a round trip that loses one is seen.
#ifndef INTERLINK_TEST_UNIT_WIRE_POPULATE_H_
#define INTERLINK_TEST_UNIT_WIRE_POPULATE_H_

namespace google::protobuf {
class Message;
}

namespace interlink::wire {

// Each field gets a value other than its default, and other than its neighbours'; lists get two
// items, maps one; of a oneof the last member stays.
void Populate(google::protobuf::Message* message);

}  // namespace interlink::wire

#endif  // INTERLINK_TEST_UNIT_WIRE_POPULATE_H_
