// Every kernel on fifty random shapes: what a GPU computes is what the host computes, within the tolerance. On the CPU
// the two sides are the host's thread orders.
#include <gtest/gtest.h>

#include "kernels/activation.h"
#include "kernels/augment.h"
#include "kernels/average_pool.h"
#include "kernels/canvas.h"
#include "kernels/cell_classes.h"
#include "kernels/chunk_sums.h"
#include "kernels/convert.h"
#include "kernels/decode.h"
#include "kernels/gather.h"
#include "kernels/letterbox.h"
#include "kernels/max_pool.h"
#include "kernels/nms.h"
#include "kernels/stem.h"
#include "kernels/targets.h"
#include "tests/kernels/gather_fixture.h"
#include "tests/kernels/loss_fixture.h"
#include "tests/kernels/optimizer_state.h"
#include "tests/kernels/scene_fixture.h"
#include "tests/support/compare.h"
#include "tests/support/device_tensor.h"
#include "tests/support/device_test.h"
#include "tests/support/dtype.h"
#include "tests/support/glyphs.h"

namespace gridspot {
namespace {

using test::Random;
using test::Tolerance;

constexpr int shape_count = 50;
constexpr Tolerance exact{};
/// Positions are float32 of up to a hundred pixels, and interpolation's slope is up to 2 a pixel of the source.
constexpr Tolerance pixel_tolerance{2e-4, 1e-5};

/// What a call has left in device memory, as numbers.
class Outputs {
 public:
  explicit Outputs(Stream& stream) : stream_(stream) {}

  template <class T>
  Outputs& add(const Buffer<T>& buffer) {
    for (const T& value : download(stream_, buffer)) append(value);
    return *this;
  }
  Outputs& add(const test::DeviceTensor& tensor) {
    for (const float value : tensor.values(stream_)) append(value);
    return *this;
  }
  std::vector<float> values;

 private:
  void append(const Box& box) { values.insert(values.end(), {box.cx, box.cy, box.w, box.h}); }
  void append(const CellClassCounts& counts) {
    append(counts.cells);
    append(counts.right);
  }
  void append(bfloat16 value) { values.push_back(to_float(value)); }
  template <class T>
  requires std::is_arithmetic_v<T>
  void append(T value) { values.push_back(static_cast<float>(value)); }

  Stream& stream_;
};

class HostAgreement : public test::DeviceTest {
 protected:
  /// `body(stream)` returns what it computes there.
  template <class Body>
  void expect_agreement(const Body& body, Tolerance tolerance, int shape) {
    Stream host(Device{});
    const auto here = body(host), there = run(body);
    EXPECT_TRUE(test::matches(there, test::to_double(here), tolerance)) << "shape " << shape;
  }

