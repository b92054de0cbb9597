#pragma once
// Runs a network forward and backward on one device for one batch size. Everything is planned and allocated at
// construction.
#include <memory>
#include <string>
#include <vector>

#include "nn/network.h"
#include "nn/network_weights.h"

namespace gridspot {

/// What backward computes the gradient of.
enum class TrainedPart { all, head };

struct ExecutorOptions {
  bool training = true;  ///< keeps what backward needs; else activations share two buffers
  EngineSettings engines;
  Precision precision = Precision::tf32;
  int threads =
      1;  ///< of the CPU: at most so many share a forward pass; the numbers do not depend on it; training has one
};

/// How many of `threads` share a forward pass: each has 32 MFLOP to do, some 0.2 ms, or there is one. With less, a
/// processor that is busy elsewhere costs more than a second idle one saves: on two processors with other work a call
/// of preset quick (25 MFLOP) took 0.49 ms with two threads and 0.39 with one; of three canvases 1.18 and 1.11 ms, of
/// four 1.52 and 1.50.
int sharing_threads(double forward_flop, int threads);

/// Used by one thread at a time, on streams of its device. Keeps no reference to the network. Activations and their
/// gradients have the dtype activation_dtype(precision); what the network puts out, and the gradients of parameters,
/// are float32 always.
class NetworkExecutor {
 public:
  NetworkExecutor(const Network& network, Device device, int batch, const ExecutorOptions& options = {});
  ~NetworkExecutor();
  NetworkExecutor(NetworkExecutor&&) noexcept;
  NetworkExecutor& operator=(NetworkExecutor&&) noexcept;

  [[nodiscard]] int batch() const;
  /// That share a forward pass.
  [[nodiscard]] int threads() const;

  /// weights: the network's flat buffer; input: [batch, height, width, channels]. Returns [batch, cells, cells,
  /// channels], which holds until the next forward. Enqueues only; allocates nothing. Without training, bf16 takes an
  /// input of float32 too, and rounds it, and weights whose changes are counted (NetworkWeights::version) are put in
  /// the formats that blocks prefer once.
  DeviceSpan<const float> forward(Stream& stream, const NetworkWeights& weights, ConstTensorSpan input);

  /// After a forward with the same weights, whose input must still be there. output_gradient (of the size of forward's
  /// result and the dtype of activations) is overwritten. Writes every element of `gradient`, which has the layout of
  /// the weights; with the head alone, the backbone's elements are left as they are. Throws InvalidInput unless built
  /// for training.
  void backward(Stream& stream, const NetworkWeights& weights, TensorSpan output_gradient, DeviceSpan<float> gradient,
                TrainedPart part = TrainedPart::all);

  /// One line of the memory plan.
  struct PlannedBuffer {
    std::string purpose;
    std::size_t bytes = 0;
  };
  [[nodiscard]] const std::vector<PlannedBuffer>& plan() const;
  [[nodiscard]] std::size_t planned_bytes() const;

 private:
  struct Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace gridspot
