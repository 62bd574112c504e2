// A CRI message written as protobuf text, so that a table of configs stays readable.
#ifndef INTERLINK_TEST_CONTRACT_CONFIG_TEXT_H_
#define INTERLINK_TEST_CONTRACT_CONFIG_TEXT_H_

#include <google/protobuf/text_format.h>

#include <stdexcept>
#include <string>

namespace interlink::contract {

// Throws when `text` is not of that type.
template <typename Config>
Config FromText(const std::string& text) {
  Config config;
  if (!google::protobuf::TextFormat::ParseFromString(text, &config)) {
    throw std::runtime_error("not a config: " + text);
  }
  return config;
}

}  // namespace interlink::contract

#endif  // INTERLINK_TEST_CONTRACT_CONFIG_TEXT_H_
