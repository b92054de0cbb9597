#include "eval/classifier_evaluation.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "data/builtin_glyphs.h"
#include "gridspot/error.h"
#include "nn/network.h"
#include "tests/support/device_test.h"

namespace gridspot {
namespace {

using test::Random;
using testing::HasSubstr;
using testing::ThrowsMessage;

/// Canvases of one row; the classifier's output for class i is pixel i / 255 - 1/2.
NetworkSpec pixel_classifier(int classes, ClassLoss loss) {
  NetworkSpec spec;
  spec.name = "pixels";
  spec.input = {1, classes, 1};
  spec.head = {FullyConnectedLayer{classes, Activation::none}};
  spec.detector = {.cells = 1, .predictors = 0, .classes = classes, .class_loss = loss};
  return spec;
}

std::vector<float> pixel_weights(const NetworkSpec& spec) {
  const Network network(spec);
  std::vector<float> weights(network.buffer_size());
  const int classes = spec.detector.classes;
  for (int i = 0; i < classes; ++i) {
    weights[network.parameters()[0].offset + std::size_t(i) * classes + i] = 1;
    weights[network.parameters()[1].offset + i] = -0.5f;
  }
  return weights;
}

/// A canvas and the classes that are on it, one object each.
struct Row {
  std::vector<std::uint8_t> pixels;
  std::vector<int> labels;
};

CanvasSet set_of(const std::vector<Row>& rows) {
  CanvasSet set{.height = 1, .width = int(rows[0].pixels.size()), .source = "rows"};
  for (int i = 0; i < set.width; ++i) set.class_names.push_back("class " + std::to_string(i));
  for (const auto& [pixels, labels] : rows) {
    set.pixels.insert(set.pixels.end(), pixels.begin(), pixels.end());
    auto& boxes = set.labels.emplace_back();
    for (const int label : labels) boxes.push_back({label, {0.5f, 0.5f, 0.25f, 0.5f}});
  }
  return set;
}

ClassifierEvaluation evaluate_rows(const std::vector<Row>& rows, ClassLoss loss, int threads = 1) {
  Stream stream(Device{});
  const CanvasSet set = set_of(rows);
  const CanvasStore store(stream, set);
  const NetworkSpec spec = pixel_classifier(set.width, loss);
  return evaluate_classifier(spec, pixel_weights(spec), Device{}, {.store = &store}, {}, threads);
}

/// More than a batch, the last one not full.
std::vector<Row> random_rows(Random& random, int count, int classes, int fewest, int most) {
  std::vector<Row> rows(count);
  for (auto& [pixels, labels] : rows) {
    const int level = random.integer(100, 160);
    for (int i = 0; i < classes; ++i) pixels.push_back(std::uint8_t(level + random.integer(-40, 40)));
    for (int i = random.integer(fewest, most); i > 0; --i) labels.push_back(random.integer(0, classes - 1));
  }
  return rows;
}

/// Canvas by canvas and class by class, from the pixels.
struct Naive {
  std::int64_t right = 0;
  std::vector<std::int64_t> present, found, both;
  std::vector<std::vector<std::int64_t>> confusion;

  Naive(const std::vector<Row>& rows, bool multi_label) {
    const std::size_t classes = rows[0].pixels.size();
    present = found = both = std::vector<std::int64_t>(classes);
    confusion.assign(classes, present);
    for (const auto& [pixels, labels] : rows) {
      const std::set<int> there(labels.begin(), labels.end());
      std::set<int> seen;
      const auto likeliest = std::max_element(pixels.begin(), pixels.end());
      for (int i = 0; i < int(classes); ++i)
        if (multi_label ? pixels[i] >= 128 : likeliest == pixels.begin() + i) seen.insert(i);
      for (const int i : there) ++present[i], both[i] += seen.contains(i);
      for (const int i : seen) ++found[i];
      right += there == seen;
      if (!multi_label) ++confusion[*there.begin()][*seen.begin()];
    }
  }

