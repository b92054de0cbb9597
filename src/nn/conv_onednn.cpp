// Convolution blocks on the CPU. oneDNN chooses its own formats; with activations in the groups that it prefers only
// the weights, which are small, are reordered.
#include "nn/block_libraries.h"
#include "nn/onednn_block.h"

namespace gridspot::onednn {
namespace {

using dnnl::memory;
using Tag = memory::format_tag;

/// The format of a tensor [batch, channels / group, height, width, group].
memory::desc activation_format(const memory::dims& dims, int group) {
  const auto channels = dims[1];
  const bool grouped = group == 8 || group == 16;
  require(group == 0 || group == channels || (grouped && channels % group == 0),
          "oneDNN cannot take " + std::to_string(channels) + " channels in groups of " + std::to_string(group));
  // One channel is the same memory in either order; oneDNN's kernels for few channels ask for this one.
  const Tag tag = channels == 1 ? Tag::nchw : !grouped ? Tag::nhwc : group == 8 ? Tag::nChw8c : Tag::nChw16c;
  return {dims, memory::data_type::f32, tag};
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
  [[nodiscard]] Formats any() const {
    constexpr auto f32 = memory::data_type::f32;
    return {{input, f32, Tag::any}, {weights, f32, Tag::any}, {bias, f32, Tag::x}, {output, f32, Tag::any}};
  }
};

std::string name_of(const ConvolutionShape& s) {
  return "a convolution of " + std::to_string(s.batch) + " x " + std::to_string(s.height) + " x " +
         std::to_string(s.width) + " x " + std::to_string(s.input_channels) + " by " + std::to_string(s.filters) +
         " filters of size " + std::to_string(s.size);
}

}  // namespace

int preferred_group(int channels) {
  const ConvolutionShape probe{1, 16, 16, channels, channels};
  return planned(name_of(probe), [&] {
    const Dimensions dimensions(probe);
    const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
    const auto chosen =
        describe_forward(engine, dnnl::prop_kind::forward_training, dimensions.any(), dimensions.window, attributes())
            .dst_desc();
    for (const int group : {8, 16})
      if (channels % group == 0 && chosen == activation_format(dimensions.output, group)) return group;
    return channels;
  });
}

std::unique_ptr<Block> make_convolution(const ConvolutionShape& shape, Activation activation,
                                        const BlockOptions& options) {
  return planned(name_of(shape), [&] {
    const Dimensions dimensions(shape);
    const Window& window = dimensions.window;
    const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
    const Formats any = dimensions.any();
    const Formats outer{activation_format(dimensions.input, options.input_group),
                        {dimensions.weights, memory::data_type::f32, Tag::ohwi},
                        any.bias,
                        activation_format(dimensions.output, options.output_group)};
    const auto kind = options.training ? dnnl::prop_kind::forward_training : dnnl::prop_kind::forward_inference;
    const auto forward = describe_forward(engine, kind, any, window, attributes(activation));
    const float slope = options.masks_gradient ? negative_slope(activation) : 1;
    Passes passes;
    passes.forward = forward_pass(engine, forward, outer);
    if (options.training && !options.input_gradient && StemGradient::fits(shape))
      passes.stem = std::make_unique<StemGradient>(shape, slope, options.output_group);
    else if (options.training)
      passes.backward_weights =
          backward_weights_pass(engine, describe_backward_weights(engine, any, window, forward, attributes()), outer);
    if (options.training && options.input_gradient)
      passes.backward_data =
          backward_data_pass(engine, describe_backward_data(engine, any, window, forward, attributes()), outer);
    return std::make_unique<OnednnBlock>(std::move(passes), slope);
  });
}

}  // namespace gridspot::onednn
