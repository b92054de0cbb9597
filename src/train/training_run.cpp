#include "train/training_run.h"

#include <chrono>
#include <cstdio>
#include <tuple>

#include "data/yolo_folder.h"
#include "gridspot/error.h"
#include "io/sha256.h"
#include "io/tensorboard.h"
#include "train/backbone.h"
#include "train/checkpoint.h"
#include "train/model.h"
#include "train/progress.h"
#include "train/run_folder.h"
#include "train/trainer.h"
#include "train/validator.h"

namespace gridspot {

namespace {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

std::string loss_text(double loss) {
  char text[32];
  std::snprintf(text, sizeof text, "loss %.4f", loss);
  return text;
}

/// A digest that the configuration states must be that of what was found; one that it does not state is filled in.
void check_digest(std::string& stated, const std::string& found, const std::string& what, const char* setting) {
  require(stated.empty() || stated == found, what + " (SHA-256 " + found + ") are not those of the configuration (" +
                                                 stated + "); --set " + setting + "= takes them all the same");
  stated = found;
}

class TrainingRun {
 public:
  TrainingRun(const RunConfig& asked, const TrainingData& data, const RunOptions& options)
      : options_(options),
        file_system_(options.file_system ? *options.file_system : own_file_system_),
        classes_(data.class_names()) {
    RunConfig config = resolve(asked);
    if (!data.canvases)
      check_digest(config.glyphs, glyph_digest(data.glyphs), "the glyphs of '" + data.source() + "'", "glyphs");
    if (data.canvases)
      check_digest(config.training_set.digest, canvas_digest(*data.canvases), "the canvases of '" + data.source() + "'",
                   "training_set.digest");
    trainer_ = make_trainer(
        config, data,
        {.threads = options.threads, .devices = options.devices, .steps_per_launch = options.steps_per_launch});
    start(std::move(config));
    validator_.emplace(config_, data, trainer_->glyphs(), options.threads);
    if (options.log) progress_.emplace(*options.log, options.terminal, trainer_->steps_done(), config_.steps);
    if (options.tensorboard) events_.emplace(options.folder, trainer_->steps_done() + 1, file_system_);
  }

  RunSummary run() {
    summary_.first_step = trainer_->steps_done();
    summary_.model = folder_->model_path();
    start_ = Clock::now();
    const std::uint64_t end = options_.until > 0 ? std::min(options_.until, config_.steps) : config_.steps;
    if (is_unvalidated()) validate();
    // Of a resumed run the same again: the one before may have been stopped between the checkpoint and its link.
    checkpoint();
    while (trainer_->steps_done() < end && !summary_.stopped) step(end);
    finish();
    return summary_;
  }

 private:
  /// Puts the trainer where the run begins or goes on, and opens the folder there.
  void start(RunConfig config) {
    config_ = std::move(config);
    std::optional<TrainerState> state;
    if (options_.resume) {
      read_run_config(options_.folder);  // throws where there is no run
      state = resume_state();
    }
    if (!state) state = first_state();
    trainer_->restore(*state);
    if (options_.resume)
      folder_.emplace(options_.folder, config_, ResumedRun{state->step}, file_system_);
    else
      folder_.emplace(options_.folder, config_, NewRun{options_.overwrite}, file_system_);
    checkpoints_.emplace(folder_->checkpoints(), config_.keep_checkpoints, file_system_);
    if (options_.log && !folder_->validations().empty() && !std::filesystem::exists(folder_->best_path()))
      *options_.log << "gridspot: " << folder_->best_path().string()
                    << " is missing; it comes back only with a better validation\n";
  }

  TrainerState first_state() {
    TrainerState state = trainer_->state();
    BackboneSource& backbone = config_.backbone;
    if (backbone.file.empty()) return state;
    const LoadedBackbone loaded = load_backbone(backbone.file, trainer_->network(), state.weights);
    check_digest(backbone.digest, loaded.digest, "the tensors of '" + backbone.file + "'", "backbone.digest");
    if (!state.average.empty()) state.average = state.weights;
    if (options_.log) {
      const auto list = [&](const char* what, const std::vector<std::string>& names) {
        *options_.log << what;
        for (const auto& name : names) *options_.log << ' ' << name;
      };
      *options_.log << "From " << backbone.file;
      list(" taken:", loaded.taken);
      list("; left:", loaded.left);
      *options_.log << '\n';
    }
    return state;
  }

