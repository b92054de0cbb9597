#include "nn/onednn_block.h"

#include <algorithm>

#include "kernels/bfloat16.h"

namespace gridspot::onednn {
namespace {

constexpr std::size_t workspace_alignment = 64;

std::size_t aligned(std::size_t bytes) {
  return (bytes + workspace_alignment - 1) / workspace_alignment * workspace_alignment;
}

/// A tensor whose place is set before each use.
dnnl::memory unplaced(const dnnl::memory::desc& desc, const dnnl::engine& engine) {
  return {desc, engine, DNNL_MEMORY_NONE};
}

void place(const dnnl::memory& memory, const void* data) {
  check(dnnl_memory_set_data_handle(memory.get(), const_cast<void*>(data)), "placing a tensor");
}

void execute(const dnnl::primitive& primitive, const dnnl::stream& stream, std::span<const dnnl_exec_arg_t> arguments,
             const char* what) {
  check(dnnl_primitive_execute(primitive.get(), stream.get(), static_cast<int>(arguments.size()), arguments.data()),
        what);
}

}  // namespace

Pass::Pass(const dnnl::engine& engine, const dnnl::primitive& primitive, const dnnl::memory::desc& scratchpad,
           std::span<const Operand> inputs, std::span<const Operand> outputs)
    : engine_(engine), stream_(engine), primitive_(primitive) {
  scratchpad_ = unplaced(scratchpad, engine_);
  scratchpad_offset_ = reserve(scratchpad);
  const auto add = [this](std::vector<Slot>& slots, const Operand& operand, Direction direction) {
    slots.push_back(make_slot(operand, direction));
    arguments_.push_back({operand.argument, slots.back().inner.get()});
  };
  for (const auto& operand : inputs) add(inputs_, operand, Direction::in);
  for (const auto& operand : outputs) add(outputs_, operand, Direction::out);
  arguments_.push_back({DNNL_ARG_SCRATCHPAD, scratchpad_.get()});
}

Pass::Slot Pass::make_slot(const Operand& operand, Direction direction) {
  Slot slot;
  slot.outer = unplaced(operand.outer, engine_);
  if (operand.outer == operand.inner) {
    slot.inner = slot.outer;
    return slot;
  }
  slot.inner = unplaced(operand.inner, engine_);
  slot.inner_offset = reserve(operand.inner);
  const auto& from = direction == Direction::in ? operand.outer : operand.inner;
  const auto& to = direction == Direction::in ? operand.inner : operand.outer;
  const dnnl::reorder::primitive_desc description(engine_, from, engine_, to, attributes());
  slot.reorder = dnnl::reorder(description);
  slot.reorder_scratchpad = unplaced(description.scratchpad_desc(), engine_);
  slot.scratchpad_offset = reserve(description.scratchpad_desc());
  return slot;
}

std::size_t Pass::reserve(const dnnl::memory::desc& desc) {
  const std::size_t offset = workspace_bytes_;
  workspace_bytes_ += aligned(desc.get_size());
  return offset;
}

void Pass::run_reorder(const Slot& slot, const dnnl::memory& from, const dnnl::memory& to) {
  const dnnl_exec_arg_t arguments[] = {
      {DNNL_ARG_FROM, from.get()}, {DNNL_ARG_TO, to.get()}, {DNNL_ARG_SCRATCHPAD, slot.reorder_scratchpad.get()}};
  execute(slot.reorder, stream_, arguments, "a reorder");
}

void Pass::run(std::byte* workspace, std::span<const void* const> inputs, std::span<void* const> outputs) {
  const auto place_slot = [workspace](const Slot& slot, const void* data) {
    place(slot.outer, data);
    if (!slot.reorder) return;
    place(slot.inner, workspace + slot.inner_offset);
    place(slot.reorder_scratchpad, workspace + slot.scratchpad_offset);
  };
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    place_slot(inputs_[i], inputs[i]);
    if (inputs_[i].reorder) run_reorder(inputs_[i], inputs_[i].outer, inputs_[i].inner);
  }
  for (std::size_t i = 0; i < outputs_.size(); ++i) place_slot(outputs_[i], outputs[i]);
  place(scratchpad_, workspace + scratchpad_offset_);
  execute(primitive_, stream_, arguments_, "a primitive");
  for (const auto& slot : outputs_)
    if (slot.reorder) run_reorder(slot, slot.inner, slot.outer);
}

