#pragma once
// What the rest of src/device/ needs from CUDA; cuda.cpp implements it with the runtime API, cuda_absent.cpp where
// gridspot was built without CUDA (every function but device_count then throws NoDevice).
#include <cstddef>
#include <string>

namespace gridspot::cuda {

int device_count(std::string* reason);
std::string device_name(int device);
void* allocate(int device, std::size_t bytes);
void release(int device, void* memory) noexcept;
void* create_stream(int device);
void destroy_stream(int device, void* stream) noexcept;
void synchronize(int device, void* stream);
void copy(int device, void* stream, void* to, const void* from, std::size_t bytes);
void fill(int device, void* stream, void* to, int byte, std::size_t bytes);
/// A thread works with its current device; what belongs to another one is refused.
void make_current(int device);

}  // namespace gridspot::cuda
