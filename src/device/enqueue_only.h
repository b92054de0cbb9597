#pragma once
// A guard around code that must only enqueue.

namespace gridspot {

/// While one lives on a thread, the calls of that thread that a graph cannot replay, and that the steady state never
/// makes, throw DeviceError: allocating device memory, waiting for a device, copies between host and device.
class EnqueueOnly {
 public:
  EnqueueOnly();
  ~EnqueueOnly();
  EnqueueOnly(const EnqueueOnly&) = delete;
  EnqueueOnly& operator=(const EnqueueOnly&) = delete;
};

/// Throws DeviceError, saying that `what` is not allowed, where an EnqueueOnly lives on the calling thread.
void require_not_enqueue_only(const char* what);

}  // namespace gridspot