  std::optional<TrainerState> resume_state() {
    const auto folder = options_.folder / "checkpoints";
    const auto found = CheckpointFolder(folder, config_.keep_checkpoints, file_system_).newest(config_);
    std::string refused;
    for (const std::string& reason : found.refused) refused += "\n  " + reason;
    if (!found.state && !refused.empty())
      throw CheckpointError(folder.string() + ": no checkpoint can be read:" + refused);
    if (options_.log && !refused.empty()) *options_.log << "gridspot: passed over:" << refused << '\n';
    if (options_.log && !found.state) *options_.log << "gridspot: there is no checkpoint yet: from the beginning\n";
    return found.state;
  }

  [[nodiscard]] bool saves_at(std::uint64_t step) const {
    return config_.checkpoint_every > 0 && step % config_.checkpoint_every == 0;
  }

  /// How many steps there are up to the next that something follows; no more than a launch holds.
  [[nodiscard]] std::uint64_t steps_to_next_halt(std::uint64_t end) const {
    const std::uint64_t done = trainer_->steps_done(), most = std::min(trainer_->steps_per_launch(), end - done);
    for (std::uint64_t steps = 1; steps < most; ++steps)
      if (saves_at(done + steps) || validator_->is_due(done + steps)) return steps;
    return most;
  }

  void step(std::uint64_t end) {
    trainer_->advance(steps_to_next_halt(end));
    const std::uint64_t done = trainer_->steps_done();
    summary_.stopped = options_.stop_signal && *options_.stop_signal != 0 && done < config_.steps;
    const bool saves = done == end || summary_.stopped || saves_at(done), validates = validator_->is_due(done);
    if (saves || validates)
      write_metrics([this] { return trainer_->take_metrics(); });
    else
      write_metrics([this] { return trainer_->take_finished_metrics(); });
    if (progress_)
      progress_->update(done, loss_text(smoothed_loss_),
                        static_cast<double>((done - summary_.first_step) * config_.batch) / seconds_since(start_),
                        "canvases/s");
    if (validates && !summary_.stopped) validate();
    if (saves || summary_.stopped) checkpoint();
  }

  template <class Take>
  void write_metrics(const Take& take) {
    std::uint64_t written = metrics_written_;
    // Until there are none: where a step was not finite, the call after the last good one says so.
    for (auto taken = take(); !taken.empty(); taken = take())
      for (const StepMetrics& metrics : taken) {
        folder_->add(summary_.first_step + ++written, metrics, folder_->seconds_before() + seconds_since(start_));
        metrics_written_ = written;
        const double loss = metrics.objectness + metrics.box + metrics.classes;
        smoothed_loss_ += (loss - smoothed_loss_) / static_cast<double>(std::min<std::uint64_t>(written, 20));
        if (events_) write_events(summary_.first_step + written, metrics);
      }
  }

  void write_events(std::uint64_t step, const StepMetrics& metrics) {
    events_->scalar(step, "loss/total", metrics.objectness + metrics.box + metrics.classes);
    events_->scalar(step, "loss/objectness", metrics.objectness);
    events_->scalar(step, "loss/box", metrics.box);
    events_->scalar(step, "loss/class", metrics.classes);
    events_->scalar(step, "gradient_norm", metrics.gradient_norm);
    events_->scalar(step, "learning_rate", learning_rate(config_.optimizer.schedule, step - 1));
  }

  /// A signal during a validation leaves it out; the resumed run makes up for it.
  [[nodiscard]] bool is_unvalidated() const {
    const std::uint64_t done = trainer_->steps_done();
    const auto& made = folder_->validations();
    return validator_->is_due(done) && (made.empty() || made.back().at("step") != done);
  }

  void validate() {
    const auto measures = validator_->measure(trainer_->inference_weights(), options_.stop_signal);
    if (!measures) {
      summary_.stopped = true;
      return;
    }
    double best = -1;
    for (const Json& made : folder_->validations()) best = std::max(best, Validator::score(made));
    const std::uint64_t done = trainer_->steps_done();
    // Before the line: a run that is stopped between the two validates again and finds the model as good.
    if (Validator::score(*measures) > best) save(folder_->best_path());
    folder_->add_validation(done, *measures);
    if (events_)
      for (const auto& [name, value] : measures->items())
        events_->scalar(done, "validation/" + name, value.get<float>());
  }

  /// The lines of the steps before reach the disk first: what a checkpoint goes on from is complete.
  void checkpoint() {
    folder_->synchronize();
    checkpoints_->save(config_, trainer_->state());
    save(folder_->model_path());
    if (events_) events_->flush();
  }

  void save(const std::filesystem::path& path) {
    save_model(path,
               {.network = config_.network,
                .weights = trainer_->inference_weights(),
                .classes = classes_,
                .protocol = config_.protocol.name,
                .step = trainer_->steps_done(),
                .config = to_json_text(config_)},
               file_system_);
  }

