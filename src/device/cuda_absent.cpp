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
void* allocate_host(int, std::size_t) { absent(); }
void release_host(int, void*) noexcept {}
void* create_event(int) { absent(); }
void destroy_event(int, void*) noexcept {}
void record_event(int, void*, void*) { absent(); }
void delay_stream(int, void*, void*) { absent(); }
bool event_reached(int, void*) { absent(); }
void wait_for_event(int, void*) { absent(); }
bool is_capturing(int, void*) { absent(); }
void* create_timed_event(int) { absent(); }
void record_timed_event(int, void*, void*) { absent(); }
double seconds_between(int, void*, void*) { absent(); }
void begin_capture(int, void*) { absent(); }
void* end_capture(int, void*) { absent(); }
void abandon_capture(int, void*) noexcept {}
void launch_graph(int, void*, void*) { absent(); }
void destroy_graph(int, void*) noexcept {}
void fill(int, void*, void*, int, std::size_t) { absent(); }
void make_current(int) { absent(); }

}  // namespace gridspot::cuda
