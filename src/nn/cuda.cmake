# The CUDA side of gridspot_nn. Included by the folder's CMakeLists.txt.
if(GRIDSPOT_WITH_CUDA)
  target_sources(gridspot_nn PRIVATE conv_cudnn.cpp cuda_block.cpp gemm_cublas.cpp)
  target_include_directories(gridspot_nn SYSTEM PRIVATE ${CUDNN_INCLUDE_DIR} ${CUDNN_FRONTEND_INCLUDE_DIR})
  target_link_libraries(gridspot_nn PRIVATE ${CUDNN_LIBRARY} CUDA::cublasLt)
endif()
