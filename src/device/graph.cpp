#include "device/graph.h"

#include <utility>

#include "device/cuda.h"
#include "device/enqueue_only.h"
#include "gridspot/error.h"

namespace gridspot {

Graph Graph::capture(Stream& stream, const std::function<void()>& work) {
  const EnqueueOnly guard;
  Graph graph;
  graph.device_ = stream.device();
  stream.begin_capture(&graph.operations_);
  try {
    work();
  } catch (...) {
    stream.abandon_capture();
    throw;
  }
  graph.native_ = stream.end_capture();
  return graph;
}

Graph::~Graph() {
  if (native_ != nullptr) cuda::destroy_graph(device_.index, native_);
}

Graph::Graph(Graph&& other) noexcept
    : device_(other.device_),
      native_(std::exchange(other.native_, nullptr)),
      operations_(std::move(other.operations_)) {}

Graph& Graph::operator=(Graph&& other) noexcept {
  std::swap(device_, other.device_);
  std::swap(native_, other.native_);
  std::swap(operations_, other.operations_);
  return *this;
}

void Graph::launch(Stream& stream) {
  ensure(stream.device() == device_, "a graph is launched on a stream of the device that it was captured on");
  if (native_ != nullptr) return cuda::launch_graph(device_.index, native_, stream.native());
  for (const Stream::Operation& operation : operations_) operation(stream);
}

}  // namespace gridspot