  /// In float32 and in bfloat16.
  template <class Body>
  void expect_agreement_in_both(const Body& body, Tolerance tolerance, int shape) {
    expect_agreement([&](Stream& stream) { return body(stream, std::type_identity<float>{}); }, tolerance, shape);
    expect_agreement([&](Stream& stream) { return body(stream, std::type_identity<bfloat16>{}); },
                     test::bfloat16_tolerance, shape);
  }
};
GRIDSPOT_ON_EVERY_DEVICE(HostAgreement);

Protocol random_protocol(Random& random) {
  Protocol protocol = find_protocol("quick-64");
  protocol.height = random.integer(30, 100);
  protocol.width = random.integer(30, 100);
  protocol.min_size = 9;
  protocol.max_size = random.uniform(12, 25);
  protocol.max_glyphs = random.integer(1, 8);
  protocol.max_rotation = random.uniform(0, 0.5f);
  protocol.max_clutter = random.integer(0, 3);
  protocol.noise = random.integer(0, 1) == 0 ? 0 : 0.1f;
  return protocol;
}

TEST_P(HostAgreement, ScenesAndCanvases) {
  Random random(101);
  for (int shape = 0; shape < shape_count; ++shape) {
    const Protocol protocol = random_protocol(random);
    const auto glyphs = test::random_glyphs(random, 5, random.integer(8, 30), random.integer(8, 30));
    const int n = random.integer(1, 3);
    const auto compose = [&]<class T>(Stream& stream, std::type_identity<T>) {
      const test::DeviceGlyphs bank(stream, glyphs);
      const auto step = upload(stream, std::vector<std::uint64_t>{std::uint64_t(shape)});
      const Scenes scenes(stream.device(), n, protocol.max_glyphs);
      const Buffer<T> canvases(stream.device(), std::size_t(n) * protocol.height * protocol.width);
      sample_scenes(stream, protocol, bank.view(), 9, {step.data(), 0}, scenes.view());
      if constexpr (std::is_same_v<T, std::uint8_t>)
        compose_canvases(stream, protocol, bank.view(), 9, {step.data(), 0}, scenes.view(), canvases.span());
      else
        compose_canvases(stream, protocol, bank.view(), 9, {step.data(), 0}, scenes.view(), {0.1f, 0.3f},
                         canvases.span());
      Outputs outputs(stream);
      const test::HostScenes found = test::fetch(stream, scenes);
      for (const Box& box : found.boxes) outputs.values.insert(outputs.values.end(), {box.cx, box.cy, box.w, box.h});
      for (const auto* counts : {&found.labels, &found.counts, &found.unplaced})
        outputs.values.insert(outputs.values.end(), counts->begin(), counts->end());
      return outputs.add(canvases).values;
    };
    expect_agreement_in_both(compose, pixel_tolerance * 4, shape);
    expect_agreement([&](Stream& stream) { return compose(stream, std::type_identity<std::uint8_t>{}); },
                     {1, 0} /* a value between two integers may go to either */, shape);
  }
}

TEST_P(HostAgreement, Letterbox) {
  Random random(102);
  for (int shape = 0; shape < shape_count; ++shape) {
    const int height = random.integer(1, 90), width = random.integer(1, 90), channels = random.integer(0, 1) * 2 + 1;
    const int to_height = random.integer(1, 60), to_width = random.integer(1, 60);
    std::vector<std::uint8_t> image(std::size_t(height) * width * channels);
    for (auto& value : image) value = static_cast<std::uint8_t>(random.integer(0, 255));
    expect_agreement(
        [&](Stream& stream) {
          const auto from = upload(stream, image);
          const Buffer<float> to(stream.device(), std::size_t(to_height) * to_width);
          letterbox_image(stream, from, height, width, channels, to_height, to_width, {0.2f, 0.4f}, to);
          return Outputs(stream).add(to).values;
        },
        pixel_tolerance * 4, shape);
  }
}

/// Detection heads of every kind.
GridHead random_head(Random& random) {
  return {.cells = random.integer(1, 12),
          .predictors = random.integer(1, 3),
          .classes = random.integer(1, 12),
          .size_coding = random.integer(0, 1) == 0 ? SizeCoding::linear : SizeCoding::exponential,
          .class_loss = static_cast<ClassLoss>(random.integer(0, 3))};
}

TEST_P(HostAgreement, TargetsAndClassCounts) {
  Random random(103);
  for (int shape = 0; shape < shape_count; ++shape) {
    const int n = random.integer(1, 9), capacity = random.integer(1, 20);
    const auto in = test::crowded_input(random, random_head(random), {}, n, capacity);
    expect_agreement(
        [&](Stream& stream) {
          const auto boxes = upload(stream, in.boxes);
          const auto labels = upload(stream, in.labels);
          const auto predictions = upload(stream, in.predictions);
          const Buffer<std::int32_t> cell_object(stream.device(), in.cell_object.size()),
              collisions(stream.device(), n);
          const Buffer<CellClassCounts> counts(stream.device(), n);
          encode_targets(stream, n, capacity, boxes, labels, in.head.cells, cell_object, collisions);
          count_cell_classes(stream, in.head, n, capacity, predictions, cell_object, labels, counts);
          return Outputs(stream).add(cell_object).add(collisions).add(counts).values;
        },
        exact, shape);
  }
}

TEST_P(HostAgreement, Loss) {
  Random random(104);
  for (int shape = 0; shape < shape_count; ++shape) {
    const LossSettings settings{.box_loss = static_cast<BoxLoss>(random.integer(0, 1))};
    const auto in =
        test::random_input(random, random_head(random), settings, random.integer(1, 9), random.integer(1, 8));
    const auto body = [&]<class T>(Stream& stream, std::type_identity<T>) {
      const auto predictions = upload(stream, in.predictions);
      const auto cell_object = upload(stream, in.cell_object);
      const auto boxes = upload(stream, in.boxes);
      const auto labels = upload(stream, in.labels);
      const Buffer<T> gradient(stream.device(), in.predictions.size());
      const Buffer<float> terms(stream.device(), std::size_t(in.n) * 3);
      grid_loss(stream, in.head, in.settings, in.n, in.capacity, in.batch, predictions, cell_object, boxes, labels,
                gradient.span(), terms);
      return Outputs(stream).add(gradient).add(terms).values;
    };
    expect_agreement_in_both(body, test::float32_tolerance * 8, shape);
  }
}

TEST_P(HostAgreement, Decoding) {
  Random random(105);
  for (int shape = 0; shape < shape_count; ++shape) {
    const GridHead head = random_head(random);
    const int n = random.integer(1, 9);
    const auto predicted = random.uniforms(std::size_t(n) * head.cells * head.cells * head.channels(), -4, 4);
    expect_agreement(
        [&](Stream& stream) {
          const auto predictions = upload(stream, predicted);
          const std::size_t slots = std::size_t(n) * head.slots();
          const Buffer<Box> boxes(stream.device(), slots);
          const Buffer<float> scores(stream.device(), slots);
          const Buffer<std::int32_t> classes(stream.device(), slots);
          decode_grid(stream, head, n, 0, predictions, boxes, scores, classes);
          return Outputs(stream).add(boxes).add(scores).add(classes).values;
        },
        test::float32_tolerance * 4, shape);
  }
}

// Of boxes whose corners are multiples of 1/64, so that no IoU is rounded across the threshold.
TEST_P(HostAgreement, Suppression) {
  Random random(106);
  for (int shape = 0; shape < shape_count; ++shape) {
    const int n = random.integer(1, 5), slots = random.integer(1, 400), capacity = random.integer(1, 100);
    std::vector<Box> candidates;
    std::vector<float> confidences;
    std::vector<std::int32_t> labels;
    for (int i = 0; i < n * slots; ++i) {
      const auto part = [&](int most) { return static_cast<float>(2 * random.integer(1, most)) / 64; };
      candidates.push_back({part(30), part(30), part(8), part(8)});
      confidences.push_back(static_cast<float>(random.integer(-10, 100)) / 128);
      labels.push_back(random.integer(0, 3));
    }
    expect_agreement(
        [&](Stream& stream) {
          const auto boxes = upload(stream, candidates);
          const auto scores = upload(stream, confidences);
          const auto classes = upload(stream, labels);
          const Detections found(stream.device(), n, capacity);
          suppress(stream, n, slots, boxes, scores, classes, 0.4501f, shape % 2 == 0, found.view());
          Outputs outputs(stream);
          outputs.add(found.boxes).add(found.scores).add(found.classes);
          return outputs.add(found.counts).add(found.truncated).values;
        },
        exact, shape);
  }
}

TEST_P(HostAgreement, Optimizer) {
  Random random(107);
  for (int shape = 0; shape < shape_count; ++shape) {
    const std::size_t count = random.integer(1, 20000);
    const int shards = random.integer(1, 3);
    const auto initial = random.uniforms(count), gradients = random.uniforms(count * shards);
    const OptimizerSettings settings{.kind = static_cast<OptimizerKind>(shape % 3),
                                     .weight_decay = 0.05f,
                                     .clip_norm = random.uniform(0.1f, 3),
                                     .ema_decay = 0.5f,
                                     .schedule = {.peak = 0.01f, .steps = 10}};
    expect_agreement(
        [&](Stream& stream) {
          test::OptimizerState state(stream, initial, std::vector<std::uint8_t>(count, 1), shards);
          for (int step = 0; step < 3; ++step) state.update(settings, gradients);
          return state.everything();
        },
        test::float32_tolerance, shape);
  }
}

TEST_P(HostAgreement, ActivationsAndTheirGradients) {
  Random random(108);
  for (int shape = 0; shape < shape_count; ++shape) {
    const std::size_t rows = random.integer(1, 2000);
    const int channels = random.integer(1, 70);
    const float slope = shape % 3 == 0 ? 0 : random.uniform();
    const auto values = random.uniforms(rows * channels), gradients = random.uniforms(rows * channels),
               biases = random.uniforms(channels);
    const auto body = [&]<class T>(Stream& stream, std::type_identity<T>) {
      const auto output = upload(stream, test::to_dtype<T>(values)),
                 gradient = upload(stream, test::to_dtype<T>(gradients));
      const auto bias = upload(stream, biases);
      const Buffer<float> bias_gradient(stream.device(), channels),
          partials(stream.device(), activation_partials(rows, channels));
      activation_backward<T>(stream, rows, channels, output, slope, gradient, bias_gradient, partials);
      bias_activation<T>(stream, rows, channels, bias, slope, output);
      return Outputs(stream).add(output).add(gradient).add(bias_gradient).values;
    };
    expect_agreement_in_both(body, test::float32_tolerance * 8, shape);
  }
}

TEST_P(HostAgreement, SumsOfChunks) {
  Random random(109);
  for (int shape = 0; shape < shape_count; ++shape) {
    const int chunks = random.integer(0, 300), columns = random.integer(1, 300), more = random.integer(0, 40);
    const auto values = random.uniforms(std::size_t(chunks) * (columns + more));
    expect_agreement(
        [&](Stream& stream) {
          const auto partials = upload(stream, values);
          const Buffer<float> sums(stream.device(), columns), others(stream.device(), more);
          sum_chunks(stream, chunks, partials, sums, others);
          return Outputs(stream).add(sums).add(others).values;
        },
        test::float32_tolerance * 4, shape);
  }
}

TEST_P(HostAgreement, MaxPool) {
  Random random(110);
  for (int shape = 0; shape < shape_count; ++shape) {
    const PoolShape pool{random.integer(1, 3),  random.integer(4, 24), random.integer(4, 24),
                         random.integer(1, 40), random.integer(1, 4),  random.integer(1, 3)};
    const std::size_t inputs = std::size_t(pool.n) * pool.height * pool.width * pool.channels;
    const std::size_t outputs = std::size_t(pool.n) * pool.output_height() * pool.output_width() * pool.channels;
    const auto values = random.uniforms(inputs), gradients = random.uniforms(outputs);
    const auto body = [&]<class T>(Stream& stream, std::type_identity<T>) {
      const auto input = upload(stream, test::to_dtype<T>(values)),
                 gradient = upload(stream, test::to_dtype<T>(gradients));
      const Buffer<T> output(stream.device(), outputs), input_gradient(stream.device(), inputs);
      const Buffer<std::uint8_t> choice(stream.device(), outputs);
      max_pool<T>(stream, pool, input, output, choice);
      max_pool_backward<T>(stream, pool, choice, output, 0.1f, gradient, input_gradient);
      return Outputs(stream).add(output).add(choice).add(input_gradient).values;
    };
    expect_agreement_in_both(body, test::float32_tolerance, shape);
  }
}

TEST_P(HostAgreement, AveragePool) {
  Random random(111);
  for (int shape = 0; shape < shape_count; ++shape) {
    const int n = random.integer(1, 3), height = random.integer(1, 20), width = random.integer(1, 20),
              channels = random.integer(1, 40), to_height = random.integer(1, 8), to_width = random.integer(1, 8);
    const std::size_t inputs = std::size_t(n) * height * width * channels,
                      outputs = std::size_t(n) * to_height * to_width * channels;
    const auto values = random.uniforms(inputs), gradients = random.uniforms(outputs);
    const auto body = [&]<class T>(Stream& stream, std::type_identity<T>) {
      const auto input = upload(stream, test::to_dtype<T>(values)),
                 gradient = upload(stream, test::to_dtype<T>(gradients));
      const Buffer<T> output(stream.device(), outputs), input_gradient(stream.device(), inputs);
      adaptive_average_pool<T>(stream, n, height, width, channels, to_height, to_width, input, output);
      adaptive_average_pool_backward<T>(stream, n, height, width, channels, to_height, to_width, gradient,
                                        input_gradient);
      return Outputs(stream).add(output).add(input_gradient).values;
    };
    expect_agreement_in_both(body, test::float32_tolerance * 2, shape);
  }
}

TEST_P(HostAgreement, Stem) {
  Random random(112);
  for (int shape = 0; shape < shape_count; ++shape) {
    const StemShape stem{random.integer(1, 3),     random.integer(4, 40), random.integer(4, 40),
                         8 * random.integer(1, 8), random.integer(1, 2),  random.integer(0, 1) == 1};
    const auto images = random.uniforms(stem.input_size()), filters = random.uniforms(std::size_t(stem.filters) * 9),
               biases = random.uniforms(stem.filters), gradients = random.uniforms(stem.output_size());
    // The gradients are those of the host's output: where two values of a window are near, devices choose differently.
    std::vector<float> outputs;
    std::vector<std::uint8_t> choices;
    const auto forward = [&]<class T>(Stream& stream, std::type_identity<T>) {
      const auto input = upload(stream, test::to_dtype<T>(images)),
                 weights = upload(stream, test::to_dtype<T>(filters));
      const auto bias = upload(stream, biases);
      const Buffer<T> output(stream.device(), stem.output_size());
      const Buffer<std::uint8_t> choice(stream.device(), stem.pools ? output.size() : 0);
      if (stem.pools)
        stem_pool_forward<T>(stream, stem, input, weights, bias, 0.1f, output, choice);
      else
        stem_forward<T>(stream, stem, input, weights, bias, 0.1f, output);
      if (stream.device().kind == DeviceKind::cpu) choices = download(stream, choice);
      return Outputs(stream).add(output).values;
    };
    const auto backward = [&]<class T>(Stream& stream, std::type_identity<T>) {
      const auto input = upload(stream, test::to_dtype<T>(images)), output = upload(stream, test::to_dtype<T>(outputs)),
                 gradient = upload(stream, test::to_dtype<T>(gradients));
      const auto choice = upload(stream, choices);
      const Buffer<float> weight_gradient(stream.device(), filters.size()),
          bias_gradient(stream.device(), stem.filters), partials(stream.device(), stem_partials(stem));
      stem_backward<T>(stream, stem, input, output, choice, 0.1f, gradient, weight_gradient, bias_gradient, partials);
      return Outputs(stream).add(weight_gradient).add(bias_gradient).values;
    };
    expect_agreement_in_both(forward, test::float32_tolerance * 4, shape);
    Stream host(Device{});
    outputs = forward(host, std::type_identity<float>{});
    expect_agreement_in_both(backward, test::float32_tolerance * 30, shape);
  }
}

TEST_P(HostAgreement, StoredCanvases) {
  Random random(113);
  for (int shape = 0; shape < shape_count; ++shape) {
    const test::Store store = test::random_store(random, random.integer(1, 20), random.integer(1, 50),
                                                 random.integer(1, 50), random.integer(1, 6));
    const int n = random.integer(1, 8), capacity = 2 * store.capacity;
    const GatherOrder order{.key = 3, .shuffle = shape % 2 == 0, .batch = n};
    const Augmentation augmentation{.scale = 0.2f, .shift = 4, .overlay = 0.5f};
    for (const bool augmented : {false, true})
      for (const DType dtype : {DType::float32, DType::bfloat16})
        expect_agreement(
            [&](Stream& stream) {
              const test::DeviceStore stored(stream, store);
              const auto step = upload(stream, std::vector<std::uint64_t>{std::uint64_t(shape)});
              const test::DeviceTensor canvas(stream.device(), std::size_t(n) * store.height * store.width, dtype);
              const Buffer<Box> boxes(stream.device(), std::size_t(n) * capacity);
              const Buffer<std::int32_t> labels(stream.device(), boxes.size()), counts(stream.device(), n);
              if (augmented)
                augment_canvases(stream, stored.view(), order, augmentation, {step.data(), 0}, n, {0.1f, 0.3f}, canvas,
                                 boxes, labels, counts, capacity);
              else
                gather_canvases(stream, stored.view(), order, {step.data(), 0}, n, {0.1f, 0.3f}, canvas, boxes, labels,
                                counts, capacity);
              return Outputs(stream).add(canvas).add(boxes).add(labels).add(counts).values;
            },
            dtype == DType::float32 ? pixel_tolerance * 8 : test::bfloat16_tolerance, shape);
  }
}

TEST_P(HostAgreement, Conversions) {
  Random random(114);
  for (int shape = 0; shape < shape_count; ++shape) {
    const int n = random.integer(1, 3), channels = random.integer(1, 40), pixels = random.integer(1, 300);
    const auto values = random.uniforms(std::size_t(n) * channels * pixels);
    expect_agreement(
        [&](Stream& stream) {
          const auto input = upload(stream, values);
          const Buffer<bfloat16> rounded(stream.device(), values.size());
          const Buffer<float> widened(stream.device(), values.size()), transposed(stream.device(), values.size());
          convert(stream, input, rounded);
          convert(stream, rounded, widened);
          transpose_channels(stream, input, transposed, n, channels, pixels);
          return Outputs(stream).add(rounded).add(widened).add(transposed).values;
        },
        exact, shape);
  }
}

}  // namespace
}  // namespace gridspot
