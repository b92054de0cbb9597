# Compile options of every gridspot target.
set(GRIDSPOT_SANITIZE "" CACHE STRING "Sanitizers, e.g. address,undefined or thread")

add_library(gridspot_options INTERFACE)
target_compile_features(gridspot_options INTERFACE cxx_std_20)
target_include_directories(gridspot_options INTERFACE
  ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR})
# Contraction to FMA would make the CPU's results depend on the compiler.
target_compile_options(gridspot_options INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wshadow -Wno-missing-field-initializers -ffp-contract=off -fno-math-errno>)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  target_compile_options(gridspot_options INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-march=x86-64-v3>)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  target_compile_options(gridspot_options INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wno-restrict>)  # false alarms on string + string
endif()
if(GRIDSPOT_WARNINGS_AS_ERRORS)
  target_compile_options(gridspot_options INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Werror>)
endif()
if(GRIDSPOT_SANITIZE)
  target_compile_options(gridspot_options INTERFACE
    $<$<COMPILE_LANGUAGE:CXX>:-fsanitize=${GRIDSPOT_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer>)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")  # with sanitizers false alarms, in the library's own headers too
    target_compile_options(gridspot_options INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wno-maybe-uninitialized>)
  endif()
  target_link_options(gridspot_options INTERFACE -fsanitize=${GRIDSPOT_SANITIZE})
endif()
