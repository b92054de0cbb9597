// Detectors measured on canvases that are composed, stored, or read from a folder.
#include "eval/protocol_evaluation.h"

#include <gmock/gmock.h>

#include "data/builtin_glyphs.h"
#include "data/label_files.h"
#include "data/yolo_folder.h"
#include "eval/evaluation_folder.h"
#include "gridspot/error.h"
#include "io/json.h"
#include "nn/network.h"
#include "tests/io/temporary_folder.h"
#include "tests/support/compare.h"

namespace gridspot {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

// More than two batches, the last one not full.
constexpr int count = 70;
constexpr std::uint64_t seed = 9;

/// Everything as numbers, so that a difference can be printed.
std::vector<double> objects_of(const ProtocolEvaluation& result) {
  std::vector<double> numbers;
  for (const auto& [image, class_id, box] : result.set.objects)
    numbers.insert(numbers.end(), {double(image), double(class_id), box.cx, box.cy, box.w, box.h});
  return numbers;
}

std::vector<double> detections_of(const ProtocolEvaluation& result) {
  std::vector<double> numbers;
  for (const auto& [image, class_id, score, box] : result.set.detections)
    numbers.insert(numbers.end(), {double(image), double(class_id), score, box.cx, box.cy, box.w, box.h});
  return numbers;
}

void expect_equal(const ProtocolEvaluation& result, const ProtocolEvaluation& expected) {
  EXPECT_FALSE(result.stopped);
  EXPECT_EQ(objects_of(result), objects_of(expected));
  EXPECT_EQ(detections_of(result), detections_of(expected));
  EXPECT_EQ(to_text(evaluation_json(result, "p")), to_text(evaluation_json(expected, "p")));
}

/// A detector that finds something everywhere: nobody trained it.
struct Fresh {
  NetworkSpec spec;
  std::vector<float> weights;

