#pragma once
// What a model is measured on, and the loop over it.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <vector>

#include "data/canvas_feed.h"
#include "device/thread_team.h"
#include "nn/network_spec.h"

namespace gridspot {

/// Canvases on a device: composed of glyphs, or a fixed set. What the pointers name must outlive it.
struct TestCanvases {
  const GlyphBank* glyphs = nullptr;  ///< with `protocol`, `split` and `seed`
  Protocol protocol;
  Split split = Split::test;
  std::uint64_t seed = 1;
  const CanvasStore* store = nullptr;  ///< or this: its canvases in their order

  [[nodiscard]] int height() const { return store ? store->view().height : protocol.height; }
  [[nodiscard]] int width() const { return store ? store->view().width : protocol.width; }
  [[nodiscard]] const std::vector<std::string>& class_names() const;
  [[nodiscard]] const std::string& source() const;
};

/// How many canvases a worker takes at a time.
inline constexpr int canvases_at_once = 32;

/// Feeds canvases_at_once canvases of the test: canvas i is `first + i`.
std::unique_ptr<CanvasFeed> make_test_feed(Device device, const TestCanvases& canvases, Normalization normalization,
                                           DType dtype = DType::float32);

/// Throws InvalidInput where the canvases' size or classes are not the network's.
void require_fit(const TestCanvases& canvases, const NetworkSpec& network);

template <class Result>
struct Batches {
  std::vector<Result> results;  ///< in the order of the canvases
  double seconds = 0;           ///< without making the workers
  bool stopped = false;         ///< by the signal; results are missing
};

/// Works through canvases 0 ... count - 1 in batches of canvases_at_once, one worker a thread. The results do not
/// depend on `threads` (0: one for each processor; CUDA uses two, so that one prepares while the device works).
/// make_worker() returns a pointer to something with `Result run(int first, int count)`. Ends early when `stop_signal`
/// is not 0.
template <class Result, class MakeWorker>
Batches<Result> run_batches(Device device, int count, int threads, const std::atomic<int>* stop_signal,
                            const MakeWorker& make_worker) {
  const int batches = (count + canvases_at_once - 1) / canvases_at_once;
  const int wanted = threads > 0 ? threads : available_processors();
  ThreadTeam team(std::clamp(device.kind == DeviceKind::cuda ? 2 : wanted, 1, std::max(1, batches)));
  std::vector<decltype(make_worker())> workers(team.size());
  team.run(team.size(), [&](int, int member) { workers[member] = make_worker(); });
  const auto stopped = [&] { return stop_signal != nullptr && *stop_signal != 0; };
  const auto start = std::chrono::steady_clock::now();
  std::vector<Result> results(batches);
  team.run(batches, [&](int batch, int member) {
    if (stopped()) return;
    const int first = batch * canvases_at_once;
    results[batch] = workers[member]->run(first, std::min(canvases_at_once, count - first));
  });
  const std::chrono::duration<double> duration = std::chrono::steady_clock::now() - start;
  return {std::move(results), duration.count(), stopped()};
}

}  // namespace gridspot
