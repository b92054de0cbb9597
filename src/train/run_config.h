#pragma once
// Everything that decides what a training run computes. config.json in the run folder is this, whole; a run repeated
// from it ends in the same bytes.
#include <cstdint>
#include <string>
#include <string_view>

#include "eval/protocol_evaluation.h"
#include "gridspot/protocol.h"
#include "kernels/loss.h"
#include "kernels/optimizer.h"
#include "nn/network_spec.h"

namespace gridspot {

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
  float objectness_prior = 0.02f;         ///< what the first weights predict; see Network::initial_weights
  LossSettings loss;
  OptimizerSettings optimizer;  ///< schedule.steps follows `steps`
  EvaluationSettings evaluation;
  std::uint64_t checkpoint_every = 0;  ///< steps; 0: only at the end
};

/// The recommended settings for a preset ("quick", "small", "seed", "seed-fc") or for the network of a JSON file, on
/// its usual protocol. Throws InvalidInput for an unknown preset.
RunConfig default_config(std::string_view preset);

/// Strict: unknown keys, wrong types and values outside their ranges are InvalidInput with the key's path.
RunConfig parse_config(std::string_view json_text, const std::string& origin);
std::string to_json_text(const RunConfig& config);

/// Sets one value by its path in config.json, e.g. "optimizer.schedule.peak=0.002" or "protocol.noise=0.1".
void set_value(RunConfig& config, std::string_view assignment);

}  // namespace gridspot
