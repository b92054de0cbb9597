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
  int threads = 1;  ///< of the CPU, which share one forward pass; the numbers do not depend on it; training has one
};

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

  /// weights: the network's flat buffer; input: [batch, height, width, channels]. Returns [batch, cells, cells,
  /// channels], which holds until the next forward. Enqueues only; allocates nothing. Without training, bf16 takes an
  /// input of float32 too, and rounds it, and weights that never change (NetworkWeights::identity) are put in the
  /// formats that blocks prefer once.
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
