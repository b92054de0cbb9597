#pragma once
// A whole training run in a folder: config.json, metrics.jsonl, results.csv, model.safetensors.
#include <atomic>
#include <filesystem>
#include <ostream>
#include <string>
#include <vector>

#include "data/glyph_set.h"
#include "train/run_config.h"

namespace gridspot {

struct RunOptions {
  std::filesystem::path folder;
  bool overwrite = false;                         ///< replace a run that is there
  int threads = 0;                                ///< 0: one for each processor
  std::ostream* log = nullptr;                    ///< progress; may be null
  bool terminal = false;                          ///< `log` is one
  const std::atomic<int>* stop_signal = nullptr;  ///< not 0: stop cleanly after the step
};

struct RunSummary {
  std::uint64_t steps = 0, canvases = 0;
  double seconds = 0;    ///< of the steps alone
  bool stopped = false;  ///< by stop_signal, before the last step
  double last_loss = 0;  ///< mean over the last steps
  std::filesystem::path model;
};

/// The digest of a glyph set's pixels and labels, as config.json records it.
std::string glyph_digest(const GlyphSet& glyphs);

/// Trains to the configured number of steps, or to the signal. metrics.jsonl gets a line each step, results.csv one
/// each epoch, model.safetensors is written every checkpoint_every steps and at the end. Throws InvalidInput when the
/// folder already holds a run (unless overwrite) or the glyphs are not those of the configuration; NumericalError as
/// Trainer, after which the last model.safetensors is left as it was.
RunSummary run_training(const RunConfig& config, const GlyphSet& glyphs, const RunOptions& options);

}  // namespace gridspot
