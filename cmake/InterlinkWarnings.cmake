# Warnings of our own code. Generated and third-party headers are SYSTEM includes.
add_library(interlink_warnings INTERFACE)
# A designated initialiser leaves the other fields at their defaults on purpose.
target_compile_options(interlink_warnings INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wno-missing-field-initializers -Wpedantic -Wshadow -Wconversion -Werror=unused-result>
  $<$<COMPILE_LANG_AND_ID:CXX,Clang>:-Werror=thread-safety>)
