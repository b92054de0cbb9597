#pragma once
// The layouts of activations (nn/block.h).
#include <cstddef>
#include <vector>

namespace gridspot::test {

/// From channels-last to [n, channels / group, height, width, group] (group 0: unchanged), and back.
template <class T>
std::vector<T> regroup(const std::vector<T>& values, int pixels, int channels, int group, bool back) {
  if (group == 0) return values;
  std::vector<T> result(values.size());
  const int batch = static_cast<int>(values.size()) / (pixels * channels);
  for (int n = 0; n < batch; ++n)
    for (int p = 0; p < pixels; ++p)
      for (int c = 0; c < channels; ++c) {
        const std::size_t last = (std::size_t(n) * pixels + p) * channels + c;
        const std::size_t grouped =
            ((std::size_t(n) * (channels / group) + c / group) * pixels + p) * group + c % group;
        result[back ? last : grouped] = values[back ? grouped : last];
      }
  return result;
}

}  // namespace gridspot::test
