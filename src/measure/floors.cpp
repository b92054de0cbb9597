#include "measure/floors.h"

#include <variant>

#include "gridspot/box.h"
#include "kernels/placement.h"

namespace gridspot::measure {

namespace {

constexpr double box_bytes = sizeof(Box), number_bytes = 4, choice_bytes = 1;

bool has_parameters(const NetworkLayer& layer) {
  return std::holds_alternative<ConvolutionLayer>(layer.spec) ||
         std::holds_alternative<FullyConnectedLayer>(layer.spec);
}

/// Of a layer, for the batch.
class LayerWork {
 public:
  LayerWork(const NetworkLayer& layer, const Workload& workload)
      : layer_(layer),
        element_(workload.precision == Precision::bf16 ? 2 : 4),
        input_(double(layer.input.size()) * workload.batch),
        output_(double(layer.output.size()) * workload.batch) {
    if (const auto* convolution = std::get_if<ConvolutionLayer>(&layer.spec)) {
      weights_ = double(convolution->size) * convolution->size * layer.input.channels * convolution->filters;
      operations_ = 2 * weights_ * layer.output.height * layer.output.width * workload.batch;
    } else if (std::holds_alternative<FullyConnectedLayer>(layer.spec)) {
      weights_ = double(layer.input.size()) * layer.output.channels;
      operations_ = 2 * weights_ * workload.batch;
    }
    chooses_ = std::holds_alternative<MaxPoolLayer>(layer.spec);
  }

  [[nodiscard]] Work forward() const {
    return {element_ * (input_ + output_ + weights_) + (chooses_ ? choice_bytes * output_ : 0), operations_};
  }

  /// Both gradients; of the first layer that of the weights alone. A max pool reads what it chose instead of its input.
  [[nodiscard]] Work backward(bool wants_input_gradient) const {
    Work work{element_ * output_ + (chooses_ ? choice_bytes * output_ : 0), 0};
    if (has_parameters(layer_)) work += {element_ * input_ + number_bytes * weights_, operations_};
    if (wants_input_gradient) work += {element_ * (input_ + weights_), operations_};
    return work;
  }

 private:
  const NetworkLayer& layer_;
  double element_, input_, output_, weights_ = 0, operations_ = 0;
  bool chooses_ = false;
};

Floor network_floor(Stage stage, const Workload& workload, const Ceilings& ceilings) {
  Floor floor;
  const auto add = [&](const Work& work) {
    floor.work += work;
    floor.seconds += floor_seconds(work, ceilings);
  };
  bool before_is_trained = false;
  for (const NetworkLayer& layer : workload.network->layers()) {
    const LayerWork work(layer, workload);
    if (stage == Stage::forward)
      add(work.forward());
    else if (before_is_trained || has_parameters(layer))
      add(work.backward(before_is_trained));
    before_is_trained = before_is_trained || has_parameters(layer);
  }
  return floor;
}

double optimizer_bytes(const Workload& workload) {
  const double parameters = double(workload.network->buffer_size());
  const double states = 2 + (workload.second_moment ? 1 : 0) + (workload.averages ? 1 : 0);  // weights and moments
  const double reduce = number_bytes * (workload.shards > 1 ? workload.shards + 1 : 1);
  const double update = number_bytes * (2 * states + 1) + 1 + (workload.precision == Precision::bf16 ? 2 : 0);
  return parameters * (reduce + update);
}

}  // namespace

Floor floor_of(Stage stage, const Workload& workload, const Ceilings& ceilings) {
  const GridHead& head = workload.network->spec().detector;
  const ImageShape& input = workload.network->spec().input;
  const double batch = workload.batch, glyphs = batch * workload.glyphs;
  const double cells = batch * head.cells * head.cells, slots = batch * head.slots();
  const double predictions = number_bytes * cells * head.channels();
  const double element = workload.precision == Precision::bf16 ? 2 : 4;
  const double label_bytes = glyphs * (box_bytes + number_bytes);
  const auto moves = [&](double bytes) { return Floor{{bytes, 0}, floor_seconds({bytes, 0}, ceilings)}; };
  switch (stage) {
    case Stage::scene:
      return moves(glyphs * sizeof(Placement) + label_bytes);
    case Stage::canvas:
      return moves(element * batch * double(input.size()) + glyphs * (sizeof(Placement) + workload.glyph_bytes));
    case Stage::targets:
      return moves(label_bytes + number_bytes * cells);
    case Stage::forward:
    case Stage::backward:
      return network_floor(stage, workload, ceilings);
    case Stage::loss:
      return moves(predictions + predictions * element / number_bytes + number_bytes * cells + label_bytes);
    case Stage::optimizer:
      return moves(optimizer_bytes(workload));
    case Stage::nms:
      return moves(number_bytes * (slots + batch * workload.candidates * (4 + head.classes)) +
                   batch * workload.detections * (box_bytes + 2 * number_bytes));
  }
  return {};
}

}  // namespace gridspot::measure
