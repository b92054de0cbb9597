#include "train/training_run.h"

#include <chrono>
#include <cstdio>

#include "gridspot/error.h"
#include "io/sha256.h"
#include "train/checkpoint.h"
#include "train/progress.h"
#include "train/run_folder.h"
#include "train/trainer.h"

namespace gridspot {

namespace {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

std::string loss_text(double loss) {
  char text[32];
  std::snprintf(text, sizeof text, "loss %.4f", loss);
  return text;
}

void save(const std::filesystem::path& path, Trainer& trainer, const GlyphSet& glyphs) {
  save_model(path, {.network = trainer.config().network,
                    .weights = trainer.inference_weights(),
                    .classes = glyphs.class_names,
                    .protocol = trainer.config().protocol.name,
                    .step = trainer.steps_done(),
                    .config = to_json_text(trainer.config())});
}

}  // namespace

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

RunSummary run_training(const RunConfig& asked, const GlyphSet& glyphs, const RunOptions& options) {
  RunConfig config = resolve(asked);
  const std::string digest = glyph_digest(glyphs);
  require(config.glyphs.empty() || config.glyphs == digest,
          "the glyphs of '" + glyphs.source + "' (SHA-256 " + digest + ") are not those of the configuration (" +
              config.glyphs + "); --set glyphs= trains on them all the same");
  config.glyphs = digest;
  Trainer trainer(config, glyphs, options.threads);
  RunFolder folder(options.folder, trainer.config(), options.overwrite);

  std::optional<Progress> progress;
  if (options.log) progress.emplace(*options.log, options.terminal, config.steps);

  RunSummary summary{.model = folder.model_path()};
  const auto start = Clock::now();
  double smoothed_loss = 0;
  std::uint64_t written = 0;
  while (trainer.steps_done() < config.steps) {
    trainer.step();
    const std::uint64_t done = trainer.steps_done();
    summary.stopped = options.stop_signal && *options.stop_signal != 0 && done < config.steps;
    const bool save_now = config.checkpoint_every > 0 && done % config.checkpoint_every == 0 && done < config.steps;
    const bool take_now = done % trainer.steps_between_metrics() == 0;
    if (!take_now && done < config.steps && !summary.stopped && !save_now) continue;
    // Until there are none: where a step was not finite, the call after the last good one says so.
    for (auto taken = trainer.take_metrics(); !taken.empty(); taken = trainer.take_metrics())
      for (const StepMetrics& metrics : taken) {
        folder.add(++written, metrics, seconds_since(start));
        const double loss = metrics.objectness + metrics.box + metrics.classes;
        smoothed_loss += (loss - smoothed_loss) / static_cast<double>(std::min<std::uint64_t>(written, 20));
      }
    const double seconds = seconds_since(start);
    if (progress)
      progress->update(done, loss_text(smoothed_loss), static_cast<double>(done * config.batch) / seconds,
                       "canvases/s");
    if (save_now) save(summary.model, trainer, glyphs);
    if (summary.stopped) break;
  }
  summary.seconds = seconds_since(start);
  summary.steps = trainer.steps_done();
  summary.canvases = summary.steps * config.batch;
  summary.last_loss = smoothed_loss;
  folder.finish(summary.seconds);
  save(summary.model, trainer, glyphs);
  if (progress) progress->finish();
  return summary;
}

}  // namespace gridspot
