#include "nn/autotune.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <string>

#include "device/graph.h"
#include "gridspot/error.h"

namespace gridspot {

std::size_t fastest(Stream& stream, std::size_t count, const std::function<void(std::size_t)>& run) {
  constexpr int calls = 10, rounds = 5;
  std::vector<Graph> graphs(count);
  std::string failure;
  for (std::size_t i = 0; i < count; ++i) try {
      run(i);  // kernels are loaded at their first launch
      stream.synchronize();
      graphs[i] = Graph::capture(stream, [&] {
        for (int call = 0; call < calls; ++call) run(i);
      });
    } catch (const DeviceError& error) {
      failure = error.what();
    }
  if (std::none_of(graphs.begin(), graphs.end(), [](const Graph& graph) { return bool(graph); }))
    throw DeviceError("none of " + std::to_string(count) + " engines works: " + failure);
  std::vector<double> shortest(count, std::numeric_limits<double>::infinity());
  for (int round = 0; round < rounds; ++round)
    for (std::size_t i = 0; i < count; ++i) {
      if (!graphs[i]) continue;
      const auto start = std::chrono::steady_clock::now();
      graphs[i].launch(stream);
      stream.synchronize();
      const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
      shortest[i] = std::min(shortest[i], time.count());
    }
  return first_of_the_fastest(shortest);
}

std::size_t first_of_the_fastest(std::span<const double> times) {
  constexpr double near = 1.02;
  const double shortest = *std::min_element(times.begin(), times.end());
  const auto first = std::find_if(times.begin(), times.end(), [&](double time) { return time <= near * shortest; });
  return static_cast<std::size_t>(first - times.begin());
}

void* TrialTensors::add(std::size_t bytes) {
  constexpr int byte = 0x3f;  // bfloat16 and float32 of such bytes are about 0.75
  const auto& buffer = buffers_.emplace_back(stream_.device(), bytes);
  fill_bytes(stream_, buffer.data(), byte, bytes);
  return buffer.data();
}

}  // namespace gridspot
