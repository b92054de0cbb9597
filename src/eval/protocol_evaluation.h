#pragma once
// A model measured on the canvases of a protocol.
#include <atomic>
#include <cstdint>
#include <vector>

#include "data/glyph_set.h"
#include "eval/evaluation.h"
#include "nn/detector.h"

namespace gridspot {

struct EvaluationSettings {
  int count = 1000;        ///< canvases
  std::uint64_t seed = 1;  ///< in the protocol's test seed space
  DetectionSettings detection{.score_threshold = 0.01f};
};

struct ProtocolEvaluation {
  eval::EvaluationSet set;  ///< ground truth and detections, canvas by canvas
  eval::Evaluation evaluation;
  double class_accuracy =
      0;  ///< share of cells with an object whose highest class output is the object's; 0 without objects
  std::int64_t unplaced = 0;   ///< glyphs that the canvases had no place for
  std::int64_t truncated = 0;  ///< detections beyond the capacity, which were left out
  double seconds = 0;          ///< composing, detecting, and bringing the detections to the host
  bool stopped = false;        ///< by the signal; nothing else is filled in then
};

/// weights: the network's flat buffer. `glyphs` are those of the test split. Canvases 0 ... count - 1 of (protocol,
/// test, seed); the result does not depend on `threads` (0: one for each processor; CUDA uses one). A `stop_signal`
/// that is not 0 ends it early. Throws InvalidInput where network, glyphs and protocol do not fit together.
ProtocolEvaluation evaluate_on_protocol(const NetworkSpec& network, const std::vector<float>& weights, Device device,
                                        const GlyphSet& glyphs, const Protocol& protocol,
                                        const EvaluationSettings& settings, int threads = 0,
                                        const std::atomic<int>* stop_signal = nullptr);

}  // namespace gridspot
