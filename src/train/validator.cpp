#include "train/validator.h"

#include "train/recipes.h"

namespace gridspot {

Validator::Validator(const RunConfig& config, const TrainingData& data, const GlyphBank* glyphs, int threads)
    : config_(config), count_(config.validation.count), threads_(threads), device_(parse_device(config.device)) {
  if (config.validation.every_epochs == 0) return;
  Stream stream(device_);
  if (data.validation) {
    store_ = std::make_unique<CanvasStore>(stream, *data.validation);
    canvases_ = {.store = store_.get()};
  } else if (!data.canvases) {
    if (data.held_out)
      bank_ = std::make_unique<GlyphBank>(stream, *data.held_out);
    else if (glyphs == nullptr)
      bank_ = std::make_unique<GlyphBank>(stream, data.glyphs);
    canvases_ = {.glyphs = bank_ ? bank_.get() : glyphs,
                 .protocol = config.protocol,
                 .split = Split::validation,
                 .seed = config.validation.seed};
    if (data.held_out && task_of(config.network) == Task::digits) {
      canvases_->protocol = unaltered(config.protocol);
      count_ = data.held_out->count();
    }
  }
}

bool Validator::is_due(std::uint64_t step) const { return canvases_ && validation_is_due(config_, step); }

std::optional<Json> Validator::measure(const std::vector<float>& weights, const std::atomic<int>* stop_signal) {
  if (config_.network.detector.classifies_only()) {
    if (!classifier_)
      classifier_ = std::make_unique<ClassifierEvaluator>(
          config_.network, device_, *canvases_, ClassifierSettings{count_, config_.precision, config_.engines},
          threads_);
    const auto result = classifier_->run(weights, stop_signal);
    if (result.stopped) return std::nullopt;
    if (result.multi_label) return Json{{"exact_match", result.accuracy()}, {"macro_F1", result.macro_f1()}};
    return Json{{"accuracy", result.accuracy()}};
  }
  if (!detector_) {
    EvaluationSettings settings = config_.evaluation;
    settings.count = count_;
    detector_ = std::make_unique<DetectorEvaluator>(config_.network, device_, *canvases_, settings, threads_);
  }
  const auto result = detector_->run(weights, stop_signal);
  if (result.stopped) return std::nullopt;
  return Json{{"mAP50", result.evaluation.map50},
              {"mAP50_95", result.evaluation.map50_95},
              {"class_accuracy", result.class_accuracy}};
}

double Validator::score(const Json& measures) {
  for (const char* key : {"mAP50_95", "macro_F1", "accuracy"})
    if (measures.contains(key)) return measures.at(key).is_null() ? 0 : measures.at(key).get<double>();
  return 0;
}

}  // namespace gridspot
