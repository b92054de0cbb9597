#pragma once
// A model measured after its training, and the folder that keeps what was found.
#include <atomic>
#include <filesystem>
#include <optional>
#include <ostream>
#include <string>
#include <variant>

#include "data/canvas_set.h"
#include "eval/classifier_evaluation.h"
#include "eval/protocol_evaluation.h"
#include "train/model.h"

namespace gridspot {

/// What a model is measured on: glyphs of the test split with a protocol, or the canvases of a YOLO folder.
struct TestData {
  std::string name;  ///< the protocol's, or that of the folder's split
  Protocol protocol;
  GlyphSet glyphs;                    ///< none with a folder
  std::optional<CanvasSet> canvases;  ///< of a folder
};

/// The test glyphs that `data` names (see load_glyphs).
TestData load_test_glyphs(const std::string& data, const Protocol& protocol);
/// Whether a YOLO folder has a test or val split whose images are not those of train.
bool has_test_split(const std::filesystem::path& folder);
/// The test split of a YOLO folder, or its val split where there is none, fitted to the network's input. Pairs that
/// break a rule are named on `log` (may be null) and left out; with `strict` they are an error.
TestData load_test_folder(const std::filesystem::path& folder, const NetworkSpec& network, Device device, bool strict,
                          std::ostream* log);

struct ModelEvaluation {
  std::string name;  ///< of the test data
  std::variant<ProtocolEvaluation, ClassifierEvaluation> result;

  [[nodiscard]] bool stopped() const {
    return std::visit([](const auto& each) { return each.stopped; }, result);
  }
};

struct ModelEvaluationOptions {
  EvaluationSettings settings;
  int threads = 0;                                ///< 0: one for each processor
  const std::atomic<int>* stop_signal = nullptr;  ///< not 0: end early
  std::filesystem::path folder;                   ///< kept there (see write_evaluation); empty: nowhere
};

/// A detector on settings.count canvases or a whole folder; a classifier of glyphs on every glyph of the test split,
/// unaltered; a multi-label classifier on settings.count canvases. Throws InvalidInput where model and data do not fit
/// together.
ModelEvaluation evaluate_model(const Model& model, Device device, const TestData& data,
                               const ModelEvaluationOptions& options);

}  // namespace gridspot
