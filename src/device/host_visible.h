#pragma once
// Memory of the host that kernels write.
#include <cstddef>
#include <span>
#include <type_traits>

#include "device/buffer.h"
#include "gridspot/error.h"

namespace gridspot {

class HostVisibleMemory {
 public:
  HostVisibleMemory() = default;
  HostVisibleMemory(Device device, std::size_t bytes);
  ~HostVisibleMemory();
  HostVisibleMemory(HostVisibleMemory&& other) noexcept;
  HostVisibleMemory& operator=(HostVisibleMemory&& other) noexcept;

  [[nodiscard]] void* data() const { return data_; }

 private:
  void* data_ = nullptr;
  Device device_;
};

/// On CUDA pinned and mapped, on the CPU ordinary memory; zero at first. What a kernel has written the host may read
/// once an Event after the kernel is reached. Kernels pay the bus for each access: for a few bytes a step. Move-only.
template <class T>
class HostVisibleBuffer {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  HostVisibleBuffer() = default;
  /// Throws OutOfMemory.
  HostVisibleBuffer(Device device, std::size_t count) : memory_(device, bytes_of(count, sizeof(T))), size_(count) {}

  [[nodiscard]] T* data() const { return static_cast<T*>(memory_.data()); }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] DeviceSpan<T> span() const { return {data(), size_}; }
  /// For the host.
  [[nodiscard]] const T& operator[](std::size_t i) const { return data()[i]; }

 private:
  HostVisibleMemory memory_;
  std::size_t size_ = 0;
};

/// Enqueues, also into a graph: the host may read `to` once the stream has passed the call. Of equal sizes.
template <class T>
void copy_to_host_visible(Stream& stream, DeviceSpan<const T> from, const HostVisibleBuffer<T>& to) {
  ensure(from.size == to.size(), "a copy to the host is as large as what is copied");
  copy_on_device(stream, to.data(), from.data, from.size * sizeof(T));
}

}  // namespace gridspot
