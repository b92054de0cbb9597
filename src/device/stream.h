#pragma once
// An ordered queue of device work.
#include <functional>
#include <memory>
#include <utility>
#include <vector>

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

  /// Work on the host, as a graph replays it on a stream.
  using Operation = std::function<void(Stream&)>;
  /// Only on the CPU: calls work(*this) now; during a capture, when the graph is launched.
  template <class Work>
  void submit(Work&& work) {
    if (captured_ == nullptr)
      work(*this);
    else
      captured_->emplace_back(std::forward<Work>(work));
  }

  // For Graph. What is enqueued between begin and end is not run: on the CPU it is appended to `operations`, on CUDA
  // end_capture returns the cudaGraphExec_t.
  void begin_capture(std::vector<Operation>* operations);
  [[nodiscard]] void* end_capture();
  void abandon_capture() noexcept;

 private:
  Device device_;
  void* native_ = nullptr;
  std::unique_ptr<simt::Runtime> runtime_;
  std::vector<Operation>* captured_ = nullptr;
};

}  // namespace gridspot
