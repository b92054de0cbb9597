#include "device/cuda.h"
#include "gridspot/error.h"

namespace gridspot::cuda {

namespace {
[[noreturn]] void absent() { throw NoDevice("this gridspot was built without CUDA"); }
}  // namespace

int device_count(std::string* reason) {
  if (reason) *reason = "this gridspot was built without CUDA";
  return 0;
}
std::string device_name(int) { absent(); }
void* allocate(int, std::size_t) { absent(); }
void release(int, void*) noexcept {}
void* create_stream(int) { absent(); }
void destroy_stream(int, void*) noexcept {}
void synchronize(int, void*) { absent(); }
void copy(int, void*, void*, const void*, std::size_t) { absent(); }
void fill(int, void*, void*, int, std::size_t) { absent(); }
void make_current(int) { absent(); }

}  // namespace gridspot::cuda
