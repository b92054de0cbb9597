#pragma once
// A detector measured on labelled canvases.
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "data/glyph_set.h"
#include "eval/evaluation.h"
#include "eval/test_canvases.h"
#include "nn/detector.h"

namespace gridspot {

struct EvaluationSettings {
  int count = 1000;            ///< composed canvases; a fixed set is measured whole
  std::uint64_t seed = 1;      ///< in the protocol's test seed space
  float report_threshold = 0;  ///< for all but average precision: lower scores do not count; 0: the best F1's
  DetectionSettings detection{.score_threshold = 0.01f};
};

struct ProtocolEvaluation {
  eval::EvaluationSet set;  ///< ground truth and detections, canvas by canvas
  eval::Evaluation evaluation;
  double class_accuracy =
      0;  ///< share of cells with an object whose highest class output is the object's; 0 without objects
  std::int64_t unplaced = 0;   ///< glyphs that the canvases had no place for
  std::int64_t truncated = 0;  ///< detections beyond the capacity, which were left out
  double seconds = 0;          ///< taking the weights, composing, detecting, and bringing the detections to the host
  bool stopped = false;        ///< by the signal; nothing else is filled in then
};

/// Measures models of one network on the same canvases: composed ones 0 ... count - 1, or the whole fixed set;
/// `canvases.seed` counts, not that of the settings. Everything is planned and allocated at construction. The result
/// does not depend on `threads` (0: one for each processor; CUDA uses two). One thread at a time.
class DetectorEvaluator {
 public:
  /// Throws InvalidInput where network and canvases do not fit together or the network is a classifier.
  DetectorEvaluator(const NetworkSpec& network, Device device, const TestCanvases& canvases,
                    const EvaluationSettings& settings, int threads = 0);
  ~DetectorEvaluator();
  DetectorEvaluator(const DetectorEvaluator&) = delete;
  DetectorEvaluator& operator=(const DetectorEvaluator&) = delete;

  /// weights: the network's flat buffer. A `stop_signal` that is not 0 ends it early.
  ProtocolEvaluation run(const std::vector<float>& weights, const std::atomic<int>* stop_signal = nullptr);

 private:
  struct Implementation;
  std::unique_ptr<Implementation> implementation_;
};

/// A DetectorEvaluator's result for one model.
ProtocolEvaluation evaluate_detector(const NetworkSpec& network, const std::vector<float>& weights, Device device,
                                     const TestCanvases& canvases, const EvaluationSettings& settings, int threads = 0,
                                     const std::atomic<int>* stop_signal = nullptr);

/// The same on the canvases of (protocol, test, settings.seed). `glyphs` are those of the test split.
ProtocolEvaluation evaluate_on_protocol(const NetworkSpec& network, const std::vector<float>& weights, Device device,
                                        const GlyphSet& glyphs, const Protocol& protocol,
                                        const EvaluationSettings& settings, int threads = 0,
                                        const std::atomic<int>* stop_signal = nullptr);

}  // namespace gridspot
