// The loss and its gradient against the reference and its central differences.
#include <limits>

#include "tests/kernels/loss_fixture.h"
#include "tests/support/compare.h"

namespace gridspot {
namespace {

using test::LossInput;
using test::Random;

class LossGradient : public test::LossTest {
 protected:
  /// The central difference of the reference loss by one prediction. Only its cell's loss depends on it, and the choice
  /// of the responsible predictor is held.
  static double numeric_gradient(const LossInput& in, int place, int channel, int responsible) {
    constexpr double step = 1e-6;
    const auto loss = [&](double change) {
      auto outputs = in.outputs(place);
      outputs[channel] += change;
      const auto terms = reference::cell_loss(in.head, in.settings, in.cell(place), outputs, responsible);
      return (terms[0] + terms[1] + terms[2]) / in.batch;
    };
    return (loss(step) - loss(-step)) / (2 * step);
  }

  /// Compares all terms, and the gradients of about `checked_cells` cells, those with an object first.
  void check(const LossInput& in, int checked_cells = std::numeric_limits<int>::max()) {
    const Result result = compute(in);
    std::vector<double> terms(std::size_t(in.n) * 3), expected;
    std::vector<float> actual;
    const int stride = std::max(1, in.n * in.cells() / checked_cells);
    for (int place = 0; place < in.n * in.cells(); ++place) {
      const auto outputs = in.outputs(place);
      const auto cell = in.cell(place);
      const int responsible = reference::responsible_predictor(in.head, outputs, cell);
      const auto loss = reference::cell_loss(in.head, in.settings, cell, outputs, responsible);
      for (int term = 0; term < 3; ++term) terms[place / in.cells() * 3 + term] += loss[term];
      const bool is_checked = place % stride == 0 || (cell.has_object && stride < 1000);
      for (int channel = 0; channel < in.head.channels(); ++channel) {
        const float value = result.gradient[std::size_t(place) * in.head.channels() + channel];
        ASSERT_TRUE(std::isfinite(value)) << "place " << place << " channel " << channel << " was not written";
        if (!is_checked) continue;
        actual.push_back(value);
        expected.push_back(numeric_gradient(in, place, channel, responsible));
      }
    }
    EXPECT_TRUE(test::matches(result.terms, terms, test::float32_tolerance * 4)) << testing::PrintToString(in);
    // Edges of boxes are known to 1e-7 and the overlaps of boxes of 0.03 depend on them.
    EXPECT_TRUE(test::matches(actual, expected, test::float32_tolerance * 20)) << testing::PrintToString(in);
  }
};
GRIDSPOT_ON_EVERY_DEVICE(LossGradient);

TEST_P(LossGradient, IsTheCentralDifferenceOnRandomShapes) {
  Random random(51);
  for (int i = 0; i < 180; ++i) {
    const auto kind = [&](int count) { return random.integer(0, count - 1); };
    const GridHead head{random.integer(1, 8),           random.integer(0, 4),
                        random.integer(1, 12),          static_cast<SizeCoding>(kind(2)),
                        random.uniform(0.05f, 0.4f),    random.uniform(0.05f, 0.4f),
                        static_cast<ClassLoss>(kind(4))};
    const LossSettings settings{random.uniform(0, 2), random.uniform(0, 2), kind(5) == 0 ? 0 : random.uniform(0, 5),
                                kind(5) == 0 ? 0 : random.uniform(0, 2), static_cast<BoxLoss>(kind(2))};
    check(test::random_input(random, head, settings, random.integer(0, 3), random.integer(0, 6)));
    if (HasFailure()) return;
  }
}

// Cells around a warp (25, 36) and a block (49, 64, 81), several a thread, and at the largest grid.
TEST_P(LossGradient, MatchesTheReferenceForEveryOptionAndSize) {
  Random random(52);
  for_every_option([&](SizeCoding coding, ClassLoss class_loss, BoxLoss box_loss) {
    for (const int cells : {1, 5, 6, 7, 8, 9, 14, 23})
      for (const int predictors : {0, 1, 3})
        check(test::random_input(random, {cells, predictors, 10, coding, 0.15f, 0.2f, class_loss},
                                 {.box_loss = box_loss}, 2, 8),
              20);
    check(test::random_input(random, {64, 1, 3, coding, 0.15f, 0.2f, class_loss}, {.box_loss = box_loss}, 1, 30), 20);
  });
}

// Several objects in a cell and of a class, slots without one, and canvases without any; one cell is a whole canvas.
TEST_P(LossGradient, MatchesTheReferenceOnCrowdedCanvases) {
  Random random(58);
  for (const auto class_loss : {ClassLoss::cross_entropy, ClassLoss::mse, ClassLoss::bce, ClassLoss::multi_label})
    for (const int cells : {1, 2, 5, 9})
      for (const int predictors : {0, 1, 2})
        for (const int classes : {1, 3, 10})
          for (const int capacity : {0, 1, 20}) {
            const GridHead head{cells, predictors, classes, SizeCoding::exponential, 0.15f, 0.2f, class_loss};
            const LossSettings settings{.class_weight = random.uniform(0.1f, 2)};
            check(test::crowded_input(random, head, settings, random.integer(1, 3), capacity), 30);
            if (HasFailure()) return;
          }
}

TEST_P(LossGradient, MatchesTheReferenceAtTheLargestSizes) {
  Random random(53);
  for (const auto class_loss : {ClassLoss::cross_entropy, ClassLoss::mse, ClassLoss::bce, ClassLoss::multi_label})
    check(test::random_input(random, {9, 8, 1000, SizeCoding::exponential, 0.15f, 0.2f, class_loss}, {}, 1, 3), 4);
  check(test::random_input(random, {64, 8, 50, SizeCoding::exponential, 0.15f, 0.2f, ClassLoss::cross_entropy}, {}, 1,
                           20),
        3);
}

TEST_P(LossGradient, InBfloat16IsTheRoundedGradient) {
  Random random(59);
  for_every_option([&](SizeCoding coding, ClassLoss class_loss, BoxLoss box_loss) {
    for (const int predictors : {0, 1, 2}) {
      const GridHead head{7, predictors, 10, coding, 0.15f, 0.2f, class_loss};
      const LossInput in = test::crowded_input(random, head, {.box_loss = box_loss}, 2, 12);
      const Result exact = compute(in), rounded = compute<bfloat16>(in);
      EXPECT_EQ(rounded.gradient, test::to_floats(test::to_dtype<bfloat16>(exact.gradient)));
      EXPECT_EQ(rounded.terms, exact.terms);
    }
  });
}

}  // namespace
}  // namespace gridspot
