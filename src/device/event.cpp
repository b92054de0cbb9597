#include "device/event.h"

#include <utility>

#include "device/cuda.h"
#include "device/enqueue_only.h"

namespace gridspot {

Event::Event(Device device) : device_(device) {
  if (device.kind == DeviceKind::cuda) native_ = cuda::create_event(device.index);
}

Event::~Event() {
  if (native_ != nullptr) cuda::destroy_event(device_.index, native_);
}

Event::Event(Event&& other) noexcept : device_(other.device_), native_(std::exchange(other.native_, nullptr)) {}

Event& Event::operator=(Event&& other) noexcept {
  std::swap(device_, other.device_);
  std::swap(native_, other.native_);
  return *this;
}

void Event::record(Stream& stream) {
  if (native_ != nullptr) cuda::record_event(device_.index, native_, stream.native());
}

void Event::delay(Stream& stream) const {
  if (native_ != nullptr) cuda::delay_stream(device_.index, stream.native(), native_);
}

bool Event::reached() const { return native_ == nullptr || cuda::event_reached(device_.index, native_); }

void Event::wait() const {
  require_not_enqueue_only("waiting for an event");
  if (native_ != nullptr) cuda::wait_for_event(device_.index, native_);
}

}  // namespace gridspot
