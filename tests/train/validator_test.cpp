// What validations are made on.
#include "train/validator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "eval/classifier_evaluation.h"
#include "eval/protocol_evaluation.h"
#include "tests/train/tiny_run.h"
#include "train/recipes.h"

namespace gridspot {
namespace {

constexpr int glyph_count = 80;

/// Weights that nobody trained, but that do not say the same of everything.
std::vector<float> weights_of(const NetworkSpec& network) { return Network(network).initial_weights(3, 0.5f); }

Json measured(const RunConfig& config, const TrainingData& data, const GlyphBank* bank) {
  return Validator(config, data, bank, 1).measure(weights_of(config.network), nullptr).value();
}

TEST(Validator, OfDigitsTakesEachGlyphThatWasHeldOutAsItIs) {
  RunConfig config = resolve(pretrain_config(Task::digits, "quick"));
  config.device = "cpu";
  config.validation.held_out = 0.25f;
  const GlyphSet glyphs = draw_builtin_glyphs(Split::train, glyph_count);
  const TrainingData data = to_training_data(config, glyphs);
  ASSERT_TRUE(data.held_out.has_value());
  EXPECT_EQ(data.held_out->count(), glyphs.count() / 4);
  EXPECT_EQ(data.glyphs.count() + data.held_out->count(), glyphs.count());

  Stream stream(Device{});
  const GlyphBank held_out(stream, *data.held_out), trained(stream, data.glyphs);
  const auto expected =
      evaluate_classifier(config.network, weights_of(config.network), Device{},
                          {.glyphs = &held_out, .protocol = unaltered(config.protocol)}, {data.held_out->count()});
  EXPECT_EQ(expected.canvases, data.held_out->count());
  EXPECT_EQ(measured(config, data, &trained)["accuracy"], expected.accuracy());
}

TEST(Validator, OfDetectorsComposesCanvasesOfGlyphsThatWereHeldOut) {
  RunConfig config = test::tiny_config();
  config.validation.held_out = 0.25f;
  const TrainingData data = to_training_data(config, draw_builtin_glyphs(Split::train, glyph_count));
  Stream stream(Device{});
  const GlyphBank held_out(stream, *data.held_out), trained(stream, data.glyphs);
  const auto expected = [&](const GlyphBank& bank) {
    EvaluationSettings settings = config.evaluation;
    settings.count = config.validation.count;
    return evaluate_detector(config.network, weights_of(config.network), Device{},
                             {.glyphs = &bank,
                              .protocol = config.protocol,
                              .split = Split::validation,
                              .seed = config.validation.seed},
                             settings)
        .class_accuracy;
  };
  EXPECT_EQ(measured(config, data, &trained)["class_accuracy"], expected(held_out));

  config.validation.held_out = 0;
  const TrainingData all = to_training_data(config, data.glyphs);
  EXPECT_FALSE(all.held_out.has_value());
  EXPECT_EQ(measured(config, all, &trained)["class_accuracy"], expected(trained));
  EXPECT_EQ(measured(config, all, nullptr)["class_accuracy"], expected(trained)) << "from its own memory";
}

TEST(Validator, IsDueAfterEpochsAndAtTheEnd) {
  const RunConfig config = test::tiny_config();
  const Validator validator(config, to_training_data(config, draw_builtin_glyphs(Split::train, 10)), nullptr, 1);
  std::vector<std::uint64_t> due;
  for (std::uint64_t step = 0; step <= config.steps; ++step)
    if (validator.is_due(step)) due.push_back(step);
  EXPECT_THAT(due, testing::ElementsAre(5, 10, 14));
}

}  // namespace
}  // namespace gridspot
