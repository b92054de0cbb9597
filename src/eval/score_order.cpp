#include "eval/score_order.h"

#include <thrust/execution_policy.h>
#include <thrust/sequence.h>
#include <thrust/sort.h>

#include <algorithm>

namespace gridspot::eval {

std::vector<std::uint32_t> order_by_falling_score(std::span<const float> scores) {
  std::vector<float> keys(scores.size());
  // Subtracting from zero gives one zero only: Thrust sorts floats by their bits, where -0 and 0 differ.
  std::transform(scores.begin(), scores.end(), keys.begin(), [](float score) { return 0.0f - score; });
  std::vector<std::uint32_t> order(scores.size());
  thrust::sequence(thrust::host, order.begin(), order.end());
  thrust::stable_sort_by_key(thrust::host, keys.begin(), keys.end(), order.begin());
  return order;
}

}  // namespace gridspot::eval
