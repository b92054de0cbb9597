// Each kernel alone, at the sizes of quick (64x64, batch 64) and small (224x224, batch 32), on every device that is
// here, and on a GPU at those of 1,024 canvases, which its caches do not hold. "floor" is the kernel's least traffic in
// bytes per second: on a GPU, its share of the copy bandwidth is how good the kernel is. There a launch is one of many
// of a graph, and the device tells its time.
#include <benchmark/benchmark.h>

#include <numeric>

#include "data/canvas_set.h"
#include "data/canvas_source.h"
#include "data/canvas_store.h"
#include "device/graph.h"
#include "device/stage_clock.h"
#include "gridspot/error.h"
#include "kernels/activation.h"
#include "kernels/augment.h"
#include "kernels/average_pool.h"
#include "kernels/canvas.h"
#include "kernels/cell_classes.h"
#include "kernels/convert.h"
#include "kernels/decode.h"
#include "kernels/finish_step.h"
#include "kernels/gather.h"
#include "kernels/letterbox.h"
#include "kernels/loss.h"
#include "kernels/max_pool.h"
#include "kernels/nms.h"
#include "kernels/stem.h"
#include "kernels/targets.h"
#include "nn/block.h"

namespace gridspot {
namespace {

struct Size {
  const char* name;
  const char* protocol;
  int batch, cells, filters;
};
constexpr Size sizes[]{{"quick", "quick-64", 64, 8, 16},
                       {"small", "seed-224", 32, 28, 16},
                       {"quick-1024", "quick-64", 1024, 8, 16},
                       {"small-1024", "seed-224", 1024, 28, 16}};
constexpr int most_canvases_on_cpu = 64;

/// The pipeline's buffers for one size on one device.
struct Bench {
  Bench(Device where, const Size& what)
      : device(where),
        size(what),
        protocol(find_protocol(what.protocol)),
        stream(where),
        glyphs_of_host(load_glyphs("builtin", Split::train)),
        glyphs(stream, glyphs_of_host),
        source(where, protocol, glyphs, Split::train, 1, what.batch),
        canvas(where, std::size_t(what.batch) * protocol.height * protocol.width),
        step(upload(stream, std::vector<std::uint64_t>{0})),
        cell_object(where, std::size_t(what.batch) * what.cells * what.cells),
        collisions(where, what.batch) {
    head.cells = what.cells;
    head.classes = 10;
    source.compose(stream, 0, {});
    predictions = floats(std::size_t(what.batch) * what.cells * what.cells * head.channels());
    terms = floats(std::size_t(what.batch) * 3);
    encode();
  }

  /// The same thousands of values again and again.
  template <class T>
  Buffer<T> values(std::size_t count) {
    std::vector<T> first(std::min<std::size_t>(count, 1000 << 10));
    for (std::size_t i = 0; i < first.size(); ++i)
      first[i] = from_float<T>(static_cast<float>((i * 7919) % 1000) / 500.0f - 1.0f);
    Buffer<T> all(device, count);
    for (std::size_t done = 0; done < count; done += first.size())
      copy_to_device(stream, all.data() + done, first.data(), std::min(first.size(), count - done) * sizeof(T));
    stream.synchronize();
    return all;
  }
  Buffer<float> floats(std::size_t count) { return values<float>(count); }
  void encode() {
    encode_targets(stream, size.batch, protocol.max_glyphs, source.scenes().boxes, source.scenes().labels, size.cells,
                   cell_object, collisions);
  }