  [[nodiscard]] static double f1(double present, double found, double both) {
    const double precision = found > 0 ? both / found : 0, recall = present > 0 ? both / present : 0;
    return precision + recall > 0 ? 2 * precision * recall / (precision + recall) : 0;
  }
  [[nodiscard]] double macro_f1() const {
    double sum = 0;
    for (std::size_t i = 0; i < present.size(); ++i) sum += f1(double(present[i]), double(found[i]), double(both[i]));
    return sum / double(present.size());
  }
  [[nodiscard]] double micro_f1() const {
    const auto sum = [](const auto& counts) { return double(std::accumulate(counts.begin(), counts.end(), 0)); };
    return f1(sum(present), sum(found), sum(both));
  }
};

void expect_counts(const ClassifierEvaluation& evaluation, const std::vector<Row>& rows, bool multi_label) {
  const Naive naive(rows, multi_label);
  EXPECT_EQ(evaluation.multi_label, multi_label);
  EXPECT_FALSE(evaluation.stopped);
  EXPECT_EQ(evaluation.canvases, std::int64_t(rows.size()));
  EXPECT_EQ(evaluation.right, naive.right);
  EXPECT_DOUBLE_EQ(evaluation.accuracy(), double(naive.right) / double(rows.size()));
  ASSERT_EQ(evaluation.per_class.size(), naive.present.size());
  for (std::size_t i = 0; i < naive.present.size(); ++i) {
    const ClassCounts& counts = evaluation.per_class[i];
    EXPECT_EQ(counts.name, "class " + std::to_string(i));
    EXPECT_EQ(counts.present, naive.present[i]) << "class " << i;
    EXPECT_EQ(counts.found, naive.found[i]) << "class " << i;
    EXPECT_EQ(counts.right, naive.both[i]) << "class " << i;
  }
  EXPECT_DOUBLE_EQ(evaluation.macro_f1(), naive.macro_f1());
  EXPECT_DOUBLE_EQ(evaluation.micro_f1(), naive.micro_f1());
  if (multi_label)
    EXPECT_TRUE(evaluation.confusion.empty());
  else
    EXPECT_EQ(evaluation.confusion, naive.confusion);
}

TEST(ClassifierEvaluation, OfOneClassIsTheNaiveCount) {
  Random random(81);
  for (const int count : {1, 32, 33, 101}) {
    SCOPED_TRACE(std::to_string(count) + " canvases");
    const auto rows = random_rows(random, count, 6, 1, 1);
    expect_counts(evaluate_rows(rows, ClassLoss::cross_entropy), rows, false);
  }
}

TEST(ClassifierEvaluation, OfSeveralLabelsIsTheNaiveCount) {
  Random random(82);
  for (const int count : {1, 32, 33, 101}) {
    SCOPED_TRACE(std::to_string(count) + " canvases");
    const auto rows = random_rows(random, count, 4, 0, 5);
    expect_counts(evaluate_rows(rows, ClassLoss::multi_label), rows, true);
  }
}

TEST(ClassifierEvaluation, DoesNotDependOnTheNumberOfThreads) {
  Random random(83);
  for (const auto loss : {ClassLoss::cross_entropy, ClassLoss::multi_label}) {
    const auto rows = random_rows(random, 150, 5, 1, 1);
    const Json one = to_json(evaluate_rows(rows, loss));
    for (const int threads : {0, 2, 3, 16}) EXPECT_EQ(to_json(evaluate_rows(rows, loss, threads)), one) << threads;
  }
}

// Glyphs one by one: composed, and the same pixels as a fixed set.
TEST(ClassifierEvaluation, OfUnalteredGlyphsIsThatOfTheirPixels) {
  NetworkSpec spec;
  spec.name = "linear";
  spec.input = {28, 28, 1};
  spec.head = {FullyConnectedLayer{10, Activation::none}};
  spec.detector = {.cells = 1, .predictors = 0, .classes = 10};
  const auto weights = Network(spec).initial_weights(5);
  Stream stream(Device{});
  const GlyphSet glyphs = draw_builtin_glyphs(Split::test, 70);
  const GlyphBank bank(stream, glyphs);
  CanvasSet pixels{.height = 28, .width = 28, .pixels = glyphs.pixels, .class_names = glyphs.class_names};
  for (const int label : glyphs.labels) pixels.labels.push_back({{label, {0.5f, 0.5f, 1, 1}}});
  const CanvasStore store(stream, pixels);
  const TestCanvases composed{.glyphs = &bank, .protocol = unaltered(find_protocol("digits-28"))};
  const auto evaluation = evaluate_classifier(spec, weights, Device{}, composed, {70}, 2);
  EXPECT_EQ(evaluation.canvases, 70);
  EXPECT_EQ(evaluation.per_class[3].present, 7);
  EXPECT_EQ(to_json(evaluation), to_json(evaluate_classifier(spec, weights, Device{}, {.store = &store}, {})));
  const auto twice = evaluate_classifier(spec, weights, Device{}, composed, {140});
  EXPECT_EQ(twice.canvases, 140);
  EXPECT_EQ(twice.right, 2 * evaluation.right) << "the bank begins again";

  const auto other = Network(spec).initial_weights(6);
  ClassifierEvaluator evaluator(spec, Device{}, composed, {70}, 2);
  EXPECT_NE(to_json(evaluator.run(other)), to_json(evaluation));
  EXPECT_EQ(to_json(evaluator.run(weights)), to_json(evaluation));
}

// Two canvases show a 0, one of them is taken for a 1; the third is a 1, and 2 is neither shown nor found.
const std::vector<Row> example{{{200, 10, 0}, {0}}, {{10, 200, 0}, {0}}, {{0, 255, 0}, {1}}};

TEST(ClassifierEvaluation, OfOneClassHasItsKeys) {
  const auto evaluation = evaluate_rows(example, ClassLoss::cross_entropy);
  const Json json = to_json(evaluation);
  const Json expected = parse_json(R"({"task": "digits", "canvases": 3, "accuracy": 0.6666666666666666,
    "macro_F1": 0.4444444444444444,
    "per_class": [
      {"name": "class 0", "present": 2, "found": 1, "precision": 1.0, "recall": 0.5, "F1": 0.6666666666666666},
      {"name": "class 1", "present": 1, "found": 2, "precision": 0.5, "recall": 1.0, "F1": 0.6666666666666666},
      {"name": "class 2", "present": 0, "found": 0, "precision": 0.0, "recall": 0.0, "F1": 0.0}],
    "confusion_matrix": [[1, 1, 0], [0, 1, 0], [0, 0, 0]]})",
                                   "expected");
  EXPECT_EQ(json, expected) << to_text(json);
  EXPECT_EQ(to_table(evaluation),
            "class     present     found precision    recall        F1\n"
            "class 0         2         1    1.0000    0.5000    0.6667\n"
            "class 1         1         2    0.5000    1.0000    0.6667\n"
            "class 2         0         0    0.0000    0.0000    0.0000\n"
            "all             3         3    0.6667    0.6667    0.4444\n");
}

