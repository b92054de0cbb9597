#pragma once
// Views of device memory whose dtype is known at run time alone: a network's activations and the factors of its
// products.
#include <concepts>
#include <cstddef>
#include <type_traits>

#include "device/buffer.h"
#include "kernels/check.h"

namespace gridspot {

struct bfloat16;

enum class DType { float32, bfloat16 };

constexpr std::size_t size_of(DType dtype) { return dtype == DType::float32 ? 4 : 2; }
constexpr const char* to_string(DType dtype) { return dtype == DType::float32 ? "float32" : "bfloat16"; }

template <class T>
inline constexpr DType dtype_of = std::same_as<std::remove_const_t<T>, float> ? DType::float32 : DType::bfloat16;

template <class T>
concept NetworkElement = std::same_as < std::remove_const_t<T>,
float > || std::same_as<std::remove_const_t<T>, bfloat16>;

/// Calls `work` with std::type_identity of the dtype's type.
template <class Work>
void with_type_of(DType dtype, const Work& work) {
  if (dtype == DType::float32) return work(std::type_identity<float>());
  work(std::type_identity<bfloat16>());
}

/// A non-owning view of `size` elements; Void is void or const void. Made of a DeviceSpan or Buffer of either dtype.
template <class Void>
struct UntypedSpan {
  template <class T>
  using Element = std::conditional_t<std::is_const_v<Void>, const T, T>;

  Void* data = nullptr;
  std::size_t size = 0;
  DType dtype = DType::float32;

  UntypedSpan() = default;
  UntypedSpan(Void* first, std::size_t count, DType type) : data(first), size(count), dtype(type) {}
  template <NetworkElement T>
  requires std::convertible_to<T*, Void*> UntypedSpan(DeviceSpan<T> span)  // NOLINT(google-explicit-constructor)
      : data(span.data), size(span.size), dtype(dtype_of<T>) {}
  template <NetworkElement T>
  UntypedSpan(const Buffer<T>& buffer) : UntypedSpan(buffer.span()) {}  // NOLINT(google-explicit-constructor)
  template <class Other>
  requires std::same_as<const Other, Void> UntypedSpan(const UntypedSpan<Other>& other)  // NOLINT
      : data(other.data), size(other.size), dtype(other.dtype) {}

  [[nodiscard]] UntypedSpan subspan(std::size_t offset, std::size_t count) const {
    using Byte = Element<std::byte>;
    return {static_cast<Byte*>(data) + offset * size_of(dtype), count, dtype};
  }

  /// Throws InvalidInput "<name> is bfloat16, expected float32" and the like; an empty view is of any dtype.
  void require_dtype(const char* name, DType expected) const {
    require_that(size == 0 || dtype == expected, name, " is ", to_string(dtype), ", expected ", to_string(expected));
  }
  /// The view as one of T; checked as above.
  template <class T>
  [[nodiscard]] DeviceSpan<Element<T>> as(const char* name) const {
    require_dtype(name, dtype_of<T>);
    return {static_cast<Element<T>*>(data), size};
  }
};

using TensorSpan = UntypedSpan<void>;
using ConstTensorSpan = UntypedSpan<const void>;

}  // namespace gridspot
