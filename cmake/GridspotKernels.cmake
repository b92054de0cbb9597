# gridspot_add_kernels(TARGET file.cu ...): compiles each kernel file for the host, through a one-line .cpp that includes it
# (a file cannot have two languages in one directory), and with CUDA for the GPU.
function(gridspot_add_kernels target)
  foreach(kernel IN LISTS ARGN)
    get_filename_component(name ${kernel} NAME_WE)
    set(host_source ${CMAKE_CURRENT_BINARY_DIR}/${name}_host.cpp)
    file(CONFIGURE OUTPUT ${host_source} CONTENT "#include \"${CMAKE_CURRENT_SOURCE_DIR}/${kernel}\"\n")
    target_sources(${target} PRIVATE ${host_source})
    # GCC unrolls a loop over the eight lanes of a pack before it could make vector instructions of it.
    set_source_files_properties(${host_source} PROPERTIES
      COMPILE_OPTIONS "$<$<CXX_COMPILER_ID:GNU>:--param=max-completely-peel-times=7>")
    if(GRIDSPOT_WITH_CUDA)
      target_sources(${target} PRIVATE ${kernel})
    else()
      set_source_files_properties(${kernel} PROPERTIES HEADER_FILE_ONLY ON)
    endif()
  endforeach()
endfunction()
