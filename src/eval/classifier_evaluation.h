#pragma once
// A classifier measured on labelled canvases: which glyph is shown, or which glyphs are on the canvas.
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "eval/test_canvases.h"
#include "io/json.h"
#include "nn/block.h"

namespace gridspot {

/// Of the canvases (all that follows): a canvas has a class if an object of it is there, and the class is found if it
/// has the highest output (cross entropy) or its probability is at least 0.5 in any of the cells (multi-label).
struct ClassCounts {
  std::string name;
  std::int64_t present = 0, found = 0, right = 0;  ///< right: present and found
  [[nodiscard]] double precision() const { return found > 0 ? double(right) / double(found) : 0; }
  [[nodiscard]] double recall() const { return present > 0 ? double(right) / double(present) : 0; }
  [[nodiscard]] double f1() const { return present + found > 0 ? 2 * double(right) / double(present + found) : 0; }
};

struct ClassifierEvaluation {
  bool multi_label = false;
  int cells = 1;  ///< in which classes were looked for, along an axis
  std::int64_t canvases = 0;
  std::int64_t right = 0;  ///< canvases of which exactly the classes that are there were found
  std::vector<ClassCounts> per_class;
  std::vector<std::vector<std::int64_t>> confusion;  ///< [true class][found class]; empty with multi-label
  double seconds = 0;
  bool stopped = false;  ///< by the signal; nothing else is filled in then

  /// The accuracy; with multi-label the share of exact matches.
  [[nodiscard]] double accuracy() const { return canvases > 0 ? double(right) / double(canvases) : 0; }
  [[nodiscard]] double macro_f1() const;  ///< mean over the classes
  [[nodiscard]] double micro_f1() const;  ///< of the counts of all classes
};

struct ClassifierSettings {
  int count = 1000;  ///< of composed canvases
  Precision precision = Precision::tf32;
  EngineSettings engines;
};

/// Measures classifiers of one network on the same canvases: composed ones 0 ... count - 1, or the whole fixed set.
/// Everything is planned and allocated at construction. The result does not depend on `threads` (0: one for each
/// processor; CUDA uses two). One thread at a time.
class ClassifierEvaluator {
 public:
  /// Throws InvalidInput where network and canvases do not fit together, or the network is no classifier, or one of
  /// several cells without multi-label.
  ClassifierEvaluator(const NetworkSpec& network, Device device, const TestCanvases& canvases,
                      const ClassifierSettings& settings, int threads = 0);
  ~ClassifierEvaluator();
  ClassifierEvaluator(const ClassifierEvaluator&) = delete;
  ClassifierEvaluator& operator=(const ClassifierEvaluator&) = delete;

  /// weights: the network's flat buffer. A `stop_signal` that is not 0 ends it early. Throws InvalidInput where the
  /// network finds one class and a canvas shows none or several.
  ClassifierEvaluation run(const std::vector<float>& weights, const std::atomic<int>* stop_signal = nullptr);

 private:
  struct Implementation;
  std::unique_ptr<Implementation> implementation_;
};

/// A ClassifierEvaluator's result for one model.
ClassifierEvaluation evaluate_classifier(const NetworkSpec& network, const std::vector<float>& weights, Device device,
                                         const TestCanvases& canvases, const ClassifierSettings& settings,
                                         int threads = 0, const std::atomic<int>* stop_signal = nullptr);

/// Keys: task ("digits", "canvases" or "cells"), canvases, accuracy or exact_match, macro_F1, micro_F1 (multi-label),
/// per_class (name, present, found, precision, recall, F1) and confusion_matrix (one class).
Json to_json(const ClassifierEvaluation& evaluation);

/// A line a class in columns, and one for all. Ends in a line end.
std::string to_table(const ClassifierEvaluation& evaluation);

}  // namespace gridspot
