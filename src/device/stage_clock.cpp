#include "device/stage_clock.h"

#include "device/cuda.h"

namespace gridspot {

StageClock::~StageClock() {
  for (const Span& span : spans_)
    for (void* event : {span.begin, span.end}) cuda::destroy_event(span.device, event);
}

StageClock::Span StageClock::begin_span(Stage stage, Stream& stream) {
  const int device = stream.device().index;
  const bool captured = cuda::is_capturing(device, stream.native());
  const Span span{stage, device, cuda::create_timed_event(device), cuda::create_timed_event(device), captured};
  cuda::record_timed_event(device, span.begin, stream.native());
  return span;
}

void StageClock::end_span(Stream& stream) {
  cuda::record_timed_event(spans_.back().device, spans_.back().end, stream.native());
}

void StageClock::take() {
  for (const Span& span : spans_)
    seconds_[static_cast<int>(span.stage)] += cuda::seconds_between(span.device, span.begin, span.end);
  std::erase_if(spans_, [](const Span& span) {
    if (span.captured) return false;
    for (void* event : {span.begin, span.end}) cuda::destroy_event(span.device, event);
    return true;
  });
}

void StageClock::add(const StageClock& other) {
  for (std::size_t i = 0; i < seconds_.size(); ++i) seconds_[i] += other.seconds_[i];
}

}  // namespace gridspot
