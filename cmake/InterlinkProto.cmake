# interlink_proto(TARGET file.proto...): generates messages (never services: api.grpc.pb.h costs 11 s per file)
# into one object library. Paths are relative to proto/, so an include reads "interlink/v1/record.pb.h".
function(interlink_proto target)
  set(out "${CMAKE_BINARY_DIR}/gen")
  file(MAKE_DIRECTORY "${out}")
  set(sources)
  foreach(proto IN LISTS ARGN)
    string(REGEX REPLACE "\\.proto$" "" stem "${proto}")
    add_custom_command(
      OUTPUT "${out}/${stem}.pb.cc" "${out}/${stem}.pb.h"
      COMMAND protobuf::protoc -I "${CMAKE_SOURCE_DIR}/proto" --cpp_out "${out}" "${proto}"
      DEPENDS ${ARGN_DEPENDS} "${CMAKE_SOURCE_DIR}/proto/${proto}"
      COMMENT "protoc ${proto}" VERBATIM)
    list(APPEND sources "${out}/${stem}.pb.cc")
  endforeach()
  add_library(${target} OBJECT ${sources})
  target_include_directories(${target} SYSTEM PUBLIC "${out}")
  target_link_libraries(${target} PUBLIC protobuf::libprotobuf)
  # Size matters more than speed here, and it halves the compile time of 50,000 lines.
  target_compile_options(${target} PRIVATE -O1 -w)
  if(INTERLINK_SANITIZER STREQUAL "address")
    target_compile_options(${target} PRIVATE -fno-sanitize=all)  # protoc's code, in the middle of a library without it
  endif()
endfunction()
