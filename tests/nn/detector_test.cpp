// The detector's stages together, on network outputs that the tests choose.
#include "nn/detector.h"

#include <gmock/gmock.h>

#include "gridspot/error.h"
#include "tests/reference/decode.h"
#include "tests/reference/nms.h"
#include "tests/support/compare.h"
#include "tests/support/device_test.h"

namespace gridspot {
namespace {

using test::Random;

constexpr int batch = 3;

/// A network whose output is its input: one 1x1 convolution with the identity as its weights.
Network identity_network(const GridHead& head) {
  NetworkSpec spec;
  spec.name = "identity";
  spec.input = {head.cells, head.cells, head.channels()};
  spec.head = {ConvolutionLayer{head.channels(), 1, 1, 0, Activation::none}};
  spec.detector = head;
  return Network(spec);
}

std::vector<float> identity_weights(const Network& network) {
  std::vector<float> weights(network.buffer_size());
  const int channels = network.spec().detector.channels();
  for (int i = 0; i < channels; ++i) weights[network.parameters()[0].offset + std::size_t(i) * channels + i] = 1;
  return weights;
}

/// Multiples of 1/32 up to 4, so that rounding to TF32 or bfloat16 leaves them as they are.
std::vector<float> random_output(Random& random, const GridHead& head) {
  std::vector<float> values(std::size_t(batch) * head.cells * head.cells * head.channels());
  for (float& value : values) value = static_cast<float>(random.integer(-128, 128)) / 32;
  return values;
}

/// Detections as numbers: the counts of each image, then box, score and class of each entry.
struct Numbers {
  std::vector<std::int32_t> counts, truncated;
  std::vector<float> entries;
};

Numbers download_numbers(Stream& stream, const DetectionsView& view) {
  const std::size_t n = std::size_t(view.n), entries = n * view.capacity;
  Numbers numbers{download(stream, DeviceSpan<const std::int32_t>(view.counts, n)),
                  download(stream, DeviceSpan<const std::int32_t>(view.truncated, n)),
                  {}};
  const auto boxes = download(stream, DeviceSpan<const Box>(view.boxes, entries));
  const auto scores = download(stream, DeviceSpan<const float>(view.scores, entries));
  const auto classes = download(stream, DeviceSpan<const std::int32_t>(view.classes, entries));
  for (std::size_t i = 0; i < entries; ++i)
    numbers.entries.insert(numbers.entries.end(), {boxes[i].cx, boxes[i].cy, boxes[i].w, boxes[i].h, scores[i],
                                                   static_cast<float>(classes[i])});
  return numbers;
}

struct Expected {
  std::vector<std::int32_t> counts, truncated;
  std::vector<double> entries;
};

Expected expected_detections(const GridHead& head, const DetectionSettings& settings,
                             const std::vector<float>& output) {
  Expected expected;
  const int cells = head.cells * head.cells;
  for (int image = 0; image < batch; ++image) {
    std::vector<Box> boxes;
    std::vector<float> scores;
    std::vector<int> classes;
    std::vector<reference::Candidate> candidates;
    for (int slot = 0; slot < head.slots(); ++slot) {
      const int cell = slot / head.predictors;
      const auto first = output.begin() + (std::ptrdiff_t(image) * cells + cell) * head.channels();
      const auto c = candidates.emplace_back(
          reference::decode_candidate(head, {first, first + head.channels()}, cell / head.cells, cell % head.cells,
                                      slot % head.predictors, settings.score_threshold));
      boxes.push_back({float(c.box.cx), float(c.box.cy), float(c.box.w), float(c.box.h)});
      scores.push_back(static_cast<float>(c.score));
      classes.push_back(c.label);
    }
    const auto kept = reference::suppress(boxes, scores, classes, settings.nms_threshold, settings.class_agnostic);
    const int survivors = static_cast<int>(kept.size());
    expected.counts.push_back(std::min(survivors, settings.capacity));
    expected.truncated.push_back(std::max(survivors - settings.capacity, 0));
    for (int i = 0; i < settings.capacity; ++i) {
      const auto c = i < survivors ? candidates[kept[i]] : reference::Candidate{};
      expected.entries.insert(expected.entries.end(), {c.box.cx, c.box.cy, c.box.w, c.box.h, c.score, double(c.label)});
    }
  }
  return expected;
}

class DetectorTest : public test::DeviceTest {};
GRIDSPOT_ON_EVERY_DEVICE(DetectorTest);

TEST_P(DetectorTest, DecodesAndSuppressesTheNetworksOutput) {
  Random random(61);
  const GridHead one{.cells = 7, .predictors = 1, .classes = 10};
  const GridHead two{.cells = 5, .predictors = 2, .classes = 3, .prior_width = 0.3f, .prior_height = 0.4f};
  const GridHead linear{
      .cells = 6, .predictors = 2, .classes = 4, .size_coding = SizeCoding::linear, .class_loss = ClassLoss::bce};
  int suppressed = 0, truncated = 0;
  for (const GridHead& head : {one, two, linear})
    for (const DetectionSettings& settings : {DetectionSettings{},
                                              {.score_threshold = 0.05f, .nms_threshold = 0.2f},
                                              {.score_threshold = 0.05f, .nms_threshold = 0.2f, .class_agnostic = true},
                                              {.score_threshold = 0, .capacity = 4},
                                              {.score_threshold = 1, .capacity = 0},
                                              {.score_threshold = 0.05f, .precision = Precision::bf16}}) {
      SCOPED_TRACE(testing::Message() << head.cells << " cells a side, score " << settings.score_threshold << ", NMS "
                                      << settings.nms_threshold << ", class-agnostic " << settings.class_agnostic
                                      << ", capacity " << settings.capacity << ", bf16 "
                                      << (settings.precision == Precision::bf16));
      const Network network = identity_network(head);
      const auto output = random_output(random, head);
      Stream stream(device());
      const DeviceWeights weights(stream, identity_weights(network), settings.precision);
      const auto input = upload(stream, output);
      Detector detector(network, device(), batch, settings);
      const auto actual = download_numbers(stream, detector.run(stream, weights, input));
      const auto expected = expected_detections(head, settings, output);
      EXPECT_EQ(download(stream, detector.predictions()), output);
      EXPECT_EQ(actual.counts, expected.counts);
      EXPECT_EQ(actual.truncated, expected.truncated);
      EXPECT_TRUE(test::matches(actual.entries, expected.entries, test::float32_tolerance));
      for (int image = 0; image < batch; ++image) {
        suppressed += expected.counts[image] < std::min(head.slots(), settings.capacity) ? 1 : 0;
        truncated += expected.truncated[image];
      }
    }
  EXPECT_GT(suppressed, 0) << "the outputs must be such that all stages matter";
  EXPECT_GT(truncated, 0);
}

// One object a cell column of image 1, none in the others; the second predictor of the cell repeats it fainter.
TEST_P(DetectorTest, FindsTheObjectsOfAHandMadeOutput) {
  const GridHead head{.cells = 4, .predictors = 2, .classes = 3, .prior_width = 0.25f, .prior_height = 0.5f};
  const int channels = head.channels(), image_size = 16 * channels;
  std::vector<float> output(std::size_t(batch) * image_size, -8.0f);
  for (int column = 0; column < 3; ++column) {
    float* cell = &output[std::size_t(image_size) + std::size_t(4 + column) * channels];  // of row 1
    for (int predictor = 0; predictor < 2; ++predictor) {
      cell[5 * predictor] = static_cast<float>(8 - 2 * column - predictor);
      for (int i = 1; i < 5; ++i) cell[5 * predictor + i] = 0;
    }
    cell[10 + column] = 8;
  }
  const Network network = identity_network(head);
  Stream stream(device());
  for (const Precision precision : {Precision::fp32, Precision::tf32, Precision::bf16}) {
    const DeviceWeights weights(stream, identity_weights(network), precision);
    Detector detector(network, device(), batch, {.capacity = 5, .precision = precision});
    const auto found = download_numbers(stream, detector.run(stream, weights, upload(stream, output)));
    EXPECT_THAT(found.counts, testing::ElementsAre(0, 3, 0));
    EXPECT_THAT(found.truncated, testing::ElementsAre(0, 0, 0));
    for (int i = 0; i < 3; ++i) {
      const float* entry = &found.entries[std::size_t(5 + i) * 6];
      EXPECT_NEAR(entry[0], (i + 0.5) / 4, 1e-6) << "object " << i;
      EXPECT_NEAR(entry[1], 1.5 / 4, 1e-6);
      EXPECT_NEAR(entry[2], 0.25, 1e-6);
      EXPECT_NEAR(entry[3], 0.5, 1e-6);
      EXPECT_NEAR(entry[4], reference::sigmoid(8 - 2 * i), 1e-4);
      EXPECT_EQ(entry[5], i);
    }
  }
}

TEST_P(DetectorTest, ForgetsTheLastInputAndMayBeTimed) {
  Random random(62);
  const GridHead head{.cells = 7, .predictors = 1, .classes = 10};
  const Network network = identity_network(head);
  Stream stream(device());
  const auto weights = upload(stream, identity_weights(network));
  const auto first = upload(stream, random_output(random, head)), second = upload(stream, random_output(random, head));
  Detector detector(network, device(), batch, {.score_threshold = 0.05f});
  const auto before = download_numbers(stream, detector.run(stream, weights, first));
  const auto other = download_numbers(stream, detector.run(stream, weights, second));
  StageClock clock;
  const auto again = download_numbers(stream, detector.enqueue(stream, weights, first, &clock));
  EXPECT_NE(other.entries, before.entries);
  EXPECT_EQ(again.counts, before.counts);
  EXPECT_EQ(again.entries, before.entries);
  clock.take();
  for (const Stage stage : {Stage::forward, Stage::nms}) EXPECT_GT(clock.seconds(stage), 0);
}

TEST_P(DetectorTest, ReplaysACallToTheSameBits) {
  Random random(63);
  const GridHead head{.cells = 7, .predictors = 2, .classes = 10};
  const Network network = identity_network(head);
  Stream stream(device());
  for (const Precision precision : {Precision::fp32, Precision::bf16}) {
    const DetectionSettings settings{.score_threshold = 0.05f, .precision = precision, .threads = 2};
    Detector detector(network, device(), batch, settings), eager(network, device(), batch, settings);
    const DeviceWeights weights(stream, identity_weights(network), precision);
    const auto other_weights = upload(stream, std::vector<float>(network.buffer_size(), 0.01f));
    const Buffer<bfloat16> other_rounded(device(), precision == Precision::bf16 ? other_weights.size() : 0);
    if (other_rounded.size() > 0) convert(stream, other_weights, other_rounded);
    std::vector<Buffer<float>> inputs;
    for (std::size_t i = 0; i < Detector::most_graphs + 2; ++i)  // more than there are graphs for
      inputs.push_back(upload(stream, random_output(random, head)));
    const auto check = [&](const NetworkWeights& with, const Buffer<float>& input) {
      const auto actual = download_numbers(stream, detector.run(stream, with, input));
      const auto expected = download_numbers(stream, eager.enqueue(stream, with, input));
      EXPECT_EQ(actual.counts, expected.counts);
      EXPECT_EQ(actual.truncated, expected.truncated);
      EXPECT_EQ(actual.entries, expected.entries);
      EXPECT_EQ(download(stream, detector.predictions()), download(stream, eager.predictions()));
    };
    for (int round = 0; round < 4; ++round) {
      SCOPED_TRACE(testing::Message() << "round " << round << ", bf16 " << (precision == Precision::bf16));
      check(weights, inputs[0]);
      check({other_weights, other_rounded}, inputs[0]);
      for (const auto& input : inputs) check(weights, input);
      const auto values = random_output(random, head);  // where others were
      copy_to_device(stream, inputs[0].data(), values.data(), values.size() * sizeof(float));
      stream.synchronize();
    }
  }
}

// As protocol evaluations do; run() would begin a graph within a graph.
TEST_P(DetectorTest, IsEnqueuedIntoALargerGraph) {
  Random random(64);
  const GridHead head{.cells = 5, .predictors = 1, .classes = 3};
  const Network network = identity_network(head);
  Stream stream(device());
  const auto weights = upload(stream, identity_weights(network));
  const auto input = upload(stream, random_output(random, head));
  Detector detector(network, device(), batch, {.score_threshold = 0.05f});
  const auto expected = download_numbers(stream, detector.run(stream, weights, input));
  Graph graph = Graph::capture(stream, [&] { detector.enqueue(stream, weights, input); });
  fill_bytes(stream, detector.detections().scores, 0, sizeof(float));
  graph.launch(stream);
  EXPECT_EQ(download_numbers(stream, detector.detections()).entries, expected.entries);
  EXPECT_THROW(Graph::capture(stream, [&] { detector.run(stream, weights, input); }), Error);
  EXPECT_EQ(download_numbers(stream, detector.run(stream, weights, input)).entries, expected.entries);
}

TEST(DetectorArguments, ThatDoNotFitAreRefused) {
  const Network network = identity_network({.cells = 2, .predictors = 1, .classes = 1});
  EXPECT_THROW(Detector(network, {}, 0, {}), InvalidInput);
  EXPECT_THROW(Detector(network, {}, 1, {.capacity = -1}), InvalidInput);
  const Network classifier = identity_network({.cells = 1, .predictors = 0, .classes = 3});
  EXPECT_THAT([&] { Detector(classifier, {}, 1, {}); },
              testing::ThrowsMessage<InvalidInput>("network 'identity' is a classifier: it finds no boxes"));
  Stream stream(Device{});
  const auto weights = upload(stream, identity_weights(network));
  const auto input = upload(stream, std::vector<float>(network.spec().input.size()));
  for (const DetectionSettings& settings : {DetectionSettings{.score_threshold = 1.5f}, {.nms_threshold = -0.5f}})
    EXPECT_THROW(Detector(network, {}, 1, settings).run(stream, weights, input), InvalidInput);
  Detector detector(network, {}, 1, {});
  EXPECT_EQ(detector.batch(), 1);
  EXPECT_THROW(detector.run(stream, weights, input.span().subspan(0, 5)), InvalidInput);
}

}  // namespace
}  // namespace gridspot
