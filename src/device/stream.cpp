#include "device/stream.h"

#include <utility>

#include "device/cuda.h"

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
    : device_(other.device_), native_(std::exchange(other.native_, nullptr)), runtime_(std::move(other.runtime_)) {}

Stream& Stream::operator=(Stream&& other) noexcept {
  std::swap(device_, other.device_);
  std::swap(native_, other.native_);
  std::swap(runtime_, other.runtime_);
  return *this;
}

void Stream::synchronize() {
  if (is_cuda()) cuda::synchronize(device_.index, native_);
}

}  // namespace gridspot
