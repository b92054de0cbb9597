#include "device/host_visible.h"

#include <cstring>
#include <new>
#include <string>
#include <utility>

#include "device/cuda.h"
#include "device/enqueue_only.h"
#include "gridspot/error.h"

namespace gridspot {

HostVisibleMemory::HostVisibleMemory(Device device, std::size_t bytes) : device_(device) {
  if (bytes == 0) return;
  require_not_enqueue_only("allocating host memory for a device");
  if (device.kind == DeviceKind::cuda)
    data_ = cuda::allocate_host(device.index, bytes);
  else
    data_ = ::operator new(bytes, std::align_val_t(64), std::nothrow);
  if (data_ == nullptr) throw OutOfMemory("no memory for " + std::to_string(bytes) + " bytes that kernels write");
  std::memset(data_, 0, bytes);
}

HostVisibleMemory::~HostVisibleMemory() {
  if (data_ == nullptr) return;
  if (device_.kind == DeviceKind::cuda)
    cuda::release_host(device_.index, data_);
  else
    ::operator delete(data_, std::align_val_t(64));
}

HostVisibleMemory::HostVisibleMemory(HostVisibleMemory&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), device_(other.device_) {}

HostVisibleMemory& HostVisibleMemory::operator=(HostVisibleMemory&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(device_, other.device_);
  return *this;
}

}  // namespace gridspot
