#pragma once
// What each preset is trained on and how, unless the user says otherwise.
#include <string_view>

#include "train/run_config.h"

namespace gridspot {

/// What a network learns. A detector has predictors; a classifier says which glyph is shown (one class, cross entropy)
/// which glyphs are on the canvas, or which are centred in each cell of a coarse grid (multi-label).
enum class Task { detection, digits, canvases, cells };

Task task_of(const NetworkSpec& network);

/// The recommended settings for a preset ("quick", "small", "medium", "seed", "seed-fc") or for the network of a JSON
/// file, on its usual protocol. Throws InvalidInput for an unknown preset.
RunConfig default_config(std::string_view preset);

/// The same backbone under a classifier's head. `digits`: the flattened features, a hidden layer of 128 and the
/// classes, on canvases of 28x28; `canvases`: the features averaged to 7x7 before that, on the network's own input;
/// `cells`: the same in each of these 7x7 cells by itself.
NetworkSpec classifier_of(const NetworkSpec& network, Task task);

/// The recommended settings for pre-training a preset's backbone. Throws InvalidInput for Task::detection.
RunConfig pretrain_config(Task task, std::string_view preset);

/// How the study trains its models (see study.h).
enum class StudyRecipe {
  original,  ///< batch 16, Adam 1e-3, L2 1e-4, clipped at 1, MSE class loss, linear sizes, MSE boxes: as the notebook
  best,      ///< ours, for the best average precision after the same 20 epochs
};

/// Settings of one of the study's models for `epochs` epochs of a fixed set of `images`, or where that is 0 of
/// `epoch_canvases` fresh canvases.
RunConfig study_config(StudyRecipe recipe, std::string_view preset, std::string_view protocol, int epochs, int images,
                       int epoch_canvases);

}  // namespace gridspot
