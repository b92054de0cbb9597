#pragma once
// A whole training run in a folder: config.json, metrics.jsonl, results.csv, validation.jsonl, checkpoints/,
// model.safetensors, best.safetensors.
#include <atomic>
#include <filesystem>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "data/canvas_set.h"
#include "data/data_yaml.h"
#include "data/glyph_set.h"
#include "io/atomic_file.h"
#include "train/run_config.h"
#include "train/trainer.h"

namespace gridspot {

/// What a run learns from: glyphs, of which canvases are composed; or the canvases of a folder.
struct TrainingData {
  GlyphSet glyphs;                      ///< without those held out; none with a folder
  std::optional<GlyphSet> held_out;     ///< for validations
  std::optional<CanvasSet> canvases;    ///< of a folder's train split
  std::optional<CanvasSet> validation;  ///< of its val split, if it has one

  [[nodiscard]] const std::vector<std::string>& class_names() const {
    return canvases ? canvases->class_names : glyphs.class_names;
  }
  [[nodiscard]] const std::string& source() const { return canvases ? canvases->source : glyphs.source; }
};

/// The data.yaml of a folder, or the file itself.
DataYaml read_folder_yaml(const std::filesystem::path& folder);

/// A split of a YOLO folder, fitted to the network's input. Pairs of image and label that break a rule are named on
/// `log` (may be null) and left out; with `strict` they are an error. Throws what read_yolo_folder throws.
CanvasSet read_split(const std::filesystem::path& folder, YoloSplit split, const NetworkSpec& network, Device device,
                     bool strict, std::ostream* log);

/// Glyphs, some of which are held out where the configuration says so.
TrainingData to_training_data(const RunConfig& config, GlyphSet glyphs);

/// What config.data or config.training_set.folder names. Throws what the readers throw.
TrainingData load_training_data(const RunConfig& config, std::ostream* log);

/// `config` must be resolved. The trainer of a run: on the fixed canvases of a folder or of training_set.images, else
/// on the glyphs.
std::unique_ptr<Trainer> make_trainer(const RunConfig& config, const TrainingData& data, const TrainerOptions& options);

struct RunOptions {
  std::filesystem::path folder;
  bool overwrite = false;                         ///< replace a run that is there
  bool resume = false;                            ///< go on with the run that is there, from its newest checkpoint
  std::uint64_t until = 0;                        ///< pause, with a checkpoint, after this step; 0: at the end
  bool tensorboard = false;                       ///< write event files too
  int threads = 0;                                ///< 0: one for each processor
  int devices = 1;                                ///< see TrainerOptions
  std::uint64_t steps_per_launch = 1;             ///< likewise
  std::ostream* log = nullptr;                    ///< progress; may be null
  bool terminal = false;                          ///< `log` is one
  const std::atomic<int>* stop_signal = nullptr;  ///< not 0: stop cleanly after the step
  FileSystem* file_system = nullptr;              ///< for tests that let writing fail; null: the system's
};

struct RunSummary {
  std::uint64_t first_step = 0;           ///< those before were done by an earlier process
  std::uint64_t steps = 0, canvases = 0;  ///< in all
  double seconds = 0;                     ///< of this process's steps alone
  bool stopped = false;                   ///< by stop_signal, before the last step
  double last_loss = 0;                   ///< mean over the last steps
  std::filesystem::path model;
};

/// The digest of a glyph set's pixels and labels, as config.json records it.
std::string glyph_digest(const GlyphSet& glyphs);

/// Trains to the configured number of steps, to `until`, or to the signal. metrics.jsonl gets a line each step,
/// results.csv one each epoch, validation.jsonl one each validation; a checkpoint is written at the beginning, every
/// checkpoint_every steps and at the end, model.safetensors with it, best.safetensors after the best validation.
///
/// A run that was stopped at any moment by any means, and is resumed with the configuration in its config.json, ends in
/// the same bytes of the model, the last checkpoint, metrics.jsonl and validation.jsonl as one that was never stopped
/// (on the same device and version). Throws InvalidInput when the folder already holds a run (unless overwrite or
/// resume) or the data or the backbone are not those of the configuration; CheckpointError when there are checkpoints
/// but none can be read; NumericalError as Trainer, after which model and checkpoints are left as they were.
RunSummary run_training(const RunConfig& config, const TrainingData& data, const RunOptions& options);
/// The same with glyphs.
RunSummary run_training(const RunConfig& config, const GlyphSet& glyphs, const RunOptions& options);

}  // namespace gridspot