  Device device;
  Size size;
  Protocol protocol;
  Stream stream;
  GlyphSet glyphs_of_host;
  GlyphBank glyphs;
  CanvasSource source;
  Buffer<float> canvas, predictions, terms;
  Buffer<std::uint64_t> step;
  Buffer<std::int32_t> cell_object, collisions;
  GridHead head;
};

template <class Work>
void measure(benchmark::State& state, Bench& bench, std::size_t floor_bytes, const Work& work) {
  Stream& stream = bench.stream;
  const int calls = stream.is_cuda() ? 20 : 1;  // a launch
  constexpr Stage whole = Stage::scene;
  StageClock clock;
  work();
  stream.synchronize();
  Graph graph = Graph::capture(stream, [&] {
    clock.measure(whole, stream, [&] {
      for (int i = 0; i < calls; ++i) work();
    });
  });
  while (state.KeepRunningBatch(calls)) {
    clock.reset();
    graph.launch(stream);
    clock.take();
    state.SetIterationTime(clock.seconds(whole));
  }
  state.counters["floor"] = benchmark::Counter(
      static_cast<double>(floor_bytes), benchmark::Counter::kIsIterationInvariantRate, benchmark::Counter::kIs1000);
  state.SetItemsProcessed(state.iterations() * bench.size.batch);
}

void scene(benchmark::State& state, Bench& b) {
  Scenes scenes(b.device, b.size.batch, b.protocol.max_glyphs);
  measure(state, b, scenes.bytes(), [&] {
    sample_scenes(b.stream, b.protocol, b.glyphs.view(), 1, {b.step.data(), 0}, scenes.view());
  });
}

template <class T>
void canvas(benchmark::State& state, Bench& b) {
  const Buffer<T> output(b.device, b.canvas.size());
  measure(state, b, output.size() * sizeof(T), [&] {
    compose_canvases(b.stream, b.protocol, b.glyphs.view(), 1, {b.step.data(), 0}, b.source.scenes().view(),
                     Normalization{}, output.span());
  });
}

/// Canvases of a store that holds as many as a batch.
template <class T, bool augmented>
void stored_canvas(benchmark::State& state, Bench& b) {
  const int capacity = 2 * b.protocol.max_glyphs;
  const CanvasStore store(b.stream,
                          render_canvases(b.stream, b.protocol, b.glyphs_of_host, Split::train, 1, b.size.batch));
  const GatherOrder order{.key = 1, .shuffle = true, .batch = b.size.batch};
  const Buffer<T> output(b.device, b.canvas.size());
  const TensorSpan canvases(output.span());
  const Buffer<Box> boxes(b.device, std::size_t(b.size.batch) * capacity);
  const Buffer<std::int32_t> labels(b.device, boxes.size()), counts(b.device, b.size.batch);
  measure(state, b, output.size() * (1 + sizeof(T)), [&] {
    if constexpr (augmented)
      augment_canvases(b.stream, store.view(), order, {.scale = 0.1f, .shift = 8, .overlay = 0.5f}, {b.step.data(), 0},
                       b.size.batch, {}, canvases, boxes, labels, counts, capacity);
    else
      gather_canvases(b.stream, store.view(), order, {b.step.data(), 0}, b.size.batch, {}, canvases, boxes, labels,
                      counts, capacity);
  });
}

/// One image of a user, twice as large as the network's input.
void letterbox(benchmark::State& state, Bench& b) {
  const int height = 2 * b.protocol.height, width = 2 * b.protocol.width;
  const Buffer<std::uint8_t> image(b.device, std::size_t(height) * width * 3);
  fill_bytes(b.stream, image.data(), 99, image.size());
  const Buffer<float> input(b.device, std::size_t(b.protocol.height) * b.protocol.width);
  measure(state, b, image.size() + input.size() * sizeof(float),
          [&] { letterbox_image(b.stream, image, height, width, 3, b.protocol.height, b.protocol.width, {}, input); });
}

void to_bfloat16(benchmark::State& state, Bench& b) {
  const Buffer<bfloat16> output(b.device, b.canvas.size());
  measure(state, b, output.size() * 6, [&] { convert(b.stream, b.canvas, output); });
}

void targets(benchmark::State& state, Bench& b) {
  measure(state, b, b.cell_object.size() * sizeof(std::int32_t), [&] { b.encode(); });
}

template <class T>
void loss(benchmark::State& state, Bench& b) {
  const Buffer<T> gradient(b.device, b.predictions.size());
  measure(state, b, gradient.size() * (sizeof(float) + sizeof(T)) + b.cell_object.size() * sizeof(std::int32_t), [&] {
    grid_loss(b.stream, b.head, {}, b.size.batch, b.protocol.max_glyphs, b.size.batch, b.predictions, b.cell_object,
              b.source.scenes().boxes, b.source.scenes().labels, gradient.span(), b.terms);
  });
}

void decoding(benchmark::State& state, Bench& b) {
  const std::size_t slots = std::size_t(b.size.batch) * b.head.slots();
  const Buffer<Box> boxes(b.device, slots);
  const Buffer<float> scores(b.device, slots);
  const Buffer<std::int32_t> classes(b.device, slots);
  measure(state, b, b.predictions.size() * sizeof(float) + slots * 24,
          [&] { decode_grid(b.stream, b.head, b.size.batch, 0.1f, b.predictions, boxes, scores, classes); });
}

void cell_classes(benchmark::State& state, Bench& b) {
  const Buffer<CellClassCounts> counts(b.device, b.size.batch);
  measure(state, b, b.cell_object.size() * sizeof(std::int32_t), [&] {
    count_cell_classes(b.stream, b.head, b.size.batch, b.protocol.max_glyphs, b.predictions, b.cell_object,
                       b.source.scenes().labels, counts);
  });
}

void decode_and_nms(benchmark::State& state, Bench& b) {
  const Detections detections(b.device, b.size.batch, 100);
  measure(state, b, b.predictions.size() * sizeof(float), [&] {
    decode_and_suppress(b.stream, b.head, b.size.batch, 0.1f, b.predictions, 0.45f, false, detections.view());
  });
}

template <class T>
void max_pool_both(benchmark::State& state, Bench& b) {
  const PoolShape shape{b.size.batch, b.protocol.height, b.protocol.width, b.size.filters};
  const std::size_t inputs = b.canvas.size() * b.size.filters, outputs = inputs / 4;
  const auto input = b.values<T>(inputs), output = b.values<T>(outputs);
  Buffer<std::uint8_t> choice(b.device, outputs);
  measure(state, b, (2 * inputs + 3 * outputs) * sizeof(T) + 2 * outputs, [&] {
    max_pool<T>(b.stream, shape, input, output, choice);
    max_pool_backward<T>(b.stream, shape, choice, output, 0, output, input);
  });
}

/// Of activations of a quarter of the canvas along each side to 7 x 7 cells; both ways.
template <class T>
void average_pool_both(benchmark::State& state, Bench& b) {
  const int height = b.protocol.height / 4, width = b.protocol.width / 4, channels = 8 * b.size.filters;
  const std::size_t inputs = std::size_t(b.size.batch) * height * width * channels,
                    outputs = std::size_t(b.size.batch) * 7 * 7 * channels;
  const auto input = b.values<T>(inputs), output = b.values<T>(outputs);
  measure(state, b, 2 * (inputs + outputs) * sizeof(T), [&] {
    adaptive_average_pool<T>(b.stream, b.size.batch, height, width, channels, 7, 7, input, output);
    adaptive_average_pool_backward<T>(b.stream, b.size.batch, height, width, channels, 7, 7, output, input);
  });
}

template <class T, bool backward>
void activation(benchmark::State& state, Bench& b) {
  const std::size_t rows = b.canvas.size();
  const auto output = b.values<T>(rows * b.size.filters), gradient = b.values<T>(rows * b.size.filters);
  const auto bias = b.floats(b.size.filters);
  Buffer<float> bias_gradient(b.device, b.size.filters), partials(b.device, activation_partials(rows, b.size.filters));
  measure(state, b, (backward ? 3 : 2) * output.size() * sizeof(T), [&] {
    if constexpr (backward)
      activation_backward<T>(b.stream, rows, b.size.filters, output, 0, gradient, bias_gradient, partials);
    else
      bias_activation<T>(b.stream, rows, b.size.filters, bias, 0, output);
  });
}

/// Forward or backward pass of the first layer, at stride 1.
template <class T, bool pools, bool backward>
void stem(benchmark::State& state, Bench& b) {
  const StemShape shape{b.size.batch, b.protocol.height, b.protocol.width, b.size.filters, 1, pools};
  const std::size_t inputs = shape.input_size(), outputs = shape.output_size(), choices = pools ? outputs : 0;
  const auto input = b.values<T>(inputs), output = b.values<T>(outputs), gradient = b.values<T>(outputs);
  const auto weights = b.values<T>(std::size_t(shape.filters) * 9);
  const auto bias = b.floats(shape.filters);
  const Buffer<float> weight_gradient(b.device, weights.size()), bias_gradient(b.device, bias.size()),
      partials(b.device, stem_partials(shape));
  const Buffer<std::uint8_t> choice(b.device, choices);
  fill_bytes(b.stream, choice.data(), 0, choices);
  measure(state, b, (inputs + (backward ? 2 : 1) * outputs) * sizeof(T) + choices, [&] {
    if constexpr (backward)
      stem_backward<T>(b.stream, shape, input, output, choice, 0, gradient, weight_gradient, bias_gradient, partials);
    else if constexpr (pools)
      stem_pool_forward<T>(b.stream, shape, input, weights, bias, 0, output, choice);
    else
      stem_forward<T>(b.stream, shape, input, weights, bias, 0, output);
  });
}

// So many parameters that no cache holds them.
void optimizer(benchmark::State& state, Bench& b) {
  constexpr std::size_t parameters = 16'000'000;
  const auto weights = b.floats(parameters), moment1 = b.floats(parameters), ema = b.floats(parameters),
             gradient = b.floats(parameters);
  const auto moment2 = upload(b.stream, std::vector<float>(parameters, 0.5f));
  const auto mask = upload(b.stream, std::vector<std::uint8_t>(parameters, 1));
  const Buffer<bfloat16> rounded(b.device, parameters);
  const Buffer<float> partials(b.device, norm_partials(parameters)), terms = b.floats(3);
  const auto counts = upload(b.stream, std::vector<std::int32_t>{0});
  const Buffer<StepMetrics> history(b.device, 1);
  const Buffer<StepFactors> factors(b.device, 2);
  const OptimizerSettings settings{.weight_decay = 1e-4f, .clip_norm = 5, .ema_decay = 0.99f};
  const StepBuffers step{.partial_norms = partials,
                         .terms = terms,
                         .collisions = counts,
                         .unplaced = counts,
                         .history = history,
                         .factors = factors,
                         .step = b.step.data()};
  const OptimizerBuffers buffers{.weights = weights,
                                 .moment1 = moment1,
                                 .moment2 = moment2,
                                 .ema = ema,
                                 .rounded = rounded,
                                 .decay_mask = mask,
                                 .gradient = gradient};
  measure(state, b, parameters * (10 * sizeof(float) + sizeof(bfloat16) + 1), [&] {
    reduce_gradients(b.stream, 1, gradient, gradient, partials);
    finish_step(b.stream, settings, step);
    optimizer_step(b.stream, settings, factors.data(), buffers);
  });
}

/// What a network puts out, forward and backward: a product of 64 features by so many outputs in each cell. Of 15 no
/// row lies as tensor cores want it, of 16 all do: whether the channels should be padded.
template <int outputs>
void output_product(benchmark::State& state, Bench& b) {
  constexpr int inputs = 64;
  const int rows = b.size.batch * b.size.cells * b.size.cells;
  const BlockOptions options{.precision = Precision::bf16, .float_output = true};
  const auto block = make_product(b.device, {rows, inputs, outputs}, Activation::none, options);
  const auto input = b.values<bfloat16>(std::size_t(rows) * inputs), weights = b.values<bfloat16>(outputs * inputs);
  const auto bias = b.floats(outputs);
  const Buffer<float> output(b.device, std::size_t(rows) * outputs), weight_gradient(b.device, weights.size()),
      bias_gradient(b.device, outputs);
  const auto output_gradient = b.values<bfloat16>(output.size()), input_gradient = b.values<bfloat16>(input.size());
  const Buffer<std::byte> workspace(b.device, block->workspace_bytes());
  const ConstTensorSpan from(input.span()), by(weights.span());
  const TensorSpan to(output.span()), gradient(output_gradient.span()), back(input_gradient.span());
  measure(state, b, input.size() * 6 + output.size() * 8, [&] {
    block->forward(b.stream, {from, by, bias, to, workspace});
    block->backward(b.stream, {from, to, by, gradient, back, weight_gradient, bias_gradient, workspace});
  });
}

/// Number `which` of element `index` in [0, 1), the same as in bench/baselines/torch_nms.py to the last bit.
float uniform(std::uint32_t index, std::uint32_t which) {
  std::uint32_t x = index * 8 + which;
  for (const std::uint32_t factor : {2654435761u, 2246822519u, 3266489917u}) x = (x ^ (x >> 15)) * factor;
  x ^= x >> 16;
  return static_cast<float>(x >> 8) * 0x1p-24f;
}

/// Suppression alone, of the candidates of many images: of each of 16 objects of a class every other one of four
/// neighbouring cells tells, on average, which makes 32 candidates an image.
void nms(benchmark::State& state, Device device) {
  constexpr int images = 1024, cells = 28, slots = cells * cells, classes = 10;
  std::vector<Box> boxes;
  std::vector<float> scores;
  std::vector<std::int32_t> labels;
  for (std::uint32_t i = 0; i < images * slots; ++i) {
    const std::uint32_t row = i % slots / cells, column = i % slots % cells;
    const std::uint32_t object = i / slots * 16 + row / 7 * 4 + column / 7;
    const bool found = row % 7 < 2 && column % 7 < 2 && uniform(i, 4) < 0.5f;
    boxes.push_back({(static_cast<float>(column) + uniform(i, 0)) / cells,
                     (static_cast<float>(row) + uniform(i, 1)) / cells, 0.1f + 0.05f * uniform(i, 2),
                     0.1f + 0.05f * uniform(i, 3)});
    scores.push_back(found ? uniform(i, 5) : 0.0f);
    labels.push_back(found ? static_cast<std::int32_t>(uniform(object, 6) * classes) : -1);
  }
  Stream stream(device);
  const auto device_boxes = upload(stream, boxes);
  const auto device_scores = upload(stream, scores);
  const auto device_labels = upload(stream, labels);
  const Detections detections(device, images, 100);
  const auto run = [&] {  // as a caller waits for it: it is compared with what others wait for
    suppress(stream, images, slots, device_boxes, device_scores, device_labels, 0.45f, false, detections.view());
    stream.synchronize();
  };
  run();
  for (auto _ : state) run();
  const auto counts = download(stream, detections.counts);
  state.counters["images"] = benchmark::Counter(double(state.iterations()) * images, benchmark::Counter::kIsRate);
  state.counters["detections"] = std::accumulate(counts.begin(), counts.end(), 0.0);
}

void add_all() {
  const std::pair<const char*, void (*)(benchmark::State&, Bench&)> kernels[]{
      {"scene", scene},
      {"canvas", canvas<float>},
      {"canvas_bfloat16", canvas<bfloat16>},
      {"gather", stored_canvas<float, false>},
      {"gather_bfloat16", stored_canvas<bfloat16, false>},
      {"augment", stored_canvas<float, true>},
      {"augment_bfloat16", stored_canvas<bfloat16, true>},
      {"letterbox", letterbox},
      {"convert", to_bfloat16},
      {"targets", targets},
      {"loss", loss<float>},
      {"loss_bfloat16", loss<bfloat16>},
      {"decode+nms", decode_and_nms},
      {"decode", decoding},
      {"cell_classes", cell_classes},
      {"max_pool", max_pool_both<float>},
      {"max_pool_bfloat16", max_pool_both<bfloat16>},
      {"average_pool", average_pool_both<float>},
      {"average_pool_bfloat16", average_pool_both<bfloat16>},
      {"bias_activation", activation<float, false>},
      {"bias_activation_bfloat16", activation<bfloat16, false>},
      {"activation_backward", activation<float, true>},
      {"activation_backward_bfloat16", activation<bfloat16, true>},
      {"stem_forward", stem<float, false, false>},
      {"stem_forward_bfloat16", stem<bfloat16, false, false>},
      {"stem_backward", stem<float, false, true>},
      {"stem_backward_bfloat16", stem<bfloat16, false, true>},
      {"stem_pool_forward", stem<float, true, false>},
      {"stem_pool_forward_bfloat16", stem<bfloat16, true, false>},
      {"stem_pool_backward", stem<float, true, true>},
      {"stem_pool_backward_bfloat16", stem<bfloat16, true, true>},
      {"output_product_15", output_product<15>},
      {"output_product_16", output_product<16>},
      {"optimizer", optimizer}};
  std::vector<Device> devices{{DeviceKind::cpu, 0}};
  if (cuda_device_count() > 0) devices.push_back({DeviceKind::cuda, 0});
  for (const Device device : devices) {
    benchmark::RegisterBenchmark(("nms/1024 images/" + to_string(device)).c_str(),
                                 [device](benchmark::State& state) { nms(state, device); })
        ->Unit(benchmark::kMicrosecond)
        ->UseRealTime();
    for (const Size& size : sizes) {
      if (device.kind == DeviceKind::cpu && size.batch > most_canvases_on_cpu) continue;
      for (const auto& [name, run] : kernels)
        benchmark::RegisterBenchmark((std::string(name) + "/" + size.name + "/" + to_string(device)).c_str(),
                                     [device, &size, run = run](benchmark::State& state) {
                                       Bench bench(device, size);
                                       run(state, bench);
                                     })
            ->Unit(benchmark::kMicrosecond)
            ->UseManualTime();
    }
  }
}

}  // namespace
}  // namespace gridspot

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  gridspot::add_all();
  benchmark::RunSpecifiedBenchmarks();
}
