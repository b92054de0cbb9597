# Tests of the CUDA side that need no GPU. Included by the folder's CMakeLists.txt.
if(GRIDSPOT_WITH_CUDA)
  gridspot_test(test_nn_cuda cuda_graph_test.cpp LINK gridspot_nn)
endif()
