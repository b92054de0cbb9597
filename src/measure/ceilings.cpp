#include "measure/ceilings.h"

#include <algorithm>
#include <memory>
#include <type_traits>
#include <vector>

#include "device/buffer.h"
#include "device/thread_team.h"
#include "kernels/convert.h"
#include "measure/spread.h"

namespace gridspot::measure {

namespace {

constexpr Repetition repetition{.least = 10, .seconds = 0.3};

/// Larger than the caches of either kind of device.
std::size_t copied_bytes(Device device, int threads) {
  return device.kind == DeviceKind::cuda ? std::size_t(1) << 30 : (std::size_t(256) << 20) / threads;
}

int product_side(Device device) { return device.kind == DeviceKind::cuda ? 8192 : 1024; }

struct CopyTask {
  CopyTask(Device device, std::size_t bytes) : stream(device), from(device, bytes), to(device, bytes) {
    fill_bytes(stream, from.data(), 1, bytes);
    fill_bytes(stream, to.data(), 2, bytes);
    stream.synchronize();
  }
  void run() {
    copy_on_device(stream, to.data(), from.data(), from.size());
    stream.synchronize();
  }
  Stream stream;
  Buffer<std::byte> from, to;
};

std::vector<float> random_values(std::size_t count) {
  std::vector<float> values(count);
  std::uint32_t state = 1;
  for (float& value : values) {
    state = state * 1664525u + 1013904223u;
    value = static_cast<float>(state >> 8) / static_cast<float>(1 << 23) - 1;
  }
  return values;
}

template <class T>
Buffer<T> in_dtype(Stream& stream, const std::vector<float>& values) {
  auto buffer = upload(stream, values);
  if constexpr (std::is_same_v<T, float>) {
    return buffer;
  } else {
    Buffer<T> converted(stream.device(), values.size());
    convert(stream, buffer, converted);
    stream.synchronize();
    return converted;
  }
}

/// Of random values: a device may take less power, and so less time, for zeros.
template <class T>
struct ProductTask {
  ProductTask(Device device, int side, Precision precision)
      : stream(device),
        block(make_product(device, {side, side, side}, Activation::none, {.training = false, .precision = precision})),
        left(in_dtype<T>(stream, random_values(std::size_t(side) * side))),
        right(in_dtype<T>(stream, random_values(std::size_t(side) * side))),
        output(device, std::size_t(side) * side),
        bias(upload(stream, std::vector<float>(side))),
        workspace(device, block->workspace_bytes()) {}

  void run() {
    block->forward(stream, {left.span(), right.span(), bias, output.span(), workspace.span()});
    stream.synchronize();
  }

  Stream stream;
  std::unique_ptr<Block> block;
  Buffer<T> left, right, output;
  Buffer<float> bias;
  Buffer<std::byte> workspace;
};

/// Median seconds in which each member of a team does its task once.
template <class Task, class MakeTask>
double seconds_together(int threads, const std::atomic<int>& stop, const MakeTask& make_task) {
  ThreadTeam team(threads);
  std::vector<std::unique_ptr<Task>> tasks(threads);
  team.run(threads, [&](int, int member) { tasks[member] = make_task(); });
  const auto run = [&] { team.run(threads, [&](int, int member) { tasks[member]->run(); }); };
  run();
  return spread_of(time_each(repetition, stop, run)).median;
}

template <class T>
double product_seconds(Device device, Precision precision, int threads, const std::atomic<int>& stop) {
  using Task = ProductTask<T>;
  return seconds_together<Task>(threads, stop,
                                [&] { return std::make_unique<Task>(device, product_side(device), precision); });
}

}  // namespace

Ceilings measure_ceilings(Device device, Precision precision, int threads, const std::atomic<int>& stop) {
  if (device.kind == DeviceKind::cuda) threads = 1;
  const std::size_t bytes = copied_bytes(device, threads);
  const double copy =
      seconds_together<CopyTask>(threads, stop, [&] { return std::make_unique<CopyTask>(device, bytes); });
  const double product = precision == Precision::bf16 ? product_seconds<bfloat16>(device, precision, threads, stop)
                                                      : product_seconds<float>(device, precision, threads, stop);
  const double side = product_side(device);
  return {2.0 * double(bytes) * threads / copy, 2 * side * side * side * threads / product};
}

Json to_json(const Ceilings& ceilings) {
  return {{"copy_gigabytes_per_second", ceilings.bytes_per_second * 1e-9},
          {"product_teraflops", ceilings.operations_per_second * 1e-12}};
}

double floor_seconds(const Work& work, const Ceilings& ceilings) {
  return std::max(work.bytes / ceilings.bytes_per_second, work.operations / ceilings.operations_per_second);
}

}  // namespace gridspot::measure
