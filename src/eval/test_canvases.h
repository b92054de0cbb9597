#pragma once
// What a model is measured on, and the loop over it.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <vector>

#include "data/canvas_feed.h"
#include "device/thread_team.h"
#include "nn/network.h"

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
  double seconds = 0;
  bool stopped = false;  ///< by the signal; results are missing
};

/// Works through canvases 0 ... count - 1 in batches of canvases_at_once, one worker a thread. The results do not
/// depend on `threads` (0: one for each processor; CUDA uses two, so that one prepares while the device works).
/// A Worker has `void take(const std::vector<float>& weights)` and `Result run(int first, int count)`. It is made once,
/// so that models can be measured one after another. One thread at a time.
template <class Worker>
class EvaluationTeam {
 public:
  /// make_worker() returns a std::unique_ptr<Worker>, in the worker's thread.
  template <class MakeWorker>
  EvaluationTeam(Device device, int count, int threads, const MakeWorker& make_worker)
      : count_(count),
        team_(std::clamp(device.kind == DeviceKind::cuda ? 2
                         : threads > 0                   ? threads
                                                         : available_processors(),
                         1, std::max(1, batches()))),
        workers_(team_.size()) {
    team_.run(team_.size(), [&](int, int member) { workers_[member] = make_worker(); });
  }

  /// Ends early when `stop_signal` is not 0.
  auto run(const std::vector<float>& weights, const std::atomic<int>* stop_signal) {
    using Result = decltype(workers_[0]->run(0, 0));
    const auto stopped = [&] { return stop_signal != nullptr && *stop_signal != 0; };
    const auto start = std::chrono::steady_clock::now();
    team_.run(team_.size(), [&](int, int member) { workers_[member]->take(weights); });
    std::vector<Result> results(batches());
    team_.run(batches(), [&](int batch, int member) {
      if (stopped()) return;
      const int first = batch * canvases_at_once;
      results[batch] = workers_[member]->run(first, std::min(canvases_at_once, count_ - first));
    });
    const std::chrono::duration<double> duration = std::chrono::steady_clock::now() - start;
    return Batches<Result>{std::move(results), duration.count(), stopped()};
  }

  [[nodiscard]] int count() const { return count_; }

 private:
  [[nodiscard]] int batches() const { return (count_ + canvases_at_once - 1) / canvases_at_once; }

  int count_;
  ThreadTeam team_;
  std::vector<std::unique_ptr<Worker>> workers_;
};

/// What an evaluator holds: copies of what its workers refer to, and their team.
template <class Worker, class Settings>
struct EvaluatorState {
  EvaluatorState(const NetworkSpec& spec, Device device, const TestCanvases& test, const Settings& wanted, int threads)
      : network(spec),
        canvases(test),
        settings(wanted),
        team(device, test.store ? test.store->view().count : wanted.count, threads,
             [&] { return std::make_unique<Worker>(network, device, canvases, settings); }) {}

  Network network;
  TestCanvases canvases;
  Settings settings;
  EvaluationTeam<Worker> team;
};

}  // namespace gridspot
