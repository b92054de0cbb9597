#pragma once
// Device work that is recorded once and enqueued again and again by one call.
#include <functional>
#include <utility>
#include <vector>

#include "device/stream.h"

namespace gridspot {

/// On CUDA a graph (cudaGraphExec_t); on the CPU the list of what was enqueued. Every host value that the work was
/// given is as it was at the capture: what is to change between launches must lie in device memory. Move-only.
class Graph {
 public:
  /// An empty graph, which cannot be launched.
  Graph() = default;
  /// Calls `work`, which enqueues on `stream` alone; nothing of it is run. While it is called, the thread may only
  /// enqueue (see EnqueueOnly). Kernels should have been run once before: CUDA loads them at their first launch. Throws
  /// what `work` throws, and DeviceError where CUDA cannot capture it; the stream can be used as before then.
  static Graph capture(Stream& stream, const std::function<void()>& work);
  ~Graph();
  Graph(Graph&& other) noexcept;
  Graph& operator=(Graph&& other) noexcept;

  [[nodiscard]] explicit operator bool() const { return native_ != nullptr || !operations_.empty(); }

  /// Enqueues the work on a stream of the same device. What it reads and writes must still be there.
  void launch(Stream& stream);

 private:
  Device device_;
  void* native_ = nullptr;
  std::vector<Stream::Operation> operations_;
};

/// Work that is the same each time: enqueued at the first run, when CUDA and its libraries load kernels, captured at
/// the second, and launched as a graph from then on. Move-only.
class ReplayedWork {
 public:
  /// `work` enqueues on `stream`, the same at every call.
  template <class Work>
  void run(Stream& stream, const Work& work) {
    if (!std::exchange(begun_, true)) return work();
    if (!graph_) graph_ = Graph::capture(stream, work);
    graph_.launch(stream);
  }

 private:
  bool begun_ = false;
  Graph graph_;
};

}  // namespace gridspot
