// Whole networks: outputs and gradients against the double-precision reference, memory, repeatability.
#include "nn/network_executor.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <thread>

#include "gridspot/error.h"
#include "tests/reference/bfloat16_network.h"
#include "tests/support/compare.h"
#include "tests/support/device_tensor.h"
#include "tests/support/device_test.h"

namespace gridspot {
namespace {

using test::Random;

class Executor : public test::DeviceTest {
 protected:
  [[nodiscard]] bool on_cuda() const { return device().kind == DeviceKind::cuda; }
};
GRIDSPOT_ON_EVERY_DEVICE(Executor);

Activation random_activation(Random& random) { return static_cast<Activation>(random.integer(0, 2)); }

/// A stack of random layers that ends in the detector's shape.
NetworkSpec random_network(Random& random) {
  NetworkSpec spec;
  spec.name = "random";
  const int cells = random.integer(1, 3);
  spec.detector.cells = cells;
  spec.detector.predictors = random.integer(1, 2);
  spec.detector.classes = random.integer(1, 4);
  spec.input = {random.integer(6, 13), random.integer(6, 13), random.integer(1, 3)};
  int height = spec.input.height, width = spec.input.width;
  const int count = random.integer(1, 4);
  for (int i = 0; i < count; ++i) {
    if (random.integer(0, 2) == 0 && height >= 6 && width >= 6) {
      const MaxPoolLayer pool{random.integer(2, 3), random.integer(1, 2)};
      spec.backbone.emplace_back(pool);
      height = (height - pool.size) / pool.stride + 1;
      width = (width - pool.size) / pool.stride + 1;
      continue;
    }
    const int filters = random.integer(0, 1) ? 8 * random.integer(1, 3) : random.integer(1, 9);
    const int size = 2 * random.integer(0, 1) + 1, stride = height >= 6 && width >= 6 ? random.integer(1, 2) : 1;
    spec.backbone.emplace_back(ConvolutionLayer{filters, size, stride, size / 2, random_activation(random)});
    height = (height - 1) / stride + 1;
    width = (width - 1) / stride + 1;
  }
  const int outputs = cells * cells * spec.detector.channels();
  if (random.integer(0, 2) == 0) {
    if (random.integer(0, 1)) spec.head.emplace_back(FullyConnectedLayer{random.integer(3, 12), Activation::leaky});
    spec.head.emplace_back(FullyConnectedLayer{outputs, Activation::none});
  } else {
    spec.head.emplace_back(AveragePoolLayer{std::min(cells, height), std::min(cells, width)});
    if (cells > height || cells > width)
      spec.head.emplace_back(FullyConnectedLayer{outputs, Activation::none});
    else
      spec.head.emplace_back(ConvolutionLayer{spec.detector.channels(), 1, 1, 0, Activation::none});
  }
  return spec;
}

struct Problem {
  std::vector<float> weights, input, output_gradient;
};

Problem random_problem(Random& random, const Network& network, int batch) {
  Problem problem{network.initial_weights(random()), random.uniforms(batch * network.spec().input.size(), 0, 1),
                  random.uniforms(batch * network.output().size())};
  for (const auto& parameter : network.parameters())  // biases that matter
    if (parameter.shape.size() == 1)
      for (std::size_t i = 0; i < parameter.size; ++i)
        problem.weights[parameter.offset + i] = random.uniform(-0.2f, 0.2f);
  return problem;
}

/// A problem at which the network is smooth: neither rounding to float nor the step of a central difference meets a
/// kink.
Problem smooth_problem(Random& random, const Network& network, int batch) {
  while (true) {
    auto problem = random_problem(random, network, batch);
    const auto output =
        reference::network_forward(network, batch, test::to_double(problem.weights), test::to_double(problem.input));
    if (output.margin > 1e-6) return problem;
  }
}

struct Results {
  std::vector<float> output, gradient;
};

/// The precision is the executor's.
Results run_executor(Stream& stream, NetworkExecutor& executor, const Problem& problem,
                     TrainedPart part = TrainedPart::all, Precision precision = Precision::tf32) {
  const DeviceWeights weights(stream, problem.weights, precision);
  const DType dtype = activation_dtype(precision);
  const test::DeviceTensor input(stream, problem.input, dtype), output_gradient(stream, problem.output_gradient, dtype);
  const Buffer<float> gradient(stream.device(), problem.weights.size());
  fill_bytes(stream, gradient.data(), 0xff, gradient.size() * sizeof(float));  // NaN wherever nothing is written
  const auto output = download(stream, executor.forward(stream, weights, input));
  executor.backward(stream, weights, output_gradient, gradient, part);
  return {output, download(stream, gradient)};
}

/// The loss whose gradient with respect to the output is problem.output_gradient.
double loss(const Network& network, int batch, const std::vector<double>& weights, const Problem& problem) {
  const auto output = reference::network_forward(network, batch, weights, test::to_double(problem.input)).values;
  double sum = 0;
  for (std::size_t i = 0; i < output.size(); ++i) sum += output[i] * problem.output_gradient[i];
  return sum;
}

/// A central difference along `direction`.
double derivative(const Network& network, int batch, const Problem& problem, const std::vector<double>& direction) {
  constexpr double step = 1e-8;
  auto ahead = test::to_double(problem.weights), behind = ahead;
  for (std::size_t i = 0; i < direction.size(); ++i) {
    ahead[i] += step * direction[i];
    behind[i] -= step * direction[i];
  }
  return (loss(network, batch, ahead, problem) - loss(network, batch, behind, problem)) / (2 * step);
}

/// Compares along random directions over all parameters and along some single ones.
void expect_gradient(Random& random, const Network& network, int batch, const Problem& problem,
                     const std::vector<float>& gradient) {
  std::vector<std::vector<double>> directions;
  for (int i = 0; i < 3; ++i) directions.push_back(test::to_double(random.uniforms(gradient.size())));
  for (const auto& parameter : network.parameters()) {
    directions.emplace_back(gradient.size(), 0.0);
    directions.back()[parameter.offset + std::size_t(random.integer(0, int(parameter.size) - 1))] = 1;
  }
  std::vector<float> actual;
  std::vector<double> expected;
  double norm = 0;
  for (const float value : gradient) norm += double(value) * value;
  for (const auto& direction : directions) {
    double sum = 0;
    for (std::size_t i = 0; i < gradient.size(); ++i) sum += direction[i] * gradient[i];
    actual.push_back(static_cast<float>(sum));
    expected.push_back(derivative(network, batch, problem, direction));
  }
  EXPECT_TRUE(test::matches(actual, expected, {1e-5 * (1 + std::sqrt(norm)), 1e-4}));
}

// For CUDA fewer: planning a network there takes up to seconds.
constexpr int networks_on_cpu = 120, networks_on_cuda = 20;

TEST_P(Executor, MatchesTheDefinitionAndCentralDifferencesOnRandomNetworks) {
  Random random(7);
  for (int i = 0; i < (on_cuda() ? networks_on_cuda : networks_on_cpu); ++i) {
    const Network network(random_network(random));
    const int batch = random.integer(1, 3);
    SCOPED_TRACE(to_json(network.spec()) + "batch " + std::to_string(batch));
    const auto problem = smooth_problem(random, network, batch);
    Stream stream(device());
    NetworkExecutor executor(network, device(), batch, {.precision = Precision::fp32});
    const auto actual = run_executor(stream, executor, problem);
    const auto expected =
        reference::network_forward(network, batch, test::to_double(problem.weights), test::to_double(problem.input));
    ASSERT_TRUE(test::matches(actual.output, expected.values, test::float32_tolerance * 10));
    expect_gradient(random, network, batch, problem, actual.gradient);
    if (HasFailure()) return;
  }
}

// The pool takes the derivative of the product's activation along; of one pixel it is the identity.
TEST_P(Executor, MatchesCentralDifferencesWhereAProductIsPooled) {
  Random random(15);
  NetworkSpec spec;
  spec.name = "pooled product";
  spec.input = {5, 4, 1};
  spec.detector = {.cells = 1, .predictors = 1, .classes = 2};
  spec.backbone = {FullyConnectedLayer{12, Activation::leaky}, MaxPoolLayer{1, 1}};
  spec.head = {FullyConnectedLayer{7, Activation::none}};
  const Network network(spec);
  const auto problem = smooth_problem(random, network, 3);
  Stream stream(device());
  NetworkExecutor executor(network, device(), 3, {.precision = Precision::fp32});
  expect_gradient(random, network, 3, problem, run_executor(stream, executor, problem).gradient);
}

/// Networks that begin with a convolution of one channel and a pool, which CUDA makes one step of where both are in the
/// backbone or both in the head.
std::vector<NetworkSpec> pooled_stems() {
  const ConvolutionLayer stem{8, 3, 1, 1, Activation::leaky}, narrow{3, 3, 1, 1, Activation::relu};
  const ConvolutionLayer strided{16, 3, 2, 1, Activation::relu};
  const MaxPoolLayer pool{2, 2};
  const FullyConnectedLayer product{7, Activation::none};
  const std::vector<std::pair<std::vector<LayerSpec>, std::vector<LayerSpec>>> layers{
      {{stem, pool, narrow}, {product}}, {{strided, pool}, {narrow, product}}, {{stem, pool, pool}, {product}},
      {{stem}, {pool, narrow, product}}, {{}, {stem, pool, product}},          {{stem, MaxPoolLayer{3, 2}}, {product}},
  };
  std::vector<NetworkSpec> specs;
  for (const auto& [backbone, head] : layers) {
    NetworkSpec& spec = specs.emplace_back();
    spec.name = "pooled stem";
    spec.input = {11, 10, 1};
    spec.detector = {.cells = 1, .predictors = 1, .classes = 2};
    spec.backbone = backbone;
    spec.head = head;
  }
  return specs;
}

TEST_P(Executor, MatchesTheDefinitionWhereTheStemIsPooled) {
  Random random(16);
  for (const NetworkSpec& spec : pooled_stems()) {
    const Network network(spec);
    SCOPED_TRACE(to_json(spec));
    const auto problem = smooth_problem(random, network, 3);
    const auto expected =
        reference::network_forward(network, 3, test::to_double(problem.weights), test::to_double(problem.input));
    Stream stream(device());
    NetworkExecutor executor(network, device(), 3, {.precision = Precision::fp32}),
        inference(network, device(), 3, {.training = false, .precision = Precision::fp32});
    const auto actual = run_executor(stream, executor, problem);
    EXPECT_TRUE(test::matches(actual.output, expected.values, test::float32_tolerance * 10));
    expect_gradient(random, network, 3, problem, actual.gradient);
    const auto weights = upload(stream, problem.weights), input = upload(stream, problem.input);
    EXPECT_EQ(download(stream, inference.forward(stream, weights, input)), actual.output);
    NetworkExecutor rounded(network, device(), 3, {.precision = Precision::bf16});
    const auto near = run_executor(stream, rounded, problem, TrainedPart::all, Precision::bf16);
    EXPECT_TRUE(test::matches(near.output, expected.values, {0.05, 0.05}));
  }
}

/// The length of the difference as a share of the reference's.
double relative_distance(const std::vector<float>& values, const std::vector<double>& reference) {
  double difference = 0, length = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    difference += (values[i] - reference[i]) * (values[i] - reference[i]);
    length += reference[i] * reference[i];
  }
  return std::sqrt(difference / length);
}

// Where float32 and double round a sum to different neighbours, a pool may choose another maximum: single networks may
// differ by more than rounding. CUDA rounds some sums once more.
TEST_P(Executor, ComputesInBfloat16WhatTheContractSays) {
  Random random(13);
  std::vector<double> output_distances, gradient_distances;
  for (int i = 0; i < (on_cuda() ? networks_on_cuda : networks_on_cpu); ++i) {
    const Network network(random_network(random));
    const int batch = random.integer(1, 3);
    SCOPED_TRACE(to_json(network.spec()) + "batch " + std::to_string(batch));
    const auto problem = random_problem(random, network, batch);
    Stream stream(device());
    NetworkExecutor executor(network, device(), batch, {.precision = Precision::bf16});
    const auto actual = run_executor(stream, executor, problem, TrainedPart::all, Precision::bf16);
    reference::Bfloat16Network reference(network, batch, test::to_double(problem.weights));
    output_distances.push_back(relative_distance(actual.output, reference.forward(test::to_double(problem.input))));
    gradient_distances.push_back(
        relative_distance(actual.gradient, reference.backward(test::to_double(problem.output_gradient))));
    ASSERT_LT(output_distances.back(), 0.02);
    ASSERT_LT(gradient_distances.back(), 0.1);
  }
  for (auto* distances : {&output_distances, &gradient_distances}) {
    std::sort(distances->begin(), distances->end());
    EXPECT_LT(distances->at(distances->size() / 2), on_cuda() ? 1e-2 : 1e-5);
  }
}

TEST_P(Executor, InferenceGivesTheOutputOfTraining) {
  for (const char* preset : {"quick", "small"})
    for (const Precision precision : {Precision::fp32, Precision::bf16}) {
      const DType dtype = activation_dtype(precision);
      SCOPED_TRACE(std::string(preset) + " with activations of " + to_string(dtype));
      Random random(8);
      const Network network(load_network(preset));
      const auto problem = random_problem(random, network, 2);
      Stream stream(device());
      NetworkExecutor training(network, device(), 2, {.precision = precision}),
          inference(network, device(), 2, {.training = false, .precision = precision});
      const DeviceWeights weights(stream, problem.weights, precision);
      const test::DeviceTensor input(stream, problem.input, dtype);
      const auto output = download(stream, training.forward(stream, weights, input));
      EXPECT_EQ(download(stream, inference.forward(stream, weights, input)), output);
      EXPECT_EQ(download(stream, inference.forward(stream, weights, upload(stream, problem.input))), output);
    }
}

// In a batch that outweighs the weights, which inference may keep in another format too.
TEST_P(Executor, InferencePlansLessMemoryThanTraining) {
  const Network network(load_network("quick"));
  for (const Precision precision : {Precision::fp32, Precision::tf32, Precision::bf16}) {
    SCOPED_TRACE(to_string(activation_dtype(precision)));
    const NetworkExecutor training(network, device(), 32, {.precision = precision}),
        inference(network, device(), 32, {.training = false, .precision = precision});
    EXPECT_LT(inference.planned_bytes(), training.planned_bytes());
  }
}

TEST_P(Executor, InferenceInTf32IsNearTraining) {
  Random random(15);
  for (const char* preset : {"quick", "small", "seed"}) {
    const Network network(load_network(preset));
    const auto problem = random_problem(random, network, 1);
    Stream stream(device());
    NetworkExecutor training(network, device(), 1, {.precision = Precision::fp32}),
        inference(network, device(), 1, {.training = false});
    const auto weights = upload(stream, problem.weights), input = upload(stream, problem.input);
    const auto expected = test::to_double(download(stream, training.forward(stream, weights, input)));
    const double distance = relative_distance(download(stream, inference.forward(stream, weights, input)), expected);
    EXPECT_LT(distance, on_cuda() ? 1e-2 : 1e-5) << preset;
  }
}

TEST_P(Executor, InferenceFollowsTheWeightsItIsGiven) {
  Random random(16);
  const Network network(load_network("quick"));
  const auto first = random_problem(random, network, 1), second = random_problem(random, network, 1);
  Stream stream(device());
  const auto input = upload(stream, first.input);
  for (const Precision precision : {Precision::tf32, Precision::bf16}) {
    NetworkExecutor executor(network, device(), 1, {.training = false, .precision = precision});
    const auto forward = [&](const NetworkWeights& weights) {
      return download(stream, executor.forward(stream, weights, input));
    };
    const DeviceWeights one(stream, first.weights, precision), other(stream, second.weights, precision);
    const auto output = forward(one), other_output = forward(other);
    EXPECT_NE(output, other_output);
    EXPECT_EQ(forward(one), output);
    // The same memory with other values.
    const auto master = upload(stream, first.weights);
    const Buffer<bfloat16> rounded(device(), master.size());
    const auto forward_changing = [&](const std::vector<float>& values) {
      copy_to_device(stream, master.data(), values.data(), values.size() * sizeof(float));
      convert(stream, master, rounded);
      return forward({master, rounded});
    };
    EXPECT_EQ(forward_changing(first.weights), output);
    EXPECT_EQ(forward_changing(second.weights), other_output);
    EXPECT_EQ(forward(one), output);
  }
}

TEST_P(Executor, InBfloat16IsNearFloat32) {
  Random random(14);
  const Network network(load_network("quick"));
  const auto problem = random_problem(random, network, 2);
  Stream stream(device());
  const auto results = [&](Precision precision) {
    NetworkExecutor executor(network, device(), 2, {.precision = precision});
    return run_executor(stream, executor, problem, TrainedPart::all, precision);
  };
  const auto exact = results(Precision::fp32), rounded = results(Precision::bf16);
  EXPECT_LT(relative_distance(rounded.output, test::to_double(exact.output)), 0.03);
  EXPECT_LT(relative_distance(rounded.gradient, test::to_double(exact.gradient)), 0.2);
}

TEST_P(Executor, AnImageDoesNotDependOnItsBatch) {
  Random random(9);
  const Network network(load_network("quick"));
  const auto problem = random_problem(random, network, 3);
  Stream stream(device());
  const auto weights = upload(stream, problem.weights);
  NetworkExecutor three(network, device(), 3, {.precision = Precision::fp32}),
      one(network, device(), 1, {.precision = Precision::fp32});
  const auto together = download(stream, three.forward(stream, weights, upload(stream, problem.input)));
  const std::size_t pixels = network.spec().input.size(), outputs = network.output().size();
  const double engines_differ = on_cuda() ? 10 : 1;  // cuDNN may choose another one for another batch
  for (std::size_t i = 0; i < 3; ++i) {
    const auto image = upload(stream, std::span(problem.input).subspan(i * pixels, pixels));
    const auto alone = download(stream, one.forward(stream, weights, image));
    EXPECT_TRUE(test::matches(alone, test::to_double(std::span(together).subspan(i * outputs, outputs)),
                              test::float32_tolerance * engines_differ))
        << "image " << i;
  }
}

TEST_P(Executor, RepeatsItsBitsAndRunsOnTwoThreadsAtOnce) {
  Random random(10);
  const Network network(load_network("quick"));
  const auto problem = random_problem(random, network, 4);
  for (const Precision precision : {Precision::tf32, Precision::bf16}) {
    const auto work = [&](Results& result) {
      Stream stream(device());
      NetworkExecutor executor(network, device(), 4, {.precision = precision});
      for (int repetition = 0; repetition < 2; ++repetition)
        result = run_executor(stream, executor, problem, TrainedPart::all, precision);
    };
    Results alone, first, second;
    work(alone);
    { std::jthread one(work, std::ref(first)), other(work, std::ref(second)); }
    EXPECT_EQ(first.output, alone.output);
    EXPECT_EQ(second.output, alone.output);
    EXPECT_EQ(first.gradient, alone.gradient);
    EXPECT_EQ(second.gradient, alone.gradient);
  }
}

TEST_P(Executor, WritesZerosIntoTheGapsOfTheGradient) {
  Random random(11);
  const Network network(load_network("quick"));  // 15 biases at the end: a gap of one
  const auto problem = random_problem(random, network, 1);
  Stream stream(device());
  NetworkExecutor executor(network, device(), 1);
  const auto gradient = run_executor(stream, executor, problem).gradient;
  std::size_t in_parameters = 0;
  for (const auto& parameter : network.parameters()) in_parameters += parameter.size;
  ASSERT_EQ(gradient.size(), in_parameters + 1);
  EXPECT_EQ(gradient.back(), 0.0f);
  for (const float value : gradient) ASSERT_TRUE(std::isfinite(value));
}

/// The bits of part of a gradient, so that NaN compares equal.
std::vector<std::uint32_t> bits(const std::vector<float>& gradient, std::size_t begin, std::size_t end) {
  std::vector<std::uint32_t> result;
  for (std::size_t i = begin; i < end; ++i) result.push_back(std::bit_cast<std::uint32_t>(gradient[i]));
  return result;
}

TEST_P(Executor, OfTheHeadAloneLeavesTheBackbonesGradientAsItIs) {
  Random random(12);
  std::vector<NetworkSpec> specs = pooled_stems();
  specs.push_back(load_network("quick"));
  while (specs.size() < (on_cuda() ? 10u : 46u)) specs.push_back(random_network(random));
  for (const NetworkSpec& spec : specs) {
    const Network network(spec);
    const int batch = random.integer(1, 3);
    const Precision precision = random.integer(0, 1) ? Precision::bf16 : Precision::tf32;
    SCOPED_TRACE(to_json(spec) + "batch " + std::to_string(batch));
    const auto problem = random_problem(random, network, batch);
    Stream stream(device());
    NetworkExecutor executor(network, device(), batch, {.precision = precision});
    const auto gradient_of = [&](TrainedPart part) {
      return run_executor(stream, executor, problem, part, precision).gradient;
    };
    const auto whole = gradient_of(TrainedPart::all), head = gradient_of(TrainedPart::head);
    const std::size_t middle = network.head_offset(), end = network.buffer_size();
    EXPECT_EQ(bits(head, 0, middle), std::vector<std::uint32_t>(middle, 0xffffffffu));
    EXPECT_EQ(bits(head, middle, end), bits(whole, middle, end));
    // Nothing of the head alone is left over for the next step.
    const auto again = gradient_of(TrainedPart::all);
    EXPECT_EQ(bits(again, 0, end), bits(whole, 0, end));
    if (HasFailure()) return;
  }
}

TEST(ExecutorPlan, NamesEveryBuffer) {
  const Network network(load_network("quick"));
  const NetworkExecutor executor(network, {}, 2);
  std::vector<std::string> purposes;
  for (const auto& buffer : executor.plan()) purposes.push_back(buffer.purpose);
  EXPECT_THAT(purposes,
              testing::IsSupersetOf({"activations of backbone.conv1 with backbone.pool1",
                                     "choices of backbone.conv1 with backbone.pool1", "activations of head.conv1",
                                     "gradients, buffer 1", "gradients, buffer 2", "workspace"}));
  EXPECT_EQ(executor.plan()[0].bytes, 2u * 32 * 32 * network.layers()[0].output.channels * sizeof(float));
}

TEST(ExecutorPlan, HalvesActivationsInBfloat16) {
  const Network network(load_network("small"));
  const NetworkExecutor executor(network, {}, 2), half(network, {}, 2, {.precision = Precision::bf16});
  ASSERT_EQ(half.plan().size(), executor.plan().size());
  for (std::size_t i = 0; i + 1 < half.plan().size(); ++i) {
    const bool is_output = half.plan()[i].purpose == "activations of " + network.layers().back().name;
    EXPECT_EQ(half.plan()[i].bytes * (is_output ? 1 : 2), executor.plan()[i].bytes) << half.plan()[i].purpose;
  }
}

TEST(ExecutorArguments, ThatDoNotFitAreRefused) {
  const Network network(load_network("quick"));
  Stream stream(Device{});
  const Buffer<float> weights(stream.device(), network.buffer_size()), gradient(stream.device(), network.buffer_size()),
      input(stream.device(), network.spec().input.size()), output_gradient(stream.device(), network.output().size());
  fill_bytes(stream, weights.data(), 0, weights.size() * sizeof(float));
  fill_bytes(stream, input.data(), 0, input.size() * sizeof(float));
  NetworkExecutor executor(network, {}, 1), inference(network, {}, 1, {.training = false});
  EXPECT_THROW(NetworkExecutor(network, {}, 0), InvalidInput);
  EXPECT_THROW(executor.backward(stream, weights, output_gradient, gradient), InvalidInput);  // no forward yet
  EXPECT_THROW(executor.forward(stream, weights.span().subspan(0, 5), input), InvalidInput);
  EXPECT_THROW(executor.forward(stream, weights, input.span().subspan(0, 5)), InvalidInput);
  executor.forward(stream, weights, input);
  inference.forward(stream, weights, input);
  EXPECT_THROW(executor.backward(stream, weights, output_gradient.span().subspan(0, 5), gradient), InvalidInput);
  EXPECT_THROW(executor.backward(stream, weights, output_gradient, gradient.span().subspan(0, 5)), InvalidInput);
  EXPECT_THROW(inference.backward(stream, weights, output_gradient, gradient), InvalidInput);
}

TEST(ExecutorArguments, OfAnotherDtypeAreRefused) {
  const Network network(load_network("quick"));
  Stream stream(Device{});
  const std::vector<float> zeros(network.buffer_size());
  const DeviceWeights master(stream, zeros, Precision::fp32), both(stream, zeros, Precision::bf16);
  const auto tensor = [&](std::size_t count, DType dtype) {
    return test::DeviceTensor(stream, std::vector<float>(count), dtype);
  };
  const auto floats = tensor(network.spec().input.size(), DType::float32),
             halves = tensor(network.spec().input.size(), DType::bfloat16),
             float_gradient = tensor(network.output().size(), DType::float32),
             half_gradient = tensor(network.output().size(), DType::bfloat16);
  const Buffer<float> gradient(stream.device(), network.buffer_size());
  const auto message = [](const auto& call) { return testing::ThrowsMessage<InvalidInput>(testing::HasSubstr(call)); };
  NetworkExecutor full(network, {}, 1, {.precision = Precision::fp32}),
      half(network, {}, 1, {.precision = Precision::bf16});
  EXPECT_THAT([&] { full.forward(stream, both, halves); }, message("input is bfloat16, expected float32"));
  EXPECT_THAT([&] { half.forward(stream, both, floats); }, message("input is float32, expected bfloat16"));
  EXPECT_THAT([&] { half.forward(stream, master, halves); }, message("bf16 needs the weights rounded"));
  full.forward(stream, both, floats);
  half.forward(stream, both, halves);
  EXPECT_THAT([&] { full.backward(stream, both, half_gradient, gradient); }, message("is bfloat16, expected float32"));
  EXPECT_THAT([&] { half.backward(stream, both, float_gradient, gradient); }, message("is float32, expected bfloat16"));
  EXPECT_THAT([&] { half.backward(stream, master, half_gradient, gradient); },
              message("bf16 needs the weights rounded"));
}

TEST(ExecutorOnTheCpu, TheNumberOfThreadsOfAForwardPassDoesNotChangeItsBits) {
  Random random(67);
  Stream stream{Device{}};
  for (const char* preset : {"quick", "small", "medium", "seed-fc"})
    for (const int batch : {1, 3}) {
      const Network network(load_network(preset));
      const auto weights = upload(stream, network.initial_weights(1));
      const auto input = upload(stream, random.uniforms(network.spec().input.size() * batch));
      std::vector<float> alone;
      for (const int threads : {1, 2, 3, 8}) {
        NetworkExecutor executor(network, Device{}, batch, {.training = false, .threads = threads});
        const auto output = download(stream, executor.forward(stream, weights, input));
        if (alone.empty()) alone = output;
        EXPECT_TRUE(output == alone) << preset << ", batch " << batch << ", " << threads << " threads";
      }
    }
}

TEST(ExecutorOnTheCpu, ThreadsShareAForwardPassThatIsWorthIt) {
  EXPECT_EQ(sharing_threads(0, 8), 1);
  EXPECT_EQ(sharing_threads(63e6, 8), 1);
  EXPECT_EQ(sharing_threads(64e6, 8), 2);
  EXPECT_EQ(sharing_threads(1e12, 8), 8);
  const auto threads_of = [](const char* preset, int batch) {
    return NetworkExecutor(Network(load_network(preset)), Device{}, batch, {.training = false, .threads = 2}).threads();
  };
  EXPECT_EQ(threads_of("quick", 1), 1);
  EXPECT_EQ(threads_of("quick", 3), 2);
  EXPECT_EQ(threads_of("small", 1), 2);
}

TEST(ExecutorOnTheCpu, TrainsWithOneThread) {
  const Network network(load_network("quick"));
  for (const ExecutorOptions& options : {ExecutorOptions{.threads = 2}, {.training = false, .threads = 0}})
    EXPECT_THROW(NetworkExecutor(network, Device{}, 1, options), InvalidInput);
}

}  // namespace
}  // namespace gridspot