TEST(ClassifierEvaluation, OfSeveralLabelsHasItsKeys) {
  const auto evaluation =
      evaluate_rows({{{200, 200, 0}, {0, 1, 0}}, {{0, 127, 128}, {1}}, {{0, 0, 0}, {}}}, ClassLoss::multi_label);
  const Json json = to_json(evaluation);
  const Json expected = parse_json(R"({"task": "canvases", "canvases": 3, "exact_match": 0.6666666666666666,
    "macro_F1": 0.5555555555555555, "micro_F1": 0.6666666666666666,
    "per_class": [
      {"name": "class 0", "present": 1, "found": 1, "precision": 1.0, "recall": 1.0, "F1": 1.0},
      {"name": "class 1", "present": 2, "found": 1, "precision": 1.0, "recall": 0.5, "F1": 0.6666666666666666},
      {"name": "class 2", "present": 0, "found": 1, "precision": 0.0, "recall": 0.0, "F1": 0.0}]})",
                                   "expected");
  EXPECT_EQ(json, expected) << to_text(json);
}

TEST(ClassifierEvaluation, OfOneClassRefusesCanvasesThatShowNoneOrTwo) {
  Random random(85);
  auto rows = random_rows(random, 60, 3, 1, 1);
  rows[7].labels = {1, 1};
  EXPECT_NO_THROW(evaluate_rows(rows, ClassLoss::cross_entropy)) << "one class, twice";
  for (const auto& labels : {std::vector<int>{}, {0, 2}}) {
    auto wrong = rows;
    wrong[40].labels = labels;
    EXPECT_THAT([&] { evaluate_rows(wrong, ClassLoss::cross_entropy, 2); },
                ThrowsMessage<InvalidInput>("canvas 40 does not show one class, as this network expects"));
    EXPECT_NO_THROW(evaluate_rows(wrong, ClassLoss::multi_label));
  }
}

