#include "train/run_config.h"
#include "train/recipes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gridspot/error.h"
#include "io/json.h"

namespace gridspot {
namespace {

using testing::HasSubstr;

void expect_all_changed(const Json& before, const Json& after, const std::string& path) {
  if (!before.is_object()) {
    EXPECT_NE(after, before) << path;
    return;
  }
  for (const auto& [key, value] : before.items()) expect_all_changed(value, after.at(key), path + "." + key);
}

TEST(RunConfig, EverySettingSurvivesTheRoundTrip) {
  for (const char* preset : {"quick", "small", "medium", "seed", "seed-fc"}) {
    SCOPED_TRACE(preset);
    RunConfig config = default_config(preset);
    const Json defaults = parse_json(to_json_text(config), "defaults");
    for (const char* change : {"data=builtin",
                               "device=cpu",
                               "seed=281474976710655",
                               "steps=77",
                               "epoch_canvases=123",
                               "batch=12",
                               "shards=3",
                               "precision=fp32",
                               "objectness_prior=0.125",
                               "protocol.shear=0.25",
                               "protocol.clutter=3",
                               "protocol.noise=0.125",
                               "protocol.min_contrast=0.5",
                               "protocol.inversion=0.75",
                               "loss.objectness_weight=2",
                               "loss.no_object_weight=3",
                               "loss.box_weight=4",
                               "loss.class_weight=6",
                               "loss.box_loss=mse",
                               "optimizer.kind=sgd",
                               "optimizer.beta1=0.5",
                               "optimizer.beta2=0.75",
                               "optimizer.epsilon=0.1",
                               "optimizer.momentum=0.3",
                               "optimizer.weight_decay=0.7",
                               "optimizer.clip_norm=9",
                               "optimizer.ema_decay=0.6",
                               "optimizer.schedule.kind=one_cycle",
                               "optimizer.schedule.peak=0.1",
                               "optimizer.schedule.warmup=7",
                               "optimizer.schedule.final_fraction=0.2",
                               "evaluation.count=5",
                               "evaluation.seed=6",
                               "evaluation.score_threshold=0.3",
                               "evaluation.nms_threshold=0.2",
                               "evaluation.class_agnostic=true",
                               "evaluation.capacity=50",
                               "evaluation.report_threshold=0.25",
                               "training_set.max_glyphs=11",
                               "training_set.images=9",
                               "training_set.folder=canvases",
                               "training_set.digest=abc",
                               "training_set.strict=true",
                               "training_set.shuffle=false",
                               "training_set.augmentation.scale=0.125",
                               "training_set.augmentation.shift=0.0625",
                               "training_set.augmentation.overlay=0.75",
                               "backbone.file=model.safetensors",
                               "backbone.digest=def",
                               "backbone.frozen_epochs=3",
                               "engines.deterministic=false",
                               "engines.autotune=true",
                               "validation.every_epochs=2",
                               "validation.count=11",
                               "validation.seed=12",
                               "validation.held_out=0.125",
                               "checkpoint_every=8",
                               "keep_checkpoints=5"}) {
      const std::string before = to_json_text(config);
      set_value(config, change);
      EXPECT_NE(to_json_text(config), before) << change << " changed nothing";
    }
    set_value(config, config.protocol.box == BoxKind::tile ? "protocol.box=tight" : "protocol.box=tile");
    const std::string text = to_json_text(config);
    EXPECT_EQ(to_json_text(parse_config(text, "config.json")), text);
    EXPECT_EQ(config.evaluation.detection.precision, Precision::fp32) << "the evaluation's follows";
    EXPECT_TRUE(config.evaluation.detection.engines.autotune);
    EXPECT_FALSE(config.evaluation.detection.engines.deterministic);
    // Nothing was left at its default by the changes above.
    const Json changed = parse_json(text, "changed");
    for (const auto& [key, value] : defaults.items())
      if (key != "network" && key != "protocol" && key != "glyphs" && key != "gridspot")
        expect_all_changed(value, changed[key], key);
  }
}

TEST(RunConfig, WrongSettingsAreRefusedWithTheirPlace) {
  struct Case {
    const char* assignment;
    const char* message;
  };
  for (const Case& one : std::initializer_list<Case>{{"steps=0", "steps"},
                                                     {"steps=-1", "steps"},
                                                     {"seed=-1", "seed"},
                                                     {"batch=1e3", "batch"},
                                                     {"loss.box_loss=giou", "diou"},
                                                     {"optimizer.beta1=1", "beta1"},
                                                     {"optimizer.schedule.kind=step", "one_cycle"},
                                                     {"protocol.name=mnist", "seed-224"},
                                                     {"evaluation.nms_threshold=1.5", "nms_threshold"},
                                                     {"evaluation.capacity=0", "capacity"},
                                                     {"evaluation.class_agnostic=1", "class_agnostic"},
                                                     {"precision=fp16", "bf16"},
                                                     {"objectness_prior=0", "objectness_prior"},
                                                     {"objectness_prior=1", "objectness_prior"},
                                                     {"protocol.clutter=65", "clutter"},
                                                     {"training_set.images=-1", "training_set.images"},
                                                     {"training_set.strict=1", "training_set.strict"},
                                                     {"training_set.augmentation.scale=-0.1", "augmentation.scale"},
                                                     {"training_set.augmentation.shift=65", "augmentation.shift"},
                                                     {"training_set.augmentation.overlay=1.5", "augmentation.overlay"},
                                                     {"training_set.augmentation=1", "group of settings"},
                                                     {"training_set.shuffle=no", "training_set.shuffle"},
                                                     {"training_set.file=x", "no such setting"},
                                                     {"backbone.frozen_epochs=-1", "backbone.frozen_epochs"},
                                                     {"backbone.frozen_epochs=1000001", "backbone.frozen_epochs"},
                                                     {"backbone.frozen_epochs=0.5", "backbone.frozen_epochs"},
                                                     {"validation.every_epochs=-1", "validation.every_epochs"},
                                                     {"validation.count=0", "validation.count"},
                                                     {"validation.seed=281474976710656", "validation.seed"},
                                                     {"keep_checkpoints=0", "keep_checkpoints"},
                                                     {"checkpoint_every=-1", "checkpoint_every"},
                                                     {"backbone=x", "group of settings"},
                                                     {"=3", "key=value"},
                                                     {"", "key=value"},
                                                     {"optimizer", "key=value"},
                                                     {"optimizer.=1", "no such setting"},
                                                     {"steps.more=1", "no such setting"},
                                                     {"steps=[1]", "steps"},
                                                     {"steps={", "--set steps"}}) {
    SCOPED_TRACE(one.assignment);
    RunConfig config = default_config("quick");
    const std::string before = to_json_text(config);
    try {
      set_value(config, one.assignment);
      ADD_FAILURE() << "was accepted";
    } catch (const InvalidInput& error) {
      EXPECT_THAT(error.what(), HasSubstr(one.message));
    }
    EXPECT_EQ(to_json_text(config), before) << "a refused setting changed the configuration";
  }
}

TEST(RunConfig, DocumentsWithUnknownOrMissingKeysAreRefused) {
  const Json whole = parse_json(to_json_text(default_config("quick")), "config");
  Json misspelt = whole;
  misspelt["optimizer"]["lerning_rate"] = 1;
  EXPECT_THROW(parse_config(misspelt.dump(), "config.json"), InvalidInput);
  for (const char* key : {"network", "protocol"}) {
    Json without = whole;
    without.erase(key);
    EXPECT_THROW(parse_config(without.dump(), "config.json"), InvalidInput) << key;
  }
}

TEST(RunConfig, ADocumentCutAnywhereIsRefused) {
  const std::string text = to_json_text(default_config("quick"));
  for (std::size_t length = 0; length + 1 < text.size(); ++length)  // the last byte is a line end
    EXPECT_THROW(parse_config(text.substr(0, length), "config.json"), InvalidInput) << length << " bytes";
}

TEST(RunConfig, ADuplicateKeyIsRefused) {
  const std::string text = to_json_text(default_config("quick"));
  for (const std::string key : {"\"seed\": ", "\"beta1\": ", "\"filters\": "}) {
    std::string twice = text;
    twice.insert(twice.find(key), key + "1, ");
    EXPECT_THAT([&] { parse_config(twice, "config.json"); },
                testing::ThrowsMessage<InvalidInput>(HasSubstr("duplicate key")));
  }
}

TEST(RunConfig, FrozenEpochsAreRoundedUpToSteps) {
  RunConfig config = default_config("quick");
  config.epoch_canvases = 25;
  config.batch = 10;
  for (const auto& [epochs, steps] : {std::pair<std::uint64_t, std::uint64_t>{0, 0}, {1, 3}, {2, 5}, {3, 8}, {4, 10}}) {
    config.backbone.frozen_epochs = epochs;
    EXPECT_EQ(frozen_steps(config), steps) << epochs << " epochs";
  }
}

// A run of an earlier version has none of them.
TEST(RunConfig, GroupsThatAreMissingHaveTheirDefaults) {
  Json document = parse_json(to_json_text(default_config("quick")), "config");
  const Json whole = document;
  for (const char* key : {"training_set", "backbone", "validation", "keep_checkpoints"}) document.erase(key);
  const Json filled = parse_json(to_json_text(parse_config(document.dump(), "config.json")), "filled");
  EXPECT_EQ(filled, whole);
  EXPECT_EQ(filled["training_set"]["images"], 0);
  EXPECT_EQ(filled["training_set"]["shuffle"], true);
  EXPECT_EQ(filled["backbone"], (Json{{"file", ""}, {"digest", ""}, {"frozen_epochs", 0}}));
  EXPECT_EQ(filled["validation"], (Json{{"every_epochs", 5}, {"count", 200}, {"seed", 1}, {"held_out", 0.0}}));
}

TEST(RunConfig, TheLimitsOfAProtocolsOptionsAreTheProtocols) {
  RunConfig config = default_config("quick");
  set_value(config, "protocol.clutter=64");
  set_value(config, "protocol.min_contrast=0.05");
  EXPECT_NO_THROW(validate(config.protocol));
  EXPECT_EQ(to_json_text(parse_config(to_json_text(config), "config.json")), to_json_text(config));
}

}  // namespace
}  // namespace gridspot