  explicit Fresh(int side) : spec(load_network("quick")) {
    spec.input.height = spec.input.width = side;
    spec.detector.cells = side / 8;
    weights = Network(spec).initial_weights(3, 0.5f);
  }
};

ProtocolEvaluation evaluate_store(const Fresh& model, const CanvasSet& set, int threads = 1) {
  Stream stream(Device{});
  const CanvasStore store(stream, set);
  return evaluate_detector(model.spec, model.weights, Device{}, {.store = &store}, {.count = 1}, threads);
}

CanvasSet rendered(const Protocol& protocol, const GlyphSet& glyphs) {
  Stream stream(Device{});
  return render_canvases(stream, protocol, glyphs, Split::test, seed, count);
}

// Stored pixels are rounded to 8 bits, so scores differ a little; what there is to find does not.
TEST(DetectorEvaluation, OfAStoreHasTheObjectsOfItsProtocol) {
  const Fresh model(64);
  const Protocol protocol = find_protocol("quick-64");
  const GlyphSet glyphs = draw_builtin_glyphs(Split::test, 60);
  const auto stored = evaluate_store(model, rendered(protocol, glyphs));
  const auto composed =
      evaluate_on_protocol(model.spec, model.weights, Device{}, glyphs, protocol, {.count = count, .seed = seed}, 2);
  EXPECT_EQ(objects_of(stored), objects_of(composed));
  EXPECT_EQ(stored.set.class_names, composed.set.class_names);
  ASSERT_EQ(stored.set.images.size(), std::size_t(count));
  ASSERT_EQ(composed.set.images.size(), std::size_t(count));
  for (const auto& image : stored.set.images) EXPECT_EQ(std::pair(image.width, image.height), std::pair(64, 64));
  EXPECT_EQ(stored.evaluation.collision_ceiling, composed.evaluation.collision_ceiling);
  EXPECT_EQ(stored.unplaced, 0);
  EXPECT_GT(stored.set.detections.size(), std::size_t(count)) << "there must be something to compare";
  EXPECT_NEAR(stored.class_accuracy, composed.class_accuracy, 0.05);
}

// Unaltered glyphs are whole numbers of 1/255: the stored pixels are those that were composed, but for the last bit of
// their quotients.
TEST(DetectorEvaluation, OfAStoreIsThatOfTheSamePixels) {
  const Fresh model(28);
  const Protocol protocol = unaltered(find_protocol("digits-28"));
  const GlyphSet glyphs = draw_builtin_glyphs(Split::test, 60);
  const auto composed =
      evaluate_on_protocol(model.spec, model.weights, Device{}, glyphs, protocol, {.count = count, .seed = seed});
  EXPECT_GT(composed.set.detections.size(), std::size_t(count));
  const auto stored = evaluate_store(model, rendered(protocol, glyphs));
  EXPECT_EQ(objects_of(stored), objects_of(composed));
  ASSERT_EQ(stored.set.detections.size(), composed.set.detections.size());
  const auto numbers = detections_of(stored);
  EXPECT_TRUE(test::matches(std::vector<float>(numbers.begin(), numbers.end()), detections_of(composed),
                            test::float32_tolerance * 10));
  EXPECT_EQ(stored.class_accuracy, composed.class_accuracy);
}

TEST(DetectorEvaluation, OfAFolderIsThatOfTheSetItWasWrittenFrom) {
  const test::TemporaryFolder folder;
  const Fresh model(64);
  const CanvasSet set = rendered(find_protocol("quick-64"), draw_builtin_glyphs(Split::test, 60));
  const auto writer = make_label_writer(LabelFormat::yolo, folder / "set", set.class_names);
  for (int canvas = 0; canvas < count; ++canvas) {
    Image image(set.height, set.width, 1);
    std::copy_n(set.pixels.begin() + std::ptrdiff_t(canvas * image.pixels.size()), image.pixels.size(),
                image.pixels.begin());
    std::vector<Box> boxes;
    std::vector<std::int32_t> labels;
    for (const auto& [label, box] : set.labels[canvas]) {
      boxes.push_back(box);
      labels.push_back(label);
    }
    writer->add(image, boxes, labels);
  }
  writer->finish();
  Stream stream(Device{});
  const YoloFolder read = read_yolo_folder(stream, folder / "set", YoloSplit::val, 64, 64, true);
  expect_equal(evaluate_store(model, read.canvases), evaluate_store(model, set));
}

TEST(DetectorEvaluation, DoesNotDependOnTheNumberOfThreads) {
  const Fresh model(64);
  const GlyphSet glyphs = draw_builtin_glyphs(Split::test, 60);
  const Protocol protocol = find_protocol("quick-64");
  const CanvasSet set = rendered(protocol, glyphs);
  const auto composed = [&](int threads) {
    return evaluate_on_protocol(model.spec, model.weights, Device{}, glyphs, protocol, {.count = count}, threads);
  };
  const auto stored = evaluate_store(model, set), fresh = composed(1);
  for (const int threads : {0, 2, 3, 8}) {
    SCOPED_TRACE(std::to_string(threads) + " threads");
    expect_equal(evaluate_store(model, set, threads), stored);
    expect_equal(composed(threads), fresh);
  }
}

TEST(DetectorEvaluation, OfOneModelAfterAnotherIsThatOfEach) {
  const Fresh model(64);
  const GlyphSet glyphs = draw_builtin_glyphs(Split::test, 60);
  const Protocol protocol = find_protocol("quick-64");
  const auto other = Network(model.spec).initial_weights(17);
  Stream stream(Device{});
  const GlyphBank bank(stream, glyphs);
  for (const Precision precision : {Precision::fp32, Precision::bf16}) {
    const EvaluationSettings settings{.count = 70, .detection = {.score_threshold = 0.01f, .precision = precision}};
    const TestCanvases canvases{.glyphs = &bank, .protocol = protocol, .seed = settings.seed};
    const auto alone = [&](const std::vector<float>& weights) {
      return evaluate_detector(model.spec, weights, Device{}, canvases, settings, 2);
    };
    DetectorEvaluator evaluator(model.spec, Device{}, canvases, settings, 2);
    EXPECT_NE(detections_of(alone(model.weights)), detections_of(alone(other)));
    for (const auto& weights : {model.weights, other, other, model.weights})
      expect_equal(evaluator.run(weights), alone(weights));
  }
}

TEST(DetectorEvaluation, InBfloat16IsNearFloat32) {
  const Fresh model(64);
  const GlyphSet glyphs = draw_builtin_glyphs(Split::test, 60);
  const auto scores = [&](Precision precision) {
    const DetectionSettings every_slot{
        .score_threshold = 0, .nms_threshold = 1, .capacity = model.spec.detector.slots(), .precision = precision};
    const auto result = evaluate_on_protocol(model.spec, model.weights, Device{}, glyphs, find_protocol("quick-64"),
                                             {.count = 20, .detection = every_slot});
    std::vector<float> values;
    for (const auto& detection : result.set.detections) values.push_back(detection.score);
    return values;  // of each image in descending order
  };
  const auto exact = scores(Precision::fp32), rounded = scores(Precision::bf16);
  ASSERT_EQ(exact.size(), 20u * model.spec.detector.slots());
  EXPECT_TRUE(test::matches(rounded, test::to_double(exact), {0.01, 0.02}));
  EXPECT_NE(rounded, exact);
}

TEST(DetectorEvaluation, CountsErrorsFromTheBestScoreOnOrFromTheOneAskedFor) {
  const Fresh model(64);
  const GlyphSet glyphs = draw_builtin_glyphs(Split::test, 60);
  const auto evaluated = [&](float threshold) {
    return evaluate_on_protocol(model.spec, model.weights, Device{}, glyphs, find_protocol("quick-64"),
                                {.count = count, .seed = seed, .report_threshold = threshold});
  };
  const auto best = evaluated(0);
  EXPECT_EQ(best.evaluation.score_threshold,
            eval::evaluate(best.set, {.score_threshold = std::nullopt}).score_threshold);
  const auto asked = evaluated(0.03125f);
  EXPECT_EQ(asked.evaluation.score_threshold, 0.03125f);
  EXPECT_LE(asked.evaluation.f1, best.evaluation.f1);
  EXPECT_EQ(asked.evaluation.map50, best.evaluation.map50);
}

TEST(DetectorEvaluation, TakesTheSeedAndTheSplitOfItsCanvases) {
  const Fresh model(64);
  Stream stream(Device{});
  const GlyphBank bank(stream, draw_builtin_glyphs(Split::test, 60));
  const auto objects = [&](Split split, std::uint64_t canvas_seed, std::uint64_t settings_seed) {
    return objects_of(
        evaluate_detector(model.spec, model.weights, Device{},
                          {.glyphs = &bank, .protocol = find_protocol("quick-64"), .split = split, .seed = canvas_seed},
                          {.count = 20, .seed = settings_seed}));
  };
  const auto test = objects(Split::test, 1, 1);
  EXPECT_EQ(objects(Split::test, 1, 2), test) << "the seed of the settings does not count";
  EXPECT_NE(objects(Split::test, 2, 1), test);
  EXPECT_NE(objects(Split::validation, 1, 1), test);
  EXPECT_NE(objects(Split::train, 1, 1), objects(Split::validation, 1, 1));
}

TEST(DetectorEvaluation, RefusesWhatDoesNotFit) {
  const Fresh model(64);
  Stream stream(Device{});
  const GlyphSet glyphs = draw_builtin_glyphs(Split::test, 10);
  const GlyphBank bank(stream, glyphs);
  const auto evaluate = [&](const NetworkSpec& spec, const std::string& protocol) {
    evaluate_detector(spec, std::vector<float>(Network(spec).buffer_size()), Device{},
                      {.glyphs = &bank, .protocol = find_protocol(protocol)}, {.count = 1});
  };
  EXPECT_THAT([&] { evaluate(model.spec, "seed-224"); },
              ThrowsMessage<InvalidInput>("the model takes canvases of 64x64, the protocol seed-224 makes 224x224"));
  EXPECT_THAT([&] { evaluate(with_classes(model.spec, 11), "quick-64"); },
              ThrowsMessage<InvalidInput>(HasSubstr("the model knows 11 classes")));
  NetworkSpec classifier = model.spec;
  classifier.head = {FullyConnectedLayer{10, Activation::none}};
  classifier.detector = {.cells = 1, .predictors = 0, .classes = 10};
  EXPECT_THAT([&] { evaluate(classifier, "quick-64"); },
              ThrowsMessage<InvalidInput>("network 'quick' is a classifier: it finds no boxes"));
}

TEST(DetectorEvaluation, EndsWithTheSignal) {
  const Fresh model(64);
  const std::atomic<int> signal = 15;
  const auto result = evaluate_on_protocol(model.spec, model.weights, Device{}, draw_builtin_glyphs(Split::test, 10),
                                           find_protocol("quick-64"), {.count = 5}, 1, &signal);
  EXPECT_TRUE(result.stopped);
  EXPECT_TRUE(result.set.images.empty());
}

}  // namespace
}  // namespace gridspot
