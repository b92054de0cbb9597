#include "device/cuda.h"

#include "device/cuda_check.h"
#include "gridspot/error.h"

namespace gridspot::cuda {

namespace {
cudaStream_t as_stream(void* stream) { return static_cast<cudaStream_t>(stream); }
cudaEvent_t as_event(void* event) { return static_cast<cudaEvent_t>(event); }
cudaGraphExec_t as_graph(void* graph) { return static_cast<cudaGraphExec_t>(graph); }
}  // namespace

void check(cudaError_t status, const char* what, std::source_location where) {
  if (status == cudaSuccess) return;
  cudaGetLastError();
  const std::string text = std::string(what) + " failed: " + cudaGetErrorString(status) + " (" + where.file_name() +
                           ":" + std::to_string(where.line()) + ")";
  if (status == cudaErrorMemoryAllocation) throw OutOfMemory(text);
  throw DeviceError(text);
}

// Declared in device/kernel.h for nvcc, which must not see the standard library's exceptions.
void check_launch(int status, const char* kernel) { check(static_cast<cudaError_t>(status), kernel); }

int device_count(std::string* reason) {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status != cudaSuccess) {
    cudaGetLastError();
    if (reason) *reason = std::string("CUDA finds no device: ") + cudaGetErrorString(status);
    return 0;
  }
  if (count == 0 && reason) *reason = "CUDA finds no device";
  return count;
}

std::string device_name(int device) {
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, device), "cudaGetDeviceProperties");
  return properties.name;
}

void make_current(int device) { check(cudaSetDevice(device), "cudaSetDevice"); }

void* allocate(int device, std::size_t bytes) {
  make_current(device);
  void* memory = nullptr;
  check(cudaMalloc(&memory, bytes), "cudaMalloc");
  return memory;
}

void release(int device, void* memory) noexcept {
  cudaSetDevice(device);
  cudaFree(memory);
}

void* allocate_host(int device, std::size_t bytes) {
  make_current(device);
  void* memory = nullptr;
  check(cudaHostAlloc(&memory, bytes, cudaHostAllocPortable | cudaHostAllocMapped), "cudaHostAlloc");
  return memory;
}

void release_host(int device, void* memory) noexcept {
  cudaSetDevice(device);
  cudaFreeHost(memory);
}

void* create_stream(int device) {
  make_current(device);
  cudaStream_t stream = nullptr;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreate");
  return stream;
}

void destroy_stream(int device, void* stream) noexcept {
  cudaSetDevice(device);
  cudaStreamDestroy(as_stream(stream));
}

void synchronize(int device, void* stream) {
  make_current(device);
  check(cudaStreamSynchronize(as_stream(stream)), "cudaStreamSynchronize");
}

void* create_event(int device) {
  make_current(device);
  cudaEvent_t event = nullptr;
  check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "cudaEventCreate");
  return event;
}

void destroy_event(int device, void* event) noexcept {
  cudaSetDevice(device);
  cudaEventDestroy(as_event(event));
}

void record_event(int device, void* event, void* stream) {
  make_current(device);
  check(cudaEventRecord(as_event(event), as_stream(stream)), "cudaEventRecord");
}

void delay_stream(int device, void* stream, void* event) {
  make_current(device);
  check(cudaStreamWaitEvent(as_stream(stream), as_event(event), cudaEventWaitDefault), "cudaStreamWaitEvent");
}

bool event_reached(int device, void* event) {
  make_current(device);
  const cudaError_t status = cudaEventQuery(as_event(event));
  if (status == cudaErrorNotReady) {
    cudaGetLastError();
    return false;
  }
  check(status, "cudaEventQuery");
  return true;
}

void wait_for_event(int device, void* event) {
  make_current(device);
  check(cudaEventSynchronize(as_event(event)), "cudaEventSynchronize");
}

bool is_capturing(int device, void* stream) {
  make_current(device);
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  check(cudaStreamIsCapturing(as_stream(stream), &status), "cudaStreamIsCapturing");
  return status != cudaStreamCaptureStatusNone;
}

void* create_timed_event(int device) {
  make_current(device);
  cudaEvent_t event = nullptr;
  check(cudaEventCreate(&event), "cudaEventCreate");
  return event;
}

void record_timed_event(int device, void* event, void* stream) {
  const unsigned flags = is_capturing(device, stream) ? cudaEventRecordExternal : cudaEventRecordDefault;
  check(cudaEventRecordWithFlags(as_event(event), as_stream(stream), flags), "cudaEventRecord");
}

double seconds_between(int device, void* first, void* last) {
  wait_for_event(device, last);
  float milliseconds = 0;
  check(cudaEventElapsedTime(&milliseconds, as_event(first), as_event(last)), "cudaEventElapsedTime");
  return milliseconds * 1e-3;
}

void begin_capture(int device, void* stream) {
  make_current(device);
  check(cudaStreamBeginCapture(as_stream(stream), cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
}

void* end_capture(int device, void* stream) {
  make_current(device);
  cudaGraph_t graph = nullptr;
  check(cudaStreamEndCapture(as_stream(stream), &graph), "cudaStreamEndCapture");
  cudaGraphExec_t executable = nullptr;
  const cudaError_t status = cudaGraphInstantiate(&executable, graph, 0);
  cudaGraphDestroy(graph);
  check(status, "cudaGraphInstantiate");
  return executable;
}

void abandon_capture(int device, void* stream) noexcept {
  cudaSetDevice(device);
  cudaGraph_t graph = nullptr;
  cudaStreamEndCapture(as_stream(stream), &graph);
  if (graph != nullptr) cudaGraphDestroy(graph);
  cudaGetLastError();
}

void launch_graph(int device, void* graph, void* stream) {
  make_current(device);
  check(cudaGraphLaunch(as_graph(graph), as_stream(stream)), "cudaGraphLaunch");
}

void destroy_graph(int device, void* graph) noexcept {
  cudaSetDevice(device);
  cudaGraphExecDestroy(as_graph(graph));
}

void copy(int device, void* stream, void* to, const void* from, std::size_t bytes) {
  make_current(device);
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, as_stream(stream)), "cudaMemcpyAsync");
}

void fill(int device, void* stream, void* to, int byte, std::size_t bytes) {
  make_current(device);
  check(cudaMemsetAsync(to, byte, bytes, as_stream(stream)), "cudaMemsetAsync");
}

}  // namespace gridspot::cuda
