#pragma once
// A mark in a stream that the host can ask about.
#include "device/stream.h"

namespace gridspot {

/// Marks the end of what was enqueued at record(). On the CPU, where calls run at once, it is always reached.
/// Move-only; one thread at a time.
class Event {
 public:
  explicit Event(Device device);
  ~Event();
  Event(Event&& other) noexcept;
  Event& operator=(Event&& other) noexcept;

  void record(Stream& stream);
  /// What is enqueued on the stream from now on runs after what was enqueued before record(). Enqueues.
  void delay(Stream& stream) const;
  /// Does not wait. True before the first record(). Throws DeviceError where the work before it failed.
  [[nodiscard]] bool reached() const;
  /// Waits for what was enqueued before record(), not for what came later.
  void wait() const;

 private:
  Device device_;
  void* native_ = nullptr;
};

}  // namespace gridspot
