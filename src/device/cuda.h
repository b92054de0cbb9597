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
void* allocate_host(int device, std::size_t bytes);  ///< pinned, at the same address on every device
void release_host(int device, void* memory) noexcept;
void* create_event(int device);
void destroy_event(int device, void* event) noexcept;
void record_event(int device, void* event, void* stream);
void delay_stream(int device, void* stream, void* event);  ///< until the event, as it was recorded last
bool event_reached(int device, void* event);
void wait_for_event(int device, void* event);
bool is_capturing(int device, void* stream);
void* create_timed_event(int device);
void record_timed_event(int device, void* event, void* stream);  ///< in a capture: by every launch of the graph
double seconds_between(int device, void* first, void* last);     ///< timed events; waits for the last one
/// Of the calling thread: what it must not do meanwhile fails.
void begin_capture(int device, void* stream);
void* end_capture(int device, void* stream);  ///< a cudaGraphExec_t
void abandon_capture(int device, void* stream) noexcept;
void launch_graph(int device, void* graph, void* stream);
void destroy_graph(int device, void* graph) noexcept;
void fill(int device, void* stream, void* to, int byte, std::size_t bytes);
/// A thread works with its current device; what belongs to another one is refused.
void make_current(int device);

}  // namespace gridspot::cuda
