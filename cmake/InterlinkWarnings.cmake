# Warnings of our own code. Generated and third-party headers are SYSTEM includes.
# missing-field-initializers: a designated initialiser leaves the other fields at their defaults on purpose.
# subobject-linkage: a unity build includes every file, and GCC wonders about the types of its anonymous namespace.
add_library(interlink_warnings INTERFACE)
target_compile_options(interlink_warnings INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wno-missing-field-initializers -Wpedantic -Wshadow -Wconversion -Werror=unused-result>
  $<$<AND:$<COMPILE_LANG_AND_ID:CXX,GNU>,$<BOOL:${INTERLINK_UNITY}>>:-Wno-subobject-linkage>
  $<$<COMPILE_LANG_AND_ID:CXX,Clang>:-Werror=thread-safety>)
