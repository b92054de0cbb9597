// One step and ten losses against numbers that PyTorch computed (tests/golden/make_step_golden.py).
#include <cmath>

#include "io/atomic_file.h"
#include "io/json.h"
#include "kernels/finish_step.h"
#include "kernels/loss.h"
#include "kernels/targets.h"
#include "nn/network_executor.h"
#include "tests/support/compare.h"
#include "tests/support/device_test.h"
#include "tests/support/golden.h"

namespace gridspot {
namespace {

// The formulas of make_step_golden.py.
constexpr int batch = 4, objects = 3, steps = 10;
double wave(int index, double scale) { return scale * std::sin(0.7 * index + 0.3 * std::cos(1.3 * index)); }

std::vector<float> golden_canvases(const NetworkSpec& spec) {
  std::vector<float> canvases(batch * spec.input.size());
  for (std::size_t i = 0; i < canvases.size(); ++i) canvases[i] = static_cast<float>(std::abs(wave(int(i), 1)));
  return canvases;
}

struct Labels {
  std::vector<Box> boxes = std::vector<Box>(batch * objects);
  std::vector<std::int32_t> labels = std::vector<std::int32_t>(batch * objects, -1);
};

Labels golden_labels() {
  Labels result;
  for (int image = 0; image < batch; ++image)
    for (int k = 0; k < std::min(image, objects); ++k) {
      const int t = image * objects + k;
      result.boxes[t] = {float(0.5 + wave(t, 0.4)), float(0.5 + wave(t + 50, 0.4)), float(0.25 + wave(t + 90, 0.1)),
                         float(0.25 + wave(t + 70, 0.1))};
      result.labels[t] = t % 3;
    }
  return result;
}

std::vector<float> golden_weights(const Network& network) {
  std::vector<Parameter> sorted = network.parameters();
  std::sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  std::vector<float> flat(network.buffer_size());
  for (std::size_t p = 0; p < sorted.size(); ++p) {
    const double scale = sorted[p].name.ends_with("weight") ? 0.5 : 0.05;
    std::vector<float> values(sorted[p].size);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(wave(int(i + 1000 * p), scale));
    network.from_torch(sorted[p], values, flat);
  }
  return flat;
}

LossSettings parse_loss(const Json& json) {
  return {.objectness_weight = json["objectness_weight"],
          .no_object_weight = json["no_object_weight"],
          .box_weight = json["box_weight"],
          .class_weight = json["class_weight"],
          .box_loss = json["box_loss"] == "mse" ? BoxLoss::mse : BoxLoss::diou};
}

class GoldenStep : public test::DeviceTest {};
GRIDSPOT_ON_EVERY_DEVICE(GoldenStep);

TEST_P(GoldenStep, GradientsAndTenLossesEqualPyTorchs) {
  const Json golden = parse_json(read_file(test::golden_path("step.json"), 1 << 20), "step.json");
  for (const Json& entry : golden["cases"]) {
    SCOPED_TRACE(entry["name"].get<std::string>());
    const Network network(parse_network(entry["network"].dump(), "golden network"));
    const GridHead& head = network.spec().detector;
    const LossSettings loss = parse_loss(entry["loss"]);
    Stream stream(device());
    NetworkExecutor executor(network, device(), batch, {.precision = Precision::fp32});
    const std::size_t size = network.buffer_size();

    const auto canvases = upload(stream, golden_canvases(network.spec()));
    const Labels labels = golden_labels();
    const auto boxes = upload(stream, labels.boxes);
    const auto classes = upload(stream, labels.labels);
    Buffer<std::int32_t> cell_object(device(), batch * head.cells * head.cells), collisions(device(), batch);
    encode_targets(stream, batch, objects, boxes, classes, head.cells, cell_object, collisions);

    const auto zeros = std::vector<float>(size, 0);
    const auto weights = upload(stream, golden_weights(network));
    const auto moment1 = upload(stream, zeros), moment2 = upload(stream, zeros), gradient = upload(stream, zeros);
    std::vector<std::uint8_t> mask(size, 0);
    for (const Parameter& p : network.parameters())
      if (p.decays) std::fill_n(mask.begin() + p.offset, p.size, std::uint8_t{1});
    const auto decay_mask = upload(stream, mask);
    const auto step = upload(stream, std::vector<std::uint64_t>{0});
    const auto unplaced = upload(stream, std::vector<std::int32_t>(batch));
    Buffer<StepMetrics> history(device(), 1);
    Buffer<StepFactors> factors(device(), 2);
    Buffer<float> partial_norms(device(), norm_partials(size)), terms(device(), batch * 3),
        output_gradient(device(), batch * network.output().size());
    const OptimizerSettings optimizer{.weight_decay = 0.01f,
                                      .clip_norm = 1,
                                      .schedule = {.kind = ScheduleKind::constant, .peak = 0.01f, .steps = steps}};
    const OptimizerBuffers buffers{.weights = weights,
                                   .moment1 = moment1,
                                   .moment2 = moment2,
                                   .ema = {},
                                   .decay_mask = decay_mask,
                                   .gradient = gradient};
    const StepBuffers step_buffers{.partial_norms = partial_norms,
                                   .terms = terms,
                                   .collisions = collisions,
                                   .unplaced = unplaced,
                                   .history = history,
                                   .factors = factors,
                                   .step = step.data()};
    std::vector<float> losses;
    for (int i = 0; i < steps; ++i) {
      const auto predictions = executor.forward(stream, weights, canvases);
      grid_loss(stream, head, loss, batch, objects, batch, predictions, cell_object, boxes, classes, output_gradient,
                terms);
      executor.backward(stream, weights, output_gradient, gradient);
      const auto values = download(stream, terms);
      std::vector<float> means(3);
      for (int term = 0; term < 3; ++term)
        for (int image = 0; image < batch; ++image) means[term] += values[image * 3 + term] / batch;
      losses.push_back(means[0] + means[1] + means[2]);
      if (i == 0) {
        EXPECT_TRUE(test::matches(means, entry["terms"].get<std::vector<double>>(), test::float32_tolerance * 4));
        const auto flat = download(stream, gradient);
        for (const Parameter& p : network.parameters())
          EXPECT_TRUE(test::matches(network.to_torch(p, flat), entry["gradients"][p.name].get<std::vector<double>>(),
                                    test::float32_tolerance * 16))
              << p.name;
      }
      reduce_gradients(stream, 1, gradient, gradient, partial_norms);
      finish_step(stream, optimizer, step_buffers);
      optimizer_step(stream, optimizer, factors.data(), buffers);
    }
    EXPECT_TRUE(test::matches(losses, entry["losses"].get<std::vector<double>>(), {1e-5, 2e-4}));
  }
}

}  // namespace
}  // namespace gridspot
