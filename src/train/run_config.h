#pragma once
// Everything that decides what a training run computes. config.json in the run folder is this, whole; a run repeated
// from it ends in the same bytes.
#include <cstdint>
#include <string>
#include <string_view>

#include "eval/protocol_evaluation.h"
#include "gridspot/protocol.h"
#include "kernels/canvas_store.h"
#include "kernels/loss.h"
#include "kernels/optimizer.h"
#include "nn/network_spec.h"

namespace gridspot {

/// What is trained on: canvases composed at every step, or fixed ones.
struct TrainingSet {
  int images = 0;             ///< that many canvases of the protocol, composed once; 0: none
  std::string folder;         ///< or those of the train split of a YOLO folder
  std::string digest;         ///< SHA-256 of the canvases and labels; a repeated run refuses others
  bool strict = false;        ///< a pair of image and label that breaks a rule is an error; else it is left out
  int max_glyphs = 0;         ///< on a composed canvas, in the place of the protocol's; 0: the protocol's
  bool shuffle = true;        ///< a new order in every epoch, a function of the seed; else that of the set
  Augmentation augmentation;  ///< of each canvas, each time anew
  [[nodiscard]] bool is_fixed() const { return images > 0 || !folder.empty(); }
};

/// The backbone's first weights from a model file.
struct BackboneSource {
  std::string file;                 ///< empty: initial values
  std::string digest;               ///< SHA-256 of the tensors that were taken; a repeated run refuses others
  std::uint64_t frozen_epochs = 0;  ///< of epoch_canvases, at the start: only the head is trained
};

/// How the best model of a run is found.
struct ValidationSettings {
  std::uint64_t every_epochs = 5;  ///< 0: never
  int count = 200;                 ///< composed canvases; a folder's val split is measured whole
  std::uint64_t seed = 1;          ///< in the protocol's validation seed space
  float held_out = 0;              ///< share of the training glyphs that validations alone see, the last of each class
};

struct RunConfig {
  std::string gridspot;  ///< the version that wrote it
  NetworkSpec network;
  Protocol protocol;
  std::string data = "auto";    ///< what was asked for; `glyphs` says what was found
  std::string glyphs;           ///< SHA-256 of the training glyphs and labels; a repeated run refuses others
  std::string device = "auto";  ///< cpu or cuda:N once resolved
  std::uint64_t seed = 1;
  std::uint64_t steps = 1000;
  std::uint64_t epoch_canvases = 1000;  ///< what --epochs counts in
  int batch = 32;
  int shards = 0;  ///< 0: up to 8 of at least 4 canvases on the CPU, 1 on CUDA; decides the order of sums
  Precision precision = Precision::tf32;  ///< of training and evaluation
  EngineSettings engines;                 ///< likewise
  float objectness_prior = 0.02f;         ///< what the first weights predict; see Network::initial_weights
  LossSettings loss;
  OptimizerSettings optimizer;  ///< schedule.steps follows `steps`
  TrainingSet training_set;
  BackboneSource backbone;
  ValidationSettings validation;
  EvaluationSettings evaluation;
  std::uint64_t checkpoint_every = 500;  ///< steps; 0: only at the beginning and the end
  int keep_checkpoints = 2;              ///< the newest ones
};

/// The protocol of the canvases that are composed for training; validations and evaluations have config.protocol.
Protocol training_protocol(const RunConfig& config);

/// The steps in which only the head is trained.
std::uint64_t frozen_steps(const RunConfig& config);

/// After this step: every validation.every_epochs epochs and after the last step.
bool validation_is_due(const RunConfig& config, std::uint64_t step);

/// Strict: unknown keys, wrong types and values outside their ranges are InvalidInput with the key's path.
RunConfig parse_config(std::string_view json_text, const std::string& origin);
std::string to_json_text(const RunConfig& config);

/// Sets one value by its path in config.json, e.g. "optimizer.schedule.peak=0.002" or "protocol.noise=0.1".
void set_value(RunConfig& config, std::string_view assignment);

}  // namespace gridspot