  void finish() {
    summary_.seconds = seconds_since(start_);
    summary_.steps = trainer_->steps_done();
    summary_.canvases = summary_.steps * config_.batch;
    summary_.last_loss = smoothed_loss_;
    if (summary_.steps == config_.steps) folder_->finish(folder_->seconds_before() + summary_.seconds);
    save(summary_.model);
    if (events_) events_->flush();
    if (progress_) progress_->finish();
  }

  const RunOptions& options_;
  FileSystem own_file_system_;
  FileSystem& file_system_;
  std::vector<std::string> classes_;
  RunConfig config_;
  std::unique_ptr<Trainer> trainer_;
  std::optional<RunFolder> folder_;
  std::optional<CheckpointFolder> checkpoints_;
  std::optional<Validator> validator_;
  std::optional<Progress> progress_;
  std::optional<EventWriter> events_;
  RunSummary summary_;
  Clock::time_point start_;
  double smoothed_loss_ = 0;
  std::uint64_t metrics_written_ = 0;  ///< by this process
};

}  // namespace

std::unique_ptr<Trainer> make_trainer(const RunConfig& config, const TrainingData& data,
                                      const TrainerOptions& options) {
  if (data.canvases) return std::make_unique<Trainer>(config, *data.canvases, options);
  const int images = config.training_set.images;
  if (images == 0) return std::make_unique<Trainer>(config, data.glyphs, options);
  Stream stream(parse_device(config.device));
  return std::make_unique<Trainer>(
      config, render_canvases(stream, training_protocol(config), data.glyphs, Split::train, config.seed, images),
      options);
}

std::string glyph_digest(const GlyphSet& glyphs) {
  Sha256 digest;
  const std::int32_t shape[]{glyphs.height, glyphs.width};
  const auto bytes_of = [](const auto* data, std::size_t bytes) {
    return std::span(reinterpret_cast<const std::uint8_t*>(data), bytes);
  };
  digest.update(bytes_of(shape, sizeof shape));
  digest.update(glyphs.pixels);
  digest.update(bytes_of(glyphs.labels.data(), glyphs.labels.size() * sizeof(glyphs.labels[0])));
  return digest.finish();
}

DataYaml read_folder_yaml(const std::filesystem::path& folder) {
  return read_data_yaml(std::filesystem::is_directory(folder) ? folder / "data.yaml" : folder);
}

CanvasSet read_split(const std::filesystem::path& folder, YoloSplit split, const NetworkSpec& network, Device device,
                     bool strict, std::ostream* log) {
  Stream stream(device);
  const DataYaml yaml = read_folder_yaml(folder);
  if (log && !yaml.ignored.empty()) {
    *log << "gridspot: not used of data.yaml:";
    for (const std::string& key : yaml.ignored) *log << ' ' << key;
    *log << " (nothing that it names is executed or downloaded)\n";
  }
  if (lacks_root_folder(yaml)) {
    const std::string fault = yaml.source + ": there is no folder '" + yaml.path + "', its path";
    require(!strict, fault);
    if (log) *log << "gridspot: " << fault << "; " << root_folder(yaml).string() << " is taken instead\n";
  }
  YoloFolder read = read_yolo_folder(stream, folder, split, network.input.height, network.input.width, strict);
  if (log && !read.skipped.empty()) {
    for (const std::string& reason : read.skipped) *log << "gridspot: left out: " << reason << '\n';
    *log << "gridspot: " << read.skipped.size() << " files of the " << to_string(split) << " split were left out, "
         << read.canvases.count() << " images are used\n";
  }
  return std::move(read.canvases);
}

TrainingData to_training_data(const RunConfig& config, GlyphSet glyphs) {
  TrainingData data;
  if (config.validation.held_out > 0)
    std::tie(data.glyphs, data.held_out) = hold_out(glyphs, config.validation.held_out);
  else
    data.glyphs = std::move(glyphs);
  return data;
}

TrainingData load_training_data(const RunConfig& config, std::ostream* log) {
  const TrainingSet& set = config.training_set;
  if (set.folder.empty()) return to_training_data(config, load_glyphs(config.data, Split::train));
  TrainingData data;
  const auto read = [&](YoloSplit split) {
    return read_split(set.folder, split, config.network, parse_device(config.device), set.strict, log);
  };
  data.canvases = read(YoloSplit::train);
  if (has_own_folder(read_folder_yaml(set.folder), YoloSplit::val)) data.validation = read(YoloSplit::val);
  return data;
}

RunSummary run_training(const RunConfig& config, const TrainingData& data, const RunOptions& options) {
  return TrainingRun(config, data, options).run();
}

RunSummary run_training(const RunConfig& config, const GlyphSet& glyphs, const RunOptions& options) {
  return run_training(config, to_training_data(config, glyphs), options);
}

}  // namespace gridspot
