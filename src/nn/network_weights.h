#pragma once
// A network's weights as its passes read them.
#include <concepts>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "kernels/convert.h"
#include "nn/block.h"

namespace gridspot {

/// Views of a network's flat buffer. `rounded` holds the master's values in bfloat16 in the same places; only bf16
/// needs it. Made of anything that is a view of the master.
/// `version` counts the changes of weights that change rarely, so that what was prepared of them need not be prepared
/// for every pass; null where any pass may find others.
struct NetworkWeights {
  DeviceSpan<const float> master;
  DeviceSpan<const bfloat16> rounded;
  std::shared_ptr<const std::uint64_t> version;

  NetworkWeights(DeviceSpan<const float> all, DeviceSpan<const bfloat16> all_rounded,
                 std::shared_ptr<const std::uint64_t> counted = nullptr)
      : master(all), rounded(all_rounded), version(std::move(counted)) {}
  template <std::convertible_to<DeviceSpan<const float>> Master>
  NetworkWeights(const Master& all) : master(all) {}  // NOLINT(google-explicit-constructor)
};

/// Owns what a precision needs of a network's weights, for networks that are not trained.
class DeviceWeights {
 public:
  /// Memory for `size` weights, which have no values yet.
  DeviceWeights(Device device, std::size_t size, Precision precision)
      : master_(device, size), rounded_(device, precision == Precision::bf16 ? size : 0) {}
  DeviceWeights(Stream& stream, std::span<const float> weights, Precision precision)
      : DeviceWeights(stream.device(), weights.size(), precision) {
    take(stream, weights);
  }

  /// Uploads `weights`, as many as there are, and rounds them; synchronises.
  void take(Stream& stream, std::span<const float> weights) {
    ++*version_;
    copy_to_device(stream, master_.data(), weights.data(), weights.size() * sizeof(float));
    if (rounded_.size() > 0) convert(stream, master_, rounded_);
    stream.synchronize();
  }
  operator NetworkWeights() const { return {master_, rounded_, version_}; }  // NOLINT(google-explicit-constructor)

 private:
  Buffer<float> master_;
  Buffer<bfloat16> rounded_;
  std::shared_ptr<std::uint64_t> version_ = std::make_shared<std::uint64_t>(0);
};

}  // namespace gridspot
