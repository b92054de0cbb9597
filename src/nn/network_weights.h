#pragma once
// A network's weights as its passes read them.
#include <concepts>
#include <span>

#include "kernels/convert.h"
#include "nn/block.h"

namespace gridspot {

/// Views of a network's flat buffer. `rounded` holds the master's values in bfloat16 in the same places; only bf16
/// needs it. Made of anything that is a view of the master.
struct NetworkWeights {
  DeviceSpan<const float> master;
  DeviceSpan<const bfloat16> rounded;

  NetworkWeights(DeviceSpan<const float> all, DeviceSpan<const bfloat16> all_rounded)
      : master(all), rounded(all_rounded) {}
  template <std::convertible_to<DeviceSpan<const float>> Master>
  NetworkWeights(const Master& all) : master(all) {}  // NOLINT(google-explicit-constructor)
};

/// Owns what a precision needs of a network's weights, for networks that are not trained. Uploads and rounds at
/// construction, which synchronises.
class DeviceWeights {
 public:
  DeviceWeights(Stream& stream, std::span<const float> weights, Precision precision)
      : master_(upload(stream, weights)), rounded_(stream.device(), precision == Precision::bf16 ? weights.size() : 0) {
    if (rounded_.size() > 0) convert(stream, master_, rounded_);
  }
  operator NetworkWeights() const { return {master_, rounded_}; }  // NOLINT(google-explicit-constructor)

 private:
  Buffer<float> master_;
  Buffer<bfloat16> rounded_;
};

}  // namespace gridspot
