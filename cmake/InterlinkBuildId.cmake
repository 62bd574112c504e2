# INTERLINK_BUILD_ID: plugins and daemons of different builds must not meet, so what decides the shared types and
# their meaning is in this text: version, compiler, build type, sanitizer and the sources of libinterlink-sdk.so.
# Only the few files that use it get it (interlink_build_id), so that an edit does not rebuild everything.
file(GLOB_RECURSE sdk_sources RELATIVE "${CMAKE_SOURCE_DIR}" CONFIGURE_DEPENDS
  "${CMAKE_SOURCE_DIR}/lib/base/*.h" "${CMAKE_SOURCE_DIR}/lib/base/*.cc"
  "${CMAKE_SOURCE_DIR}/lib/sdk/*.h" "${CMAKE_SOURCE_DIR}/lib/sdk/*.cc" "${CMAKE_SOURCE_DIR}/proto/*.proto")
list(SORT sdk_sources)
set(hashes)
foreach(source IN LISTS sdk_sources)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/${source}")
  file(SHA256 "${CMAKE_SOURCE_DIR}/${source}" hash)
  string(APPEND hashes "${source} ${hash}\n")
endforeach()
string(SHA256 sdk_hash "${hashes}")
string(SUBSTRING "${sdk_hash}" 0 16 sdk_hash)
string(JOIN "/" INTERLINK_BUILD_ID
  "${PROJECT_VERSION}" "${CMAKE_CXX_COMPILER_ID}-${CMAKE_CXX_COMPILER_VERSION}" "${CMAKE_BUILD_TYPE}"
  ${INTERLINK_SANITIZER} "${sdk_hash}")

# interlink_build_id(f.cc...): these sources of the folder see INTERLINK_BUILD_ID.
function(interlink_build_id)
  set_property(SOURCE ${ARGN} APPEND PROPERTY COMPILE_DEFINITIONS "INTERLINK_BUILD_ID=\"${INTERLINK_BUILD_ID}\"")
endfunction()
