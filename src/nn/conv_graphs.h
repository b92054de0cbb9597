#pragma once
// The graphs that convolutions hand to cuDNN. Includes cudnn-frontend, which takes long to compile: for conv_cudnn.cpp
// alone.
//
// A block has a graph for each pass: forward (convolution + bias + activation fused into one, or the convolution alone
// where cuDNN has no good engine for the three), the gradient of the weights and the gradient of the input (that before
// the activation that gave the input, where cuDNN has a good engine for the two).
// cudnn-frontend names dimensions in the order N, C, H, W; channels-last lies in the strides alone.
#define CUDNN_FRONTEND_SKIP_JSON_LIB
#include <cudnn_frontend.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "nn/block.h"

namespace gridspot::cuda {

namespace frontend = cudnn_frontend;
using frontend::graph::Graph;
using Tensor = std::shared_ptr<frontend::graph::Tensor_attributes>;
using Dimensions = std::vector<std::int64_t>;

/// The operands of Pass::run() as the graphs know them.
enum Operand : std::int64_t { first_operand = 1, second_operand, bias_operand, input_operand, result_operand };

/// The dtypes of a block's tensors. Its bias is float32.
struct TensorTypes {
  frontend::DataType_t operand, output, weight_gradient = frontend::DataType_t::FLOAT;

