#include "device/buffer.h"

#include <cstdlib>
#include <cstring>
#include <limits>
#include <string>

#include "device/cuda.h"
#include "device/enqueue_only.h"
#include "gridspot/error.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace gridspot {

namespace {
// Host memory of a buffer: a red zone, the data, and a second red zone up to a multiple of the alignment.
constexpr std::size_t alignment = 64;
constexpr std::size_t red_zone_bytes = 64;
constexpr unsigned char red_zone = 0xdb;

struct HostBlock {
  unsigned char* data;
  std::size_t bytes;

  [[nodiscard]] unsigned char* begin() const { return data - red_zone_bytes; }
  [[nodiscard]] unsigned char* end() const { return data + bytes; }
  [[nodiscard]] std::size_t end_zone_bytes() const {
    return (bytes + red_zone_bytes + alignment - 1) / alignment * alignment - bytes;
  }
};

void* allocate_host(std::size_t bytes) {
  HostBlock block{nullptr, bytes};
  const std::size_t total = red_zone_bytes + bytes + block.end_zone_bytes();
  void* memory = total > bytes ? std::aligned_alloc(alignment, total) : nullptr;
  if (memory == nullptr) throw OutOfMemory("no memory for a buffer of " + std::to_string(bytes) + " bytes");
  block.data = static_cast<unsigned char*>(memory) + red_zone_bytes;
  std::memset(block.begin(), red_zone, red_zone_bytes);
  std::memset(block.end(), red_zone, block.end_zone_bytes());
#if defined(__SANITIZE_ADDRESS__)
  __asan_poison_memory_region(block.begin(), red_zone_bytes);
  __asan_poison_memory_region(block.end(), block.end_zone_bytes());
#endif
  return block.data;
}

void release_host(const HostBlock& block) {
#if defined(__SANITIZE_ADDRESS__)
  __asan_unpoison_memory_region(block.begin(), red_zone_bytes + block.bytes + block.end_zone_bytes());
#endif
  std::free(block.begin());
}
}  // namespace

Memory::Memory(Device device, std::size_t bytes) : bytes_(bytes), device_(device) {
  if (bytes == 0) return;
  require_not_enqueue_only("allocating device memory");
  data_ = device.kind == DeviceKind::cuda ? cuda::allocate(device.index, bytes) : allocate_host(bytes);
}

Memory::~Memory() {
  if (data_ == nullptr) return;
  if (device_.kind == DeviceKind::cuda)
    cuda::release(device_.index, data_);
  else
    release_host({static_cast<unsigned char*>(data_), bytes_});
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
  const HostBlock block{static_cast<unsigned char*>(data_), bytes_};
  const std::string size = "a buffer of " + std::to_string(bytes_) + " bytes";
  for (std::size_t i = 1; i <= red_zone_bytes; ++i)
    if (*(block.data - i) != red_zone)
      throw DeviceError("something wrote " + std::to_string(i) + " bytes before the start of " + size);
  for (std::size_t i = 0; i < block.end_zone_bytes(); ++i)
    if (block.end()[i] != red_zone)
      throw DeviceError("something wrote to byte " + std::to_string(bytes_ + i) + " of " + size);
#endif
}

std::size_t bytes_of(std::size_t count, std::size_t size) {
  if (count > std::numeric_limits<std::size_t>::max() / size)
    throw OutOfMemory("no memory for a buffer of " + std::to_string(count) + " elements of " + std::to_string(size) +
                      " bytes");
  return count * size;
}

void copy_to_device(Stream& stream, void* device, const void* host, std::size_t bytes) {
  require_not_enqueue_only("copying to the device");
  copy_on_device(stream, device, host, bytes);
}

void copy_to_host(Stream& stream, void* host, const void* device, std::size_t bytes) {
  require_not_enqueue_only("copying to the host");
  copy_on_device(stream, host, device, bytes);
}

void copy_on_device(Stream& stream, void* to, const void* from, std::size_t bytes) {
  if (bytes == 0) return;
  if (stream.is_cuda()) return cuda::copy(stream.device().index, stream.native(), to, from, bytes);
  stream.submit([=](Stream&) { std::memcpy(to, from, bytes); });
}

void fill_bytes(Stream& stream, void* device, int byte, std::size_t bytes) {
  if (bytes == 0) return;
  if (stream.is_cuda()) return cuda::fill(stream.device().index, stream.native(), device, byte, bytes);
  stream.submit([=](Stream&) { std::memset(device, byte, bytes); });
}

}  // namespace gridspot
