#include "device/buffer.h"

#include <cstdlib>
#include <cstring>
#include <string>

#include "device/cuda.h"
#include "gridspot/error.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace gridspot {

namespace {
constexpr std::size_t alignment = 64;
constexpr std::size_t red_zone_bytes = 64;
constexpr unsigned char red_zone = 0xdb;

std::size_t padded(std::size_t bytes) { return (bytes + red_zone_bytes + alignment - 1) / alignment * alignment; }
}  // namespace

Memory::Memory(Device device, std::size_t bytes) : bytes_(bytes), device_(device) {
  if (bytes == 0) return;
  if (device.kind == DeviceKind::cuda) {
    data_ = cuda::allocate(device.index, bytes);
    return;
  }
  data_ = std::aligned_alloc(alignment, padded(bytes));
  if (data_ == nullptr) throw OutOfMemory("no memory for a buffer of " + std::to_string(bytes) + " bytes");
  auto* end = static_cast<unsigned char*>(data_) + bytes;
  std::memset(end, red_zone, padded(bytes) - bytes);
#if defined(__SANITIZE_ADDRESS__)
  __asan_poison_memory_region(end, padded(bytes) - bytes);
#endif
}

Memory::~Memory() {
  if (data_ == nullptr) return;
  if (device_.kind == DeviceKind::cuda) {
    cuda::release(device_.index, data_);
    return;
  }
#if defined(__SANITIZE_ADDRESS__)
  __asan_unpoison_memory_region(data_, padded(bytes_));
#endif
  std::free(data_);
}

Memory::Memory(Memory&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)), device_(other.device_) {}

Memory& Memory::operator=(Memory&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  std::swap(device_, other.device_);
  return *this;
}

void Memory::check_red_zone() const {
#if !defined(__SANITIZE_ADDRESS__)  // there the write itself is reported
  if (data_ == nullptr || device_.kind == DeviceKind::cuda) return;
  const auto* end = static_cast<const unsigned char*>(data_) + bytes_;
  for (std::size_t i = 0; i < padded(bytes_) - bytes_; ++i)
    if (end[i] != red_zone)
      throw DeviceError("something wrote " + std::to_string(i) + " bytes past the end of a buffer of " +
                        std::to_string(bytes_) + " bytes");
#endif
}

void copy_to_device(Stream& stream, void* device, const void* host, std::size_t bytes) {
  copy_on_device(stream, device, host, bytes);
}

void copy_to_host(Stream& stream, void* host, const void* device, std::size_t bytes) {
  copy_on_device(stream, host, device, bytes);
}

void copy_on_device(Stream& stream, void* to, const void* from, std::size_t bytes) {
  if (bytes == 0) return;
  if (stream.is_cuda()) return cuda::copy(stream.native(), to, from, bytes);
  std::memcpy(to, from, bytes);
}

void fill_bytes(Stream& stream, void* device, int byte, std::size_t bytes) {
  if (bytes == 0) return;
  if (stream.is_cuda()) return cuda::fill(stream.native(), device, byte, bytes);
  std::memset(device, byte, bytes);
}

}  // namespace gridspot
