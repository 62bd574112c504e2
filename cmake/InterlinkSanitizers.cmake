# INTERLINK_SANITIZER: "", "address" (with undefined) or "thread".
set(INTERLINK_SANITIZER "" CACHE STRING "address, thread or empty")
if(INTERLINK_SANITIZER STREQUAL "address")
  # Without the checks of pointers that address does at run time anyway: they are half of what such a build costs.
  add_compile_options(-fsanitize=address,undefined -fno-omit-frame-pointer -fno-sanitize-recover=undefined
    -fno-sanitize=null,alignment,vptr,object-size,nonnull-attribute,returns-nonnull-attribute)
  add_link_options(-fsanitize=address,undefined)
  add_compile_definitions(INTERLINK_SANITIZED)
elseif(INTERLINK_SANITIZER STREQUAL "thread")
  add_compile_definitions(INTERLINK_SANITIZED)
  # Protobuf's headers give map fields another layout when this is defined, and Debian's library was built without it.
  # libstdc++ learns from the same macro that a shared_ptr must not give up both its counts in one plain store,
  # which is a race to the eye of tsan: it is told by its own.
  add_compile_options(-U__SANITIZE_THREAD__ -D_GLIBCXX_TSAN=1)
  add_compile_options(-fsanitize=thread -fno-omit-frame-pointer)
  add_link_options(-fsanitize=thread)
elseif(NOT INTERLINK_SANITIZER STREQUAL "")
  message(FATAL_ERROR "INTERLINK_SANITIZER is '${INTERLINK_SANITIZER}': use address, thread or leave it empty")
endif()
