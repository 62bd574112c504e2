# interlink_library(NAME [SDK] SOURCES f.cc... [DEPENDS base net...] [LINK third-party...])
#   A library of lib/NAME with includes rooted at lib/. SDK: an object library that becomes a part of
#   libinterlink-sdk.so. DEPENDS names our folders; base, sdk, shim and proto all mean the shared library
#   (generated code that is linked twice aborts at dlopen).
# interlink_test(NAME SOURCES f.cc... [DEPENDS ...] [LINK ...] [LABELS unit|contract|integration])
#   A Catch2 binary NAME with the shared main, registered with ctest.
# interlink_executable(NAME SOURCES ... [DEPENDS ...] [LINK ...])
# interlink_plugin(NAME SOURCES ... [DEPENDS ...] [LINK ...])   a loadable lib/interlink/plugins/NAME.so, hidden visibility

function(_interlink_link target visibility)
  foreach(name IN LISTS ARGN)
    if(name MATCHES "^(base|sdk|proto)$")
      target_link_libraries(${target} ${visibility} interlink-sdk)
    elseif(name STREQUAL "shim")
      target_include_directories(${target} ${visibility} "${CMAKE_SOURCE_DIR}/lib")
    else()
      target_link_libraries(${target} ${visibility} interlink_${name})
    endif()
  endforeach()
endfunction()

# Up to 24 files of one target are compiled together when INTERLINK_UNITY is on: most of a compile is the headers, and what
# they instantiate (12 and 6 files of a test together took a third longer). The price is that no two files of a folder use
# one name for different things at file scope, and 1.3 GB of memory for the largest.
function(_interlink_unity target)
  if(INTERLINK_UNITY)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 24)
    # GCC collects garbage from 128 MB on, an eighth of the time of such a batch.
    target_compile_options(${target} PRIVATE "$<$<CXX_COMPILER_ID:GNU>:--param=ggc-min-heapsize=524288>")
  endif()
endfunction()

function(interlink_library name)
  cmake_parse_arguments(ARG "SDK" "" "SOURCES;DEPENDS;LINK" ${ARGN})
  if(ARG_SDK)
    add_library(interlink_${name}_objects OBJECT ${ARG_SOURCES})
    set(target interlink_${name}_objects)
    target_link_libraries(${target} PUBLIC ${ARG_LINK})
  else()
    add_library(interlink_${name} STATIC ${ARG_SOURCES})
    set(target interlink_${name})
    _interlink_link(${target} PUBLIC ${ARG_DEPENDS})
    target_link_libraries(${target} PUBLIC ${ARG_LINK})
  endif()
  target_include_directories(${target} PUBLIC "${CMAKE_SOURCE_DIR}/lib")
  target_link_libraries(${target} PRIVATE interlink_warnings)
  _interlink_unity(${target})
endfunction()

function(interlink_executable name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;LINK" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  set_target_properties(${name} PROPERTIES POSITION_INDEPENDENT_CODE ON)
  _interlink_unity(${name})
  _interlink_link(${name} PRIVATE ${ARG_DEPENDS})
  target_include_directories(${name} PRIVATE "${CMAKE_SOURCE_DIR}/lib")
  target_link_libraries(${name} PRIVATE ${ARG_LINK} interlink_warnings)
endfunction()

function(interlink_plugin name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;LINK" ${ARGN})
  add_library(plugin_${name} MODULE ${ARG_SOURCES})
  set_target_properties(plugin_${name} PROPERTIES
    PREFIX "" OUTPUT_NAME ${name} CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON
    LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/lib/interlink/plugins"
    INSTALL_RPATH "$ORIGIN/../..")
  target_compile_definitions(plugin_${name} PRIVATE "INTERLINK_BUILD_ID=\"${INTERLINK_BUILD_ID}\"")
  _interlink_link(plugin_${name} PRIVATE ${ARG_DEPENDS})
  target_include_directories(plugin_${name} PRIVATE "${CMAKE_SOURCE_DIR}/lib")
  target_link_libraries(plugin_${name} PRIVATE ${ARG_LINK} interlink_warnings)
  # The plugins of tests stay in the build folder.
  if(CMAKE_CURRENT_SOURCE_DIR MATCHES "^${CMAKE_SOURCE_DIR}/plugins/")
    install(TARGETS plugin_${name} LIBRARY DESTINATION lib/interlink/plugins)
  endif()
endfunction()

function(interlink_test name)
  cmake_parse_arguments(ARG "" "LABELS;TIMEOUT" "SOURCES;DEPENDS;LINK" ${ARGN})
  if(NOT ARG_LABELS)
    set(ARG_LABELS unit)
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300)
  endif()
  add_executable(${name} ${ARG_SOURCES})
  _interlink_link(${name} PRIVATE ${ARG_DEPENDS})
  target_include_directories(${name} PRIVATE "${CMAKE_SOURCE_DIR}/lib" "${CMAKE_SOURCE_DIR}/test")
  target_link_libraries(${name} PRIVATE ${ARG_LINK} interlink_warnings Catch2::Catch2WithMain)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/test")
  _interlink_unity(${name})
  # What they test is optimised as it is shipped; their own code only costs time to compile.
  target_compile_options(${name} PRIVATE "$<$<CONFIG:Release>:-O0;-U_FORTIFY_SOURCE>")
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT ${ARG_TIMEOUT})
endfunction()