TEST(ClassifierEvaluation, RefusesWhatDoesNotFit) {
  Stream stream(Device{});
  const CanvasStore store(stream, set_of(example));
  const auto message_of = [&](const NetworkSpec& spec) -> std::string {
    try {
      evaluate_classifier(spec, std::vector<float>(Network(spec).buffer_size()), Device{}, {.store = &store}, {});
    } catch (const InvalidInput& error) {
      return error.what();
    }
    return "accepted";
  };
  EXPECT_EQ(message_of(load_network("quick")), "network 'quick' is no classifier");
  NetworkSpec grid = pixel_classifier(3, ClassLoss::cross_entropy);
  grid.head = {FullyConnectedLayer{12, Activation::none}};
  grid.detector.cells = 2;
  EXPECT_EQ(message_of(grid),
            "network 'pixels' finds one class in each of several cells, which no measure here is for");
  EXPECT_THAT(message_of(with_classes(pixel_classifier(3, ClassLoss::cross_entropy), 4)),
              testing::AllOf(HasSubstr("the model knows 4 classes"), HasSubstr("rows have 3")));
  EXPECT_THAT(message_of(pixel_classifier(4, ClassLoss::cross_entropy)), HasSubstr("the model takes canvases of 4x1"));
}

TEST(ClassifierEvaluation, ACanvasHasWhatOneOfItsCellsHas) {
  Stream stream(Device{});
  Random random(17);
  constexpr int classes = 5, cells = 4;
  const auto rows = random_rows(random, 70, classes, 0, 3);
  const CanvasStore store(stream, set_of(rows));
  NetworkSpec spec = pixel_classifier(classes, ClassLoss::multi_label);
  spec.head = {FullyConnectedLayer{cells * classes, Activation::none}};
  spec.detector.cells = 2;
  const Network network(spec);
  std::vector<float> weights(network.buffer_size());
  for (int cell = 0; cell < cells; ++cell)  // a cell sees one class, or two, and none of the others
    for (int i = 0; i < classes; ++i) {
      const int output = cell * classes + i;
      const bool sees = i % cells == cell;
      weights[network.parameters()[0].offset + std::size_t(output) * classes + i] = sees ? 1 : 0;
      weights[network.parameters()[1].offset + output] = sees ? -0.5f : -1;
    }
  expect_counts(evaluate_classifier(spec, weights, Device{}, {.store = &store}, {}), rows, true);
}

TEST(ClassifierEvaluation, EndsWithTheSignal) {
  Stream stream(Device{});
  const CanvasStore store(stream, set_of(example));
  const NetworkSpec spec = pixel_classifier(3, ClassLoss::multi_label);
  const std::atomic<int> signal = 2;
  const auto evaluation = evaluate_classifier(spec, pixel_weights(spec), Device{}, {.store = &store}, {}, 1, &signal);
  EXPECT_TRUE(evaluation.stopped);
  EXPECT_EQ(evaluation.canvases, 0);
  EXPECT_TRUE(evaluation.per_class.empty());
}

}  // namespace
}  // namespace gridspot
