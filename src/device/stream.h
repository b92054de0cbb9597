#pragma once
// An ordered queue of device work.
#include <memory>

#include "device/device.h"
#include "simt/runtime.h"

namespace gridspot {

/// On CUDA a non-blocking stream; on the CPU calls run at once on the calling thread, so a Stream is also the thread's
/// set of fibers. Move-only. One OS thread at a time may use a Stream.
class Stream {
 public:
  explicit Stream(Device device);
  ~Stream();
  Stream(Stream&&) noexcept;
  Stream& operator=(Stream&&) noexcept;

  [[nodiscard]] Device device() const { return device_; }
  [[nodiscard]] bool is_cuda() const { return device_.kind == DeviceKind::cuda; }
  /// The cudaStream_t; null on the CPU.
  [[nodiscard]] void* native() const { return native_; }
  /// Runs kernels on the host; only on the CPU.
  [[nodiscard]] simt::Runtime& runtime() { return *runtime_; }

  /// Waits until everything enqueued so far has finished; throws DeviceError if any of it failed.
  void synchronize();

 private:
  Device device_;
  void* native_ = nullptr;
  std::unique_ptr<simt::Runtime> runtime_;
};

}  // namespace gridspot
