#include "device/stream.h"

#include <utility>

#include "device/cuda.h"
#include "device/enqueue_only.h"
#include "gridspot/error.h"

namespace gridspot {

Stream::Stream(Device device) : device_(device) {
  if (is_cuda())
    native_ = cuda::create_stream(device.index);
  else
    runtime_ = std::make_unique<simt::Runtime>();
}

Stream::~Stream() {
  if (native_ != nullptr) cuda::destroy_stream(device_.index, native_);
}

Stream::Stream(Stream&& other) noexcept
    : device_(other.device_),
      native_(std::exchange(other.native_, nullptr)),
      runtime_(std::move(other.runtime_)),
      captured_(std::exchange(other.captured_, nullptr)) {}

Stream& Stream::operator=(Stream&& other) noexcept {
  std::swap(device_, other.device_);
  std::swap(native_, other.native_);
  std::swap(runtime_, other.runtime_);
  std::swap(captured_, other.captured_);
  return *this;
}

void Stream::synchronize() {
  require_not_enqueue_only("waiting for a stream");
  if (is_cuda()) cuda::synchronize(device_.index, native_);
}

void Stream::begin_capture(std::vector<Operation>* operations) {
  if (is_cuda()) return cuda::begin_capture(device_.index, native_);
  ensure(captured_ == nullptr, "a stream's work is captured for one graph at a time");
  captured_ = operations;
}

void* Stream::end_capture() {
  captured_ = nullptr;
  return is_cuda() ? cuda::end_capture(device_.index, native_) : nullptr;
}

void Stream::abandon_capture() noexcept {
  captured_ = nullptr;
  if (is_cuda()) cuda::abandon_capture(device_.index, native_);
}

}  // namespace gridspot
