#pragma once
// The original's experiment: three detectors that differ only in where their backbone comes from.
#include <atomic>
#include <cstdint>
#include <filesystem>
#include <ostream>
#include <string>
#include <vector>

#include "io/json.h"
#include "train/recipes.h"

namespace gridspot {

/// A: pre-trained on canvases (which classes are there), B: on single glyphs, C: fresh. All else is equal: recipe,
/// canvases, seeds. Others ask on what A's gain depends: A-fresh (the same steps, each on fresh canvases), A-long (5
/// times the epochs), A-cells (which classes are centred in each cell, instead of on the canvas), A-all (the three
/// together).
struct StudySettings {
  std::string preset = "quick", protocol;  ///< protocol empty: the preset's usual one
  StudyRecipe recipe = StudyRecipe::best;
  std::string data = "auto", device = "auto";
  std::uint64_t seed = 1;
  int images = 1000;                               ///< the fixed training set; 0: fresh canvases at every step
  int epoch_canvases = 1000;                       ///< in an epoch of fresh canvases; of a fixed set it is the set
  std::vector<int> milestones{10, 20};             ///< epochs after which the models are evaluated and saved, rising
  int evaluation_count = 1000;                     ///< canvases
  int pretrain_images = 1000;                      ///< fixed canvases that A's backbone learns from; 0: fresh ones
  int pretrain_epochs = 10;                        ///< of epoch_canvases canvases
  int digit_epochs = 5;                            ///< each as many as there are glyphs, for B's backbone
  std::vector<std::string> models{"A", "B", "C"};  ///< those that are trained
  bool operator==(const StudySettings&) const = default;
};

struct StudyOptions {
  std::filesystem::path folder;
  bool tensorboard = false;  ///< write event files in the runs' folders too
  int threads = 0;           ///< 0: one for each processor
  std::ostream* log = nullptr;
  bool terminal = false;                          ///< `log` is one
  const std::atomic<int>* stop_signal = nullptr;  ///< not 0: stop cleanly after the step
};

/// The names of all models that a study can have.
std::vector<std::string> study_models();

/// study.json, `settings` and what follows from them: the file that a report begins with.
Json study_json(const StudySettings& settings);
StudySettings read_study(const std::filesystem::path& folder);

/// The protocols on which models of this network's input are measured: the study's own, and overlap-224, which training
/// never saw, where its canvases have the same size.
std::vector<std::string> study_protocols(const RunConfig& config);

/// Prepares the backbones, then trains each model to each milestone, evaluates it there and saves it. The folder holds
/// study.json, a folder backbone-*/ for each backbone, A/, B/ and C/, each a run (see training_run.h); each model's run
/// holds epoch-<milestone>.safetensors and evaluation/epoch-<milestone>/<protocol>/. A study that was stopped at any
/// moment goes on where it stopped when it is called again; models that are asked for then join those of before.
/// Returns whether it is done; false: stopped by the signal. Throws InvalidInput when the folder holds a study with
/// other settings or is in use, and what run_training throws.
bool run_study(const StudySettings& settings, const StudyOptions& options);

}  // namespace gridspot
