// Fully connected blocks on the CPU. All formats stay plain: a reorder of the weights would cost as much as the product
// of a small batch.
#include "nn/block_libraries.h"
#include "nn/onednn_block.h"

namespace gridspot::onednn {

std::unique_ptr<Block> make_product(const ProductShape& shape, Activation activation, const BlockOptions& options) {
  using dnnl::memory;
  using Tag = memory::format_tag;
  const std::string name = "a product of " + std::to_string(shape.batch) + " x " + std::to_string(shape.inputs) +
                           " by " + std::to_string(shape.outputs) + " outputs";
  return planned(name, [&] {
    const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
    const auto plain = [](const memory::dims& dims, Tag tag) {
      return memory::desc(dims, memory::data_type::f32, tag);
    };
    const Formats formats{plain({shape.batch, shape.inputs}, Tag::nc), plain({shape.outputs, shape.inputs}, Tag::oi),
                          plain({shape.outputs}, Tag::x), plain({shape.batch, shape.outputs}, Tag::nc)};
    const auto kind = options.training ? dnnl::prop_kind::forward_training : dnnl::prop_kind::forward_inference;
    const auto forward = describe_forward(engine, kind, formats, attributes(activation));
    Passes passes;
    passes.forward = forward_pass(engine, forward, formats);
    if (options.training)
      passes.backward_weights =
          backward_weights_pass(engine, describe_backward_weights(engine, formats, forward, attributes()), formats);
    if (options.training && options.input_gradient)
      passes.backward_data =
          backward_data_pass(engine, describe_backward_data(engine, formats, forward, attributes()), formats);
    return std::make_unique<OnednnBlock>(std::move(passes), negative_slope(activation));
  });
}

}  // namespace gridspot::onednn
