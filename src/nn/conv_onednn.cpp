// Convolution blocks on the CPU. oneDNN chooses its own formats; with activations in the groups that it prefers only
// the weights, which are small, are reordered.
#include "nn/block_libraries.h"
#include "nn/cpu_stem_block.h"
#include "nn/onednn_block.h"
#include "nn/winograd_block.h"

namespace gridspot::onednn {
namespace {

using dnnl::memory;
using Tag = memory::format_tag;

/// The format of a tensor [batch, channels / group, height, width, group].
memory::desc activation_format(const memory::dims& dims, int group, memory::data_type type = memory::data_type::f32) {
  const auto channels = dims[1];
  const bool grouped = group == 8 || group == 16;
  require(group == 0 || group == channels || (grouped && channels % group == 0),
          "oneDNN cannot take " + std::to_string(channels) + " channels in groups of " + std::to_string(group));
  // One channel is the same memory in either order; oneDNN's kernels for few channels ask for this one.
  const Tag tag = channels == 1 ? Tag::nchw : !grouped ? Tag::nhwc : group == 8 ? Tag::nChw8c : Tag::nChw16c;
  return {dims, type, tag};
}

/// The dimensions of a convolution's tensors, in oneDNN's order.
struct Dimensions {
  memory::dims input, weights, bias, output;
  Window window;

  explicit Dimensions(const ConvolutionShape& s)
      : input{s.batch, s.input_channels, s.height, s.width},
        weights{s.filters, s.input_channels, s.size, s.size},
        bias{s.filters},
        output{s.batch, s.filters, s.output_height(), s.output_width()},
        window{{s.stride, s.stride}, {s.padding, s.padding}} {}

  /// oneDNN chooses the formats of activations and weights.
  [[nodiscard]] Formats any(const TensorTypes& types) const {
    return {{input, types.operand, Tag::any},
            {weights, types.weights, Tag::any},
            {bias, memory::data_type::f32, Tag::x},
            {output, types.output, Tag::any}};
  }
};

std::string name_of(const ConvolutionShape& s) {
  return "a convolution of " + std::to_string(s.batch) + " x " + std::to_string(s.height) + " x " +
         std::to_string(s.width) + " x " + std::to_string(s.input_channels) + " by " + std::to_string(s.filters) +
         " filters of size " + std::to_string(s.size);
}

std::unique_ptr<Block> plan_convolution(const ConvolutionShape& shape, Activation activation,
                                        const BlockOptions& options) {
  return planned(name_of(shape), options.threads, [&]() -> std::unique_ptr<Block> {
    const Dimensions dimensions(shape);
    const Window& window = dimensions.window;
    const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
    const auto outer = [&](const TensorTypes& types) {
      return Formats{activation_format(dimensions.input, options.input_group, types.operand),
                     {dimensions.weights, types.weights, Tag::ohwi},
                     {dimensions.bias, memory::data_type::f32, Tag::x},
                     activation_format(dimensions.output, options.output_group, types.output)};
    };
    const auto forward = [&](const TensorTypes& types) {
      return describe_forward(engine, dimensions.any(types), window, attributes(activation));
    };
    const auto backward_weights = [&](const TensorTypes& types) {
      const auto hint = forward(backward_data_types(options));
      return backward_weights_pass(
          engine, describe_backward_weights(engine, dimensions.any(types), window, hint, attributes()), outer(types));
    };
    const auto backward_data = [&](const TensorTypes& types) {
      return backward_data_pass(
          engine, describe_backward_data(engine, dimensions.any(types), window, forward(types), attributes()),
          outer(types));
    };
    Passes passes;
    const auto description = forward(forward_types(options));
    const Formats formats = outer(forward_types(options));
    if (options.training)
      passes.forward = forward_pass(engine, description, formats);
    else
      prepare_weights(engine, description, formats, passes);
    if (options.training) passes.backward_weights = backward_weights(backward_weights_types(options));
    if (options.training && options.input_gradient) passes.backward_data = backward_data(backward_data_types(options));
    return std::make_unique<OnednnBlock>(std::move(passes), activation, options);
  });
}

}  // namespace

int preferred_group(int channels) {
  const ConvolutionShape probe{1, 16, 16, channels, channels};
  return planned(name_of(probe), 1, [&] {
    const Dimensions dimensions(probe);
    const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
    const auto chosen =
        describe_forward(engine, dimensions.any(forward_types({})), dimensions.window, attributes()).dst_desc();
    for (const int group : {8, 16})
      if (channels % group == 0 && chosen == activation_format(dimensions.output, group)) return group;
    return channels;
  });
}

std::unique_ptr<Block> make_convolution(const ConvolutionShape& shape, Activation activation,
                                        const BlockOptions& options) {
  const auto pixels = std::size_t(shape.batch) * shape.output_height() * shape.output_width();
  const BlockSizes sizes{.input = std::size_t(shape.batch) * shape.height * shape.width * shape.input_channels,
                         .weights = std::size_t(shape.filters) * shape.size * shape.size * shape.input_channels,
                         .output = pixels * shape.filters};
  if (CpuStemBlock::fits(shape, options)) return std::make_unique<CpuStemBlock>(shape, activation, options);
  if (WinogradBlock::fits(shape, options)) return std::make_unique<WinogradBlock>(shape, activation, options);
  return native_or_emulated(sizes, activation, options,
                            [&](const BlockOptions& wanted) { return plan_convolution(shape, activation, wanted); });
}

bool takes_pool(const ConvolutionShape& shape, const BlockOptions& options) {
  return CpuStemBlock::fits(shape, options) || WinogradBlock::fits(shape, options);
}

}  // namespace gridspot::onednn
