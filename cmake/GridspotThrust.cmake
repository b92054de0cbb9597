# The interface target gridspot_thrust: Thrust's headers, its algorithms on the host. Thrust is used for sorting and
# scanning outside the hot kernels; there the calling code is compiled by the host compiler in every build.
include_guard(GLOBAL)

if(GRIDSPOT_WITH_CUDA)
  find_path(GRIDSPOT_THRUST_INCLUDE_DIR thrust/sort.h
    PATHS ${CUDAToolkit_INCLUDE_DIRS} PATH_SUFFIXES cccl NO_DEFAULT_PATH)
endif()
find_path(GRIDSPOT_THRUST_INCLUDE_DIR thrust/sort.h
  PATHS /usr/local/cuda/include/cccl /usr/local/cuda/include /opt/cuda/include/cccl $ENV{CUDA_HOME}/include/cccl)
if(NOT GRIDSPOT_THRUST_INCLUDE_DIR)
  message(FATAL_ERROR "Thrust's headers were not found: install libthrust-dev or the CUDA toolkit, "
    "or set GRIDSPOT_THRUST_INCLUDE_DIR")
endif()

add_library(gridspot_thrust INTERFACE)
target_include_directories(gridspot_thrust SYSTEM INTERFACE ${GRIDSPOT_THRUST_INCLUDE_DIR})
target_compile_definitions(gridspot_thrust INTERFACE
  THRUST_HOST_SYSTEM=THRUST_HOST_SYSTEM_CPP THRUST_DEVICE_SYSTEM=THRUST_DEVICE_SYSTEM_CPP)

# gridspot_uses_thrust(files...): the files that include Thrust. Its references look up their execution policy through a null
# reference that is never read, so UBSan's null check cannot be on where its code is instantiated.
function(gridspot_uses_thrust)
  if(GRIDSPOT_SANITIZE MATCHES "undefined")
    set_source_files_properties(${ARGN} PROPERTIES COMPILE_OPTIONS -fno-sanitize=null)
  endif()
endfunction()
