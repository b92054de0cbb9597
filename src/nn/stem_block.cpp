#include "nn/stem_block.h"

#include "kernels/stem.h"

namespace gridspot {
namespace {

StemShape stem_shape(const ConvolutionShape& shape, bool pools) {
  return {shape.batch, shape.height, shape.width, shape.filters, shape.stride, pools};
}

class StemBlock : public Block {
 public:
  StemBlock(const ConvolutionShape& shape, Activation activation, const BlockOptions& options)
      : shape_(stem_shape(shape, options.pools)),
        slope_(negative_slope(activation)),
        options_(options),
        partials_(options.training ? stem_partials(shape_) : 0) {}

  void forward(Stream& stream, const Forward& arguments) override {
    with_type_of(options_.dtype(), [&]<class T>(std::type_identity<T>) {
      if (options_.training || arguments.input.dtype == options_.dtype())
        run_forward<T, T>(stream, arguments);
      else
        run_forward<T, float>(stream, arguments);
    });
  }

  void backward(Stream& stream, const Backward& arguments) override {
    require_that(options_.training, "the stem was not built for training");
    require_that(arguments.workspace.size >= workspace_bytes(), "the stem's workspace must have ", workspace_bytes(),
                 " bytes, it has ", arguments.workspace.size);
    const float slope = options_.masks_gradient ? slope_ : 1;
    const DeviceSpan partials(reinterpret_cast<float*>(arguments.workspace.data), partials_);
    with_type_of(options_.dtype(), [&]<class T>(std::type_identity<T>) {
      const auto output = slope == 1 ? DeviceSpan<const T>() : arguments.output.as<T>("output");
      stem_backward<T>(stream, shape_, arguments.input.as<T>("input"), output, arguments.choice, slope,
                       ConstTensorSpan(arguments.output_gradient).as<T>("output_gradient"), arguments.weight_gradient,
                       arguments.bias_gradient, partials);
    });
  }

  [[nodiscard]] bool rounds_input() const override { return true; }
  [[nodiscard]] std::size_t workspace_bytes() const override { return partials_ * sizeof(float); }

 private:
  template <class T, class In>
  void run_forward(Stream& stream, const Forward& arguments) {
    const auto input = arguments.input.as<In>("input");
    const auto weights = arguments.weights.as<T>("weights");
    const auto output = arguments.output.as<T>("output");
    if (shape_.pools)
      stem_pool_forward<T, In>(stream, shape_, input, weights, arguments.bias, slope_, output, arguments.choice);
    else
      stem_forward<T, In>(stream, shape_, input, weights, arguments.bias, slope_, output);
  }

  StemShape shape_;
  float slope_;
  BlockOptions options_;
  std::size_t partials_;
};

}  // namespace

bool stem_takes(const ConvolutionShape& shape, const BlockOptions& options) {
  const bool channels_last = options.output_group == 0 || options.output_group == shape.filters;
  return shape.input_channels == 1 && shape.size == 3 && shape.padding == 1 && !options.input_gradient &&
         !options.float_output && channels_last && stem_fits(stem_shape(shape, options.pools));
}

std::unique_ptr<Block> make_stem(const ConvolutionShape& shape, Activation activation, const BlockOptions& options) {
  require_that(stem_takes(shape, options), "the convolution is not one that the stem is made for");
  return std::make_unique<StemBlock>(shape, activation, options);
}

}  // namespace gridspot
