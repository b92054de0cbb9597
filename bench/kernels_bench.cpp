// Each kernel alone, at the sizes of quick (64x64, batch 64) and small (224x224, batch 32), on every device that is
// here, and on a GPU at those of 1,024 canvases, which its caches do not hold. "floor" is the kernel's least traffic in
// bytes per second: on a GPU, its share of the copy bandwidth is how good the kernel is. There a launch is one of many
// of a graph, and the device tells its time.
#include <benchmark/benchmark.h>

#include <numeric>

#include "data/canvas_source.h"
#include "device/graph.h"
#include "device/stage_clock.h"
#include "gridspot/error.h"
#include "kernels/activation.h"
#include "kernels/canvas.h"
#include "kernels/finish_step.h"
#include "kernels/loss.h"
#include "kernels/max_pool.h"
#include "kernels/nms.h"
#include "kernels/stem.h"
#include "kernels/targets.h"

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
        glyphs(stream, load_glyphs("builtin", Split::train)),
        source(where, protocol, glyphs, Split::train, 1, what.batch),
        canvas(where, std::size_t(what.batch) * protocol.height * protocol.width),
        step(upload(stream, std::vector<std::uint64_t>{0})),
        cell_object(where, std::size_t(what.batch) * what.cells * what.cells),
        collisions(where, what.batch) {
    head.cells = what.cells;
    head.classes = 10;
    source.compose(stream, 0, {});
    predictions = floats(std::size_t(what.batch) * what.cells * what.cells * head.channels());
    gradient = floats(predictions.size());
    terms = floats(std::size_t(what.batch) * 3);
    encode();
  }

  template <class T>
  Buffer<T> values(std::size_t count) {
    std::vector<T> values(count);
    for (std::size_t i = 0; i < count; ++i)
      values[i] = from_float<T>(static_cast<float>((i * 7919) % 1000) / 500.0f - 1.0f);
    return upload(stream, values);
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
  GlyphBank glyphs;
  CanvasSource source;
  Buffer<float> canvas, predictions, gradient, terms;
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

void canvas(benchmark::State& state, Bench& b) {
  measure(state, b, b.canvas.size() * sizeof(float), [&] {
    compose_canvases(b.stream, b.protocol, b.glyphs.view(), 1, {b.step.data(), 0}, b.source.scenes().view(),
                     Normalization{}, b.canvas.span());
  });
}

void targets(benchmark::State& state, Bench& b) {
  measure(state, b, b.cell_object.size() * sizeof(std::int32_t), [&] { b.encode(); });
}

void loss(benchmark::State& state, Bench& b) {
  measure(state, b, 2 * b.predictions.size() * sizeof(float), [&] {
    grid_loss(b.stream, b.head, {}, b.size.batch, b.protocol.max_glyphs, b.size.batch, b.predictions, b.cell_object,
              b.source.scenes().boxes, b.source.scenes().labels, b.gradient, b.terms);
  });
}

void decode_and_nms(benchmark::State& state, Bench& b) {
  const Detections detections(b.device, b.size.batch, 100);
  measure(state, b, b.predictions.size() * sizeof(float), [&] {
    decode_and_suppress(b.stream, b.head, b.size.batch, 0.1f, b.predictions, 0.45f, false, detections.view());
  });
}

void max_pool_both(benchmark::State& state, Bench& b) {
  const PoolShape shape{b.size.batch, b.protocol.height, b.protocol.width, b.size.filters};
  const std::size_t inputs = b.canvas.size() * b.size.filters, outputs = inputs / 4;
  const auto input = b.floats(inputs), output = b.floats(outputs);
  Buffer<std::uint8_t> choice(b.device, outputs);
  measure(state, b, (2 * inputs + 3 * outputs) * sizeof(float) + 2 * outputs, [&] {
    max_pool<float>(b.stream, shape, input, output, choice);
    max_pool_backward<float>(b.stream, shape, choice, output, 0, output, input);
  });
}

void activation(benchmark::State& state, Bench& b) {
  const std::size_t rows = b.canvas.size();
  const auto output = b.floats(rows * b.size.filters), gradient = b.floats(rows * b.size.filters);
  Buffer<float> bias_gradient(b.device, b.size.filters), partials(b.device, activation_partials(rows, b.size.filters));
  measure(state, b, 3 * output.size() * sizeof(float), [&] {
    activation_backward<float>(b.stream, rows, b.size.filters, output, 0, gradient, bias_gradient, partials);
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
      {"canvas", canvas},
      {"targets", targets},
      {"loss", loss},
      {"decode+nms", decode_and_nms},
      {"max_pool", max_pool_both},
      {"activation", activation},
      {"stem_forward", stem<float, false, false>},
      {"stem_forward_bfloat16", stem<bfloat16, false, false>},
      {"stem_backward", stem<float, false, true>},
      {"stem_backward_bfloat16", stem<bfloat16, false, true>},
      {"stem_pool_forward", stem<float, true, false>},
      {"stem_pool_forward_bfloat16", stem<bfloat16, true, false>},
      {"stem_pool_backward", stem<float, true, true>},
      {"stem_pool_backward_bfloat16", stem<bfloat16, true, true>},
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
