#pragma once
// Device memory: owners, views, copies.
#include <cstddef>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "device/stream.h"

namespace gridspot {

/// Untyped device memory. On the CPU it is aligned to 64 bytes and lies between two red zones.
class Memory {
 public:
  Memory() = default;
  /// Contents undefined. Throws OutOfMemory. `bytes == 0` owns nothing.
  Memory(Device device, std::size_t bytes);
  ~Memory();
  Memory(Memory&& other) noexcept;
  Memory& operator=(Memory&& other) noexcept;

  [[nodiscard]] void* data() const { return data_; }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  [[nodiscard]] Device device() const { return device_; }
  /// Throws DeviceError when something was written just before the start or past the end (CPU only; under
  /// AddressSanitizer the write itself is reported).
  void check_red_zone() const;

 private:
  void* data_ = nullptr;
  std::size_t bytes_ = 0;
  Device device_;
};

/// A non-owning view of `size` elements of device memory. The host may follow `data` only on the CPU.
template <class T>
struct DeviceSpan {
  T* data = nullptr;
  std::size_t size = 0;

  DeviceSpan() = default;
  DeviceSpan(T* pointer, std::size_t count) : data(pointer), size(count) {}
  template <class U>
  requires std::is_same_v<const U, T> DeviceSpan(DeviceSpan<U> other)
      : data(other.data), size(other.size) {}  // NOLINT(google-explicit-constructor)

  [[nodiscard]] DeviceSpan subspan(std::size_t offset, std::size_t count) const { return {data + offset, count}; }
};

/// count * size; throws OutOfMemory when that is more than memory can have.
std::size_t bytes_of(std::size_t count, std::size_t size);

template <class T>
class Buffer {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  Buffer() = default;
  /// Contents undefined. Throws OutOfMemory.
  Buffer(Device device, std::size_t count) : memory_(device, bytes_of(count, sizeof(T))) {}

  [[nodiscard]] T* data() const { return static_cast<T*>(memory_.data()); }
  [[nodiscard]] std::size_t size() const { return memory_.bytes() / sizeof(T); }
  [[nodiscard]] Device device() const { return memory_.device(); }
  [[nodiscard]] DeviceSpan<T> span() const { return {data(), size()}; }
  operator DeviceSpan<T>() const { return span(); }        // NOLINT(google-explicit-constructor)
  operator DeviceSpan<const T>() const { return span(); }  // NOLINT(google-explicit-constructor)
  void check_red_zone() const { memory_.check_red_zone(); }

 private:
  Memory memory_;
};

/// Enqueue; the host memory must stay valid until the stream has passed the call.
void copy_to_device(Stream& stream, void* device, const void* host, std::size_t bytes);
void copy_to_host(Stream& stream, void* host, const void* device, std::size_t bytes);
void copy_on_device(Stream& stream, void* to, const void* from, std::size_t bytes);
void fill_bytes(Stream& stream, void* device, int byte, std::size_t bytes);

/// A new buffer with the host's values; returns when they have arrived.
template <class T>
Buffer<T> upload(Stream& stream, std::span<const T> values) {
  Buffer<T> buffer(stream.device(), values.size());
  copy_to_device(stream, buffer.data(), values.data(), values.size_bytes());
  stream.synchronize();
  return buffer;
}
template <class T>
Buffer<T> upload(Stream& stream, const std::vector<T>& values) {
  return upload(stream, std::span<const T>(values));
}

/// The device's values; synchronises the stream.
template <class T>
std::vector<std::remove_const_t<T>> download(Stream& stream, DeviceSpan<T> span) {
  std::vector<std::remove_const_t<T>> values(span.size);
  copy_to_host(stream, values.data(), span.data, span.size * sizeof(T));
  stream.synchronize();
  return values;
}
/// Also checks the buffer's red zone.
template <class T>
std::vector<T> download(Stream& stream, const Buffer<T>& buffer) {
  auto values = download(stream, buffer.span());
  buffer.check_red_zone();
  return values;
}

}  // namespace gridspot
