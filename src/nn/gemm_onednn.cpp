// Fully connected blocks on the CPU. All formats stay plain: a reorder of the weights would cost as much as the product
// of a small batch.
#include "nn/block_libraries.h"
#include "nn/onednn_block.h"

namespace gridspot::onednn {

namespace {

std::unique_ptr<Block> plan_product(const ProductShape& shape, Activation activation, const BlockOptions& options) {
  using dnnl::memory;
  using Tag = memory::format_tag;
  const std::string name = "a product of " + std::to_string(shape.batch) + " x " + std::to_string(shape.inputs) +
                           " by " + std::to_string(shape.outputs) + " outputs";
  return planned(name, options.threads, [&]() -> std::unique_ptr<Block> {
    const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
    const auto formats = [&](const TensorTypes& types) {
      return Formats{{{shape.batch, shape.inputs}, types.operand, Tag::nc},
                     {{shape.outputs, shape.inputs}, types.weights, Tag::oi},
                     {{shape.outputs}, memory::data_type::f32, Tag::x},
                     {{shape.batch, shape.outputs}, types.output, Tag::nc}};
    };
    const auto forward = [&](const Formats& its) { return describe_forward(engine, its, attributes(activation)); };
    const Formats forward_formats = formats(forward_types(options)), data = formats(backward_data_types(options)),
                  weights = formats(backward_weights_types(options));
    Passes passes;
    passes.forward = forward_pass(engine, forward(forward_formats), forward_formats);
    if (options.training)
      passes.backward_weights = backward_weights_pass(
          engine, describe_backward_weights(engine, weights, forward(data), attributes()), weights);
    if (options.training && options.input_gradient)
      passes.backward_data =
          backward_data_pass(engine, describe_backward_data(engine, data, forward(data), attributes()), data);
    return std::make_unique<OnednnBlock>(std::move(passes), activation, options);
  });
}

}  // namespace

std::unique_ptr<Block> make_product(const ProductShape& shape, Activation activation, const BlockOptions& options) {
  const BlockSizes sizes{.input = std::size_t(shape.batch) * shape.inputs,
                         .weights = std::size_t(shape.outputs) * shape.inputs,
                         .output = std::size_t(shape.batch) * shape.outputs};
  return native_or_emulated(sizes, activation, options,
                            [&](const BlockOptions& wanted) { return plan_product(shape, activation, wanted); });
}

}  // namespace gridspot::onednn
