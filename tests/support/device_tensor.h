#pragma once
// Tensors on a device whose dtype a test chooses at run time.
#include <span>
#include <vector>

#include "kernels/tensor_span.h"
#include "tests/support/dtype.h"

namespace gridspot::test {

class DeviceTensor {
 public:
  /// Contents undefined.
  DeviceTensor(Device device, std::size_t count, DType dtype)
      : bytes_(device, count * size_of(dtype)), count_(count), dtype_(dtype) {}
  /// The values, rounded where the dtype is bfloat16.
  DeviceTensor(Stream& stream, const std::vector<float>& values, DType dtype)
      : DeviceTensor(stream.device(), values.size(), dtype) {
    with_type_of(dtype, [&]<class T>(std::type_identity<T>) {
      const auto stored = to_dtype<T>(values);
      copy_to_device(stream, bytes_.data(), stored.data(), stored.size() * sizeof(T));
      stream.synchronize();
    });
  }

  operator TensorSpan() const { return {bytes_.data(), count_, dtype_}; }       // NOLINT(google-explicit-constructor)
  operator ConstTensorSpan() const { return {bytes_.data(), count_, dtype_}; }  // NOLINT(google-explicit-constructor)

  /// The values; checks the red zone too.
  [[nodiscard]] std::vector<float> values(Stream& stream) const {
    std::vector<float> result;
    with_type_of(dtype_, [&]<class T>(std::type_identity<T>) {
      result = to_floats(download(stream, DeviceSpan<const T>(reinterpret_cast<const T*>(bytes_.data()), count_)));
    });
    bytes_.check_red_zone();
    return result;
  }

 private:
  Buffer<std::byte> bytes_;
  std::size_t count_;
  DType dtype_;
};

/// As the dtype holds the values.
inline std::vector<float> rounded(const std::vector<float>& values, DType dtype) {
  return dtype == DType::float32 ? values : to_floats(to_dtype<bfloat16>(values));
}

}  // namespace gridspot::test