  explicit TensorTypes(const BlockOptions& options)
      : operand(named(options.dtype())), output(named(options.output_dtype())) {}
  static frontend::DataType_t named(DType dtype) {
    return dtype == DType::float32 ? frontend::DataType_t::FLOAT : frontend::DataType_t::BFLOAT16;
  }
  /// Every result in the dtype of the operands, which more engines can write.
  [[nodiscard]] TensorTypes uniform() const {
    TensorTypes types = *this;
    types.output = types.weight_gradient = operand;
    return types;
  }
};

/// A graph with the tensors that it reads and writes; `result` is the last of them.
struct PassGraph {
  const char* name;
  std::unique_ptr<Graph> graph;
  std::vector<Tensor> tensors;
  std::string variant;  ///< what tells apart graphs of one name, shape and dtypes
  [[nodiscard]] const Tensor& result() const { return tensors.back(); }
};

inline Dimensions input_dimensions(const ConvolutionShape& s) { return {s.batch, s.input_channels, s.height, s.width}; }
inline Dimensions weight_dimensions(const ConvolutionShape& s) { return {s.filters, s.input_channels, s.size, s.size}; }
inline Dimensions output_dimensions(const ConvolutionShape& s) {
  return {s.batch, s.filters, s.output_height(), s.output_width()};
}
inline Dimensions channels_last(const Dimensions& d) { return {d[1] * d[2] * d[3], 1, d[1] * d[3], d[1]}; }

inline PassGraph empty_graph(const char* name, TensorTypes types) {
  auto graph = std::make_unique<Graph>();
  graph->set_name(name)
      .set_io_data_type(types.operand)
      .set_intermediate_data_type(frontend::DataType_t::FLOAT)
      .set_compute_data_type(frontend::DataType_t::FLOAT);
  return {name, std::move(graph), {}, {}};
}

inline Tensor add_tensor(PassGraph& pass, Operand operand, const char* name, const Dimensions& dimensions) {
  return pass.tensors.emplace_back(pass.graph->tensor(frontend::graph::Tensor_attributes()
                                                          .set_name(name)
                                                          .set_uid(operand)
                                                          .set_dim(dimensions)
                                                          .set_stride(channels_last(dimensions))));
}

inline void set_result(PassGraph& pass, Tensor tensor, frontend::DataType_t type) {
  tensor->set_output(true).set_uid(result_operand).set_data_type(type);
  pass.tensors.push_back(std::move(tensor));
}

inline const char* variant_of(Activation activation) {
  return activation == Activation::none ? "" : activation == Activation::relu ? " with ReLU" : " with leaky ReLU";
}

/// The same for all three attributes of convolutions.
template <class Attributes>
Attributes convolution_attributes(const ConvolutionShape& shape) {
  Attributes attributes;
  attributes.set_padding({shape.padding, shape.padding}).set_stride({shape.stride, shape.stride}).set_dilation({1, 1});
  return attributes;
}

inline Tensor add_convolution(PassGraph& pass, const ConvolutionShape& shape) {
  const Tensor input = add_tensor(pass, first_operand, "input", input_dimensions(shape));
  const Tensor weights = add_tensor(pass, second_operand, "weights", weight_dimensions(shape));
  return pass.graph->conv_fprop(input, weights, convolution_attributes<frontend::graph::Conv_fprop_attributes>(shape));
}

inline PassGraph plain_forward_graph(const ConvolutionShape& shape, TensorTypes types) {
  PassGraph pass = empty_graph("forward", types);
  set_result(pass, add_convolution(pass, shape), types.output);
  return pass;
}

inline PassGraph fused_forward_graph(const ConvolutionShape& shape, Activation activation, TensorTypes types) {
  using frontend::PointwiseMode_t;
  using frontend::graph::Pointwise_attributes;
  PassGraph pass = empty_graph("fused forward", types);
  Tensor value = add_convolution(pass, shape);
  const Tensor bias = add_tensor(pass, bias_operand, "bias", {1, shape.filters, 1, 1});
  bias->set_data_type(frontend::DataType_t::FLOAT);
  value = pass.graph->pointwise(value, bias, Pointwise_attributes().set_mode(PointwiseMode_t::ADD));
  pass.variant = variant_of(activation);
  if (activation != Activation::none) {
    auto rectify = Pointwise_attributes().set_mode(PointwiseMode_t::RELU_FWD);
    if (activation == Activation::leaky) rectify.set_relu_lower_clip_slope(negative_slope(activation));
    value = pass.graph->pointwise(value, rectify);
  }
  set_result(pass, value, types.output);
  return pass;
}

inline PassGraph backward_weights_graph(const ConvolutionShape& shape, TensorTypes types) {
  PassGraph pass = empty_graph("backward weights", types);
  const Tensor input = add_tensor(pass, first_operand, "input", input_dimensions(shape));
  const Tensor gradient = add_tensor(pass, second_operand, "output gradient", output_dimensions(shape));
  const Tensor result =
      pass.graph->conv_wgrad(gradient, input, convolution_attributes<frontend::graph::Conv_wgrad_attributes>(shape));
  result->set_dim(weight_dimensions(shape));
  set_result(pass, result, types.weight_gradient);
  return pass;
}

inline Tensor add_backward_data(PassGraph& pass, const ConvolutionShape& shape) {
  const Tensor gradient = add_tensor(pass, first_operand, "output gradient", output_dimensions(shape));
  const Tensor weights = add_tensor(pass, second_operand, "weights", weight_dimensions(shape));
  Tensor result =
      pass.graph->conv_dgrad(gradient, weights, convolution_attributes<frontend::graph::Conv_dgrad_attributes>(shape));
  result->set_dim(input_dimensions(shape));
  return result;
}

inline PassGraph backward_data_graph(const ConvolutionShape& shape, TensorTypes types) {
  PassGraph pass = empty_graph("backward data", types);
  set_result(pass, add_backward_data(pass, shape), types.operand);
  return pass;
}

/// The gradient before the activation that gave the input. The input, an output of that activation, has the sign of
/// what went into it.
inline PassGraph fused_backward_data_graph(const ConvolutionShape& shape, Activation input_activation,
                                           TensorTypes types) {
  using frontend::PointwiseMode_t;
  PassGraph pass = empty_graph("fused backward data", types);
  const Tensor gradient = add_backward_data(pass, shape);
  const Tensor input = add_tensor(pass, input_operand, "input", input_dimensions(shape));
  pass.variant = variant_of(input_activation);
  auto derive = frontend::graph::Pointwise_attributes().set_mode(PointwiseMode_t::RELU_BWD);
  if (input_activation == Activation::leaky) derive.set_relu_lower_clip_slope(negative_slope(input_activation));
  const Tensor result = pass.graph->pointwise(gradient, input, derive);
  set_result(pass, result, types.operand);
  return pass;
}

}  // namespace gridspot::cuda
