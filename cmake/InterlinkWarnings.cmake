# Warnings of our own code. Generated and third-party headers are SYSTEM includes.
add_library(interlink_warnings INTERFACE)
target_compile_options(interlink_warnings INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror=unused-result>
  $<$<COMPILE_LANG_AND_ID:CXX,Clang>:-Werror=thread-safety>)