void mask_gradient(ConstTensorSpan output, float slope, TensorSpan gradient) {
  if (slope == 1) return;
  with_type_of(gradient.dtype, [&]<class T>(std::type_identity<T>) {
    const T* __restrict values = output.as<T>("output").data;
    T* __restrict masked = gradient.as<T>("output_gradient").data;
    for (std::size_t i = 0; i < gradient.size; ++i)
      masked[i] = to_float(values[i]) > 0 ? masked[i] : from_float<T>(slope * to_float(masked[i]));
  });
}

void OnednnBlock::forward(Stream& stream, const Forward& arguments) {
  arguments.input.require_dtype("input", dtype_);
  arguments.weights.require_dtype("weights", dtype_);
  arguments.output.require_dtype("output", output_dtype_);
  require_prepared(arguments);
  stream.submit([this, arguments](Stream&) {
    const ThreadCount count(threads_);
    const void* weights = passes_.prepare ? arguments.prepared.data : arguments.weights.data;
    const void* inputs[] = {arguments.input.data, weights, arguments.bias.data};
    void* outputs[] = {arguments.output.data};
    passes_.forward->run(arguments.workspace.data, inputs, outputs);
  });
}

void OnednnBlock::backward(Stream& stream, const Backward& arguments) {
  arguments.input.require_dtype("input", dtype_);
  arguments.weights.require_dtype("weights", dtype_);
  arguments.output_gradient.require_dtype("output_gradient", dtype_);
  arguments.input_gradient.require_dtype("input_gradient", dtype_);
  ensure(passes_.backward_weights != nullptr, "the block was not built for training");
  stream.submit([this, arguments](Stream&) { run_backward(arguments); });
}

void OnednnBlock::run_backward(const Backward& arguments) {
  const ThreadCount count(threads_);
  mask_gradient(arguments.output, slope_, arguments.output_gradient);
  {
    const void* inputs[] = {arguments.input.data, arguments.output_gradient.data};
    void* outputs[] = {arguments.weight_gradient.data, arguments.bias_gradient.data};
    passes_.backward_weights->run(arguments.workspace.data, inputs, outputs);
  }
  if (!passes_.backward_data) return;
  const void* inputs[] = {arguments.output_gradient.data, arguments.weights.data};
  void* outputs[] = {arguments.input_gradient.data};
  passes_.backward_data->run(arguments.workspace.data, inputs, outputs);
}

std::size_t OnednnBlock::workspace_bytes() const {
  std::size_t bytes = 0;
  for (const Pass* pass : {passes_.forward.get(), passes_.backward_data.get(), passes_.backward_weights.get()})
    if (pass != nullptr) bytes = std::max(bytes, pass->workspace_bytes());
  return bytes;
}

std::size_t OnednnBlock::prepared_bytes() const {
  return passes_.prepare ? aligned(passes_.prepared_weights_bytes) + passes_.prepare->workspace_bytes() : 0;
}

void OnednnBlock::prepare(Stream& stream, ConstTensorSpan weights, DeviceSpan<std::byte> prepared) {
  weights.require_dtype("weights", dtype_);
  if (!passes_.prepare) return;
  stream.submit([this, weights, prepared](Stream&) {
    const ThreadCount count(threads_);
    const void* inputs[] = {weights.data};
    void* outputs[] = {prepared.data};
    passes_.prepare->run(prepared.data + aligned(passes_.prepared_weights_bytes), inputs, outputs);
  });
}

std::unique_ptr<Block> native_or_emulated(const BlockSizes& sizes, Activation activation, const BlockOptions& options,
                                          const std::function<std::unique_ptr<Block>(const BlockOptions&)>& make) {
  if (options.precision != Precision::bf16) return make(options);
  try {
    if (multiplies_bfloat16()) return make(options);
  } catch (const DeviceError&) {  // not for this shape
  }
  return std::make_unique<EmulatedBlock>(make(emulating_options(options)), sizes, activation, options);
}

}  // namespace gridspot::onednn
