# Decides whether the CUDA side is built: sets GRIDSPOT_WITH_CUDA, enables the language, finds cuDNN and cudnn-frontend.
set(GRIDSPOT_WITH_CUDA OFF)
set(GRIDSPOT_WITH_NCCL OFF)

# One line that says what is missing; an error where CUDA was asked for, or nothing else is left.
function(gridspot_cuda_missing reason)
  if(GRIDSPOT_CUDA STREQUAL "ON" OR NOT GRIDSPOT_CPU)
    message(FATAL_ERROR "CUDA was asked for (GRIDSPOT_CUDA=${GRIDSPOT_CUDA}, GRIDSPOT_CPU=${GRIDSPOT_CPU}), but ${reason}")
  endif()
  message(STATUS "CUDA is left out: ${reason}")
endfunction()

# Where CUDA's libraries came as Python packages.
function(gridspot_find_cuda_wheels result)
  execute_process(
    COMMAND python3 -c "import glob, site; print(*glob.glob(site.getsitepackages()[0] + '/nvidia/*'), sep=';', end='')"
    OUTPUT_VARIABLE folders ERROR_QUIET)
  set(${result} "${folders}" PARENT_SCOPE)
endfunction()

macro(gridspot_find_cuda)
  include(CheckLanguage)
  check_language(CUDA)
  if(NOT CMAKE_CUDA_COMPILER)
    gridspot_cuda_missing("nvcc was not found")
    return()
  endif()
  find_package(CUDAToolkit QUIET)
  gridspot_find_cuda_wheels(wheels)
  find_path(CUDNN_INCLUDE_DIR cudnn.h
    HINTS ${CUDAToolkit_INCLUDE_DIRS} $ENV{CUDNN_ROOT} ${wheels} PATH_SUFFIXES include)
  find_library(CUDNN_LIBRARY NAMES cudnn libcudnn.so.9
    HINTS ${CUDAToolkit_LIBRARY_DIR} $ENV{CUDNN_ROOT} ${wheels} PATH_SUFFIXES lib)
  if(NOT CUDNN_INCLUDE_DIR OR NOT CUDNN_LIBRARY)
    gridspot_cuda_missing("cuDNN was not found")
    return()
  endif()
  find_path(CUDNN_FRONTEND_INCLUDE_DIR cudnn_frontend.h
    HINTS ${PROJECT_SOURCE_DIR}/.deps/cudnn-frontend ${wheels} PATH_SUFFIXES include)
  if(NOT CUDNN_FRONTEND_INCLUDE_DIR)
    gridspot_cuda_missing("the headers of cudnn-frontend were not found (./dev deps brings them)")
    return()
  endif()
  find_path(NCCL_INCLUDE_DIR nccl.h
    HINTS ${CUDAToolkit_INCLUDE_DIRS} $ENV{NCCL_ROOT} ${wheels} PATH_SUFFIXES include)
  find_library(NCCL_LIBRARY NAMES nccl libnccl.so.2
    HINTS ${CUDAToolkit_LIBRARY_DIR} $ENV{NCCL_ROOT} ${wheels} PATH_SUFFIXES lib)
  set(GRIDSPOT_WITH_NCCL OFF)
  if(GRIDSPOT_NCCL AND NCCL_INCLUDE_DIR AND NCCL_LIBRARY)
    set(GRIDSPOT_WITH_NCCL ON)
  elseif(GRIDSPOT_NCCL)
    message(STATUS "Training on several GPUs is left out: NCCL was not found")
  endif()
  set(GRIDSPOT_WITH_CUDA ON)
endmacro()

if(NOT GRIDSPOT_CUDA STREQUAL "OFF")
  gridspot_find_cuda()
elseif(NOT GRIDSPOT_CPU)
  message(FATAL_ERROR "GRIDSPOT_CUDA=OFF and GRIDSPOT_CPU=OFF leave no device to build for")
endif()

if(GRIDSPOT_WITH_CUDA)
  enable_language(CUDA)
  message(STATUS "CUDA ${CMAKE_CUDA_COMPILER_VERSION} for ${CMAKE_CUDA_ARCHITECTURES}, cuDNN in ${CUDNN_INCLUDE_DIR}")
  target_compile_definitions(gridspot_options INTERFACE GRIDSPOT_WITH_CUDA=1)
  # CMake 3.25 silently compiles CUDA 13 as C++17 when it is asked for CUDA_STANDARD 20.
  target_compile_options(gridspot_options INTERFACE $<$<COMPILE_LANGUAGE:CUDA>:-std=c++20 --expt-relaxed-constexpr>)
  if(GRIDSPOT_WARNINGS_AS_ERRORS)
    target_compile_options(gridspot_options INTERFACE $<$<COMPILE_LANGUAGE:CUDA>:--Werror=all-warnings>)
  endif()
endif()
