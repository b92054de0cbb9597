#pragma once
// Finds the best model of a run.
#include <atomic>
#include <memory>
#include <optional>

#include "data/canvas_store.h"
#include "data/glyph_bank.h"
#include "eval/classifier_evaluation.h"
#include "eval/protocol_evaluation.h"
#include "io/json.h"
#include "train/run_config.h"
#include "train/training_run.h"

namespace gridspot {

/// Measures a run's models on canvases that neither training nor testing sees: the validation split of a folder, or
/// canvases of the protocol's validation seed space. Their glyphs are those that were held out; with
/// validation.held_out 0 those of training, on new canvases. A classifier of digits sees each held-out glyph unaltered.
class Validator {
 public:
  /// `glyphs`, where the trainer has them on the device already, must outlive it; may be null.
  Validator(const RunConfig& config, const TrainingData& data, const GlyphBank* glyphs, int threads);

  /// validation_is_due, but never with a folder that has no validation split.
  [[nodiscard]] bool is_due(std::uint64_t step) const;

  /// Detectors: mAP50, mAP50_95, class_accuracy; classifiers: accuracy, or exact_match and macro_F1. Nothing when the
  /// signal stopped it.
  std::optional<Json> measure(const std::vector<float>& weights, const std::atomic<int>* stop_signal);

  /// What is to be highest: mAP50_95, accuracy or macro_F1 of one of measure()'s results.
  [[nodiscard]] static double score(const Json& measures);

 private:
  const RunConfig& config_;
  int count_, threads_;
  Device device_;
  std::unique_ptr<GlyphBank> bank_;
  std::unique_ptr<CanvasStore> store_;
  std::optional<TestCanvases> canvases_;
  std::unique_ptr<DetectorEvaluator> detector_;  ///< made by the first measure()
  std::unique_ptr<ClassifierEvaluator> classifier_;
};

}  // namespace gridspot
