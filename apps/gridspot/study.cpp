// gridspot study
#include <unistd.h>

#include <iostream>

#include "apps/gridspot/commands.h"
#include "apps/gridspot/signals.h"
#include "apps/gridspot/usage.h"
#include "io/atomic_file.h"
#include "report/table.h"
#include "train/study.h"

namespace gridspot::app {

namespace {

struct Options {
  StudySettings settings;
  std::filesystem::path out;
  int threads = 0;
  bool stream = false, tensorboard = false, json = false;
};

/// Of a study that is there its own settings, but for those that are asked for.
StudySettings settings_of(const CLI::App& app, const Options& options) {
  StudySettings asked = options.settings;
  if (options.stream) asked.images = 0;
  if (!std::filesystem::exists(options.out / "study.json")) return asked;
  StudySettings settings = read_study(options.out);
  const auto take = [&](const char* option, auto StudySettings::*member) {
    if (app.count(option) > 0) settings.*member = asked.*member;
  };
  take("--preset", &StudySettings::preset);
  take("--protocol", &StudySettings::protocol);
  take("--recipe", &StudySettings::recipe);
  take("--images", &StudySettings::images);
  take("--stream", &StudySettings::images);
  take("--epoch", &StudySettings::epoch_canvases);
  take("--milestones", &StudySettings::milestones);
  take("--count", &StudySettings::evaluation_count);
  take("--pretrain-images", &StudySettings::pretrain_images);
  take("--pretrain-epochs", &StudySettings::pretrain_epochs);
  take("--digit-epochs", &StudySettings::digit_epochs);
  take("--models", &StudySettings::models);
  take("--data", &StudySettings::data);
  take("--seed", &StudySettings::seed);
  take("--device", &StudySettings::device);
  return settings;
}

int study(const CLI::App& app, const Options& options) {
  const StopSignals signals;
  const bool done = run_study(settings_of(app, options), {.folder = options.out,
                                                          .tensorboard = options.tensorboard,
                                                          .threads = options.threads,
                                                          .log = &std::cerr,
                                                          .terminal = isatty(STDERR_FILENO) == 1,
                                                          .stop_signal = &signals.flag()});
  if (!done) {
    std::cerr << "Stopped; the same command goes on with " << options.out.string() << '\n';
    return signals.exit_code();
  }
  const report::Report result = report::collect_report(options.out);
  const auto page = options.out / "report.html";
  write_file_atomically(page, report::to_html(result));
  if (options.json)
    std::cout << to_text(report::to_json(result));
  else
    std::cout << report::to_table(result);
  std::cerr << "The report is " << page.string() << '\n';
  return 0;
}

}  // namespace

Command add_study(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  StudySettings& settings = options->settings;
  const auto count = [&](const char* name, int& value, const char* text) {
    return app.add_option(name, value, text)->check(CLI::PositiveNumber)->capture_default_str();
  };
  app.add_option("--preset", settings.preset, "quick, small, medium, seed, seed-fc, or a network's JSON file")
      ->check(accepted_by(check_network_name))
      ->capture_default_str();
  app.add_option("--protocol", settings.protocol, "the canvases (default: the preset's usual ones)")
      ->check(accepted_by(find_protocol));
  add_choice<StudyRecipe>(app, "--recipe", settings.recipe,
                          {{"original", StudyRecipe::original}, {"best", StudyRecipe::best}},
                          "original: as the study that this repeats; best: ours")
      ->default_str("best");
  app.add_option("--out", options->out,
                 "the study's folder; a study that is there goes on where it stopped, with its own settings")
      ->required();
  auto* images = count("--images", settings.images, "fixed canvases to train on");
  app.add_flag("--stream", options->stream, "fresh canvases at every step instead")->excludes(images);
  count("--epoch", settings.epoch_canvases, "canvases in an epoch of --stream");
  app.add_option("--milestones", settings.milestones, "epochs after which the models are evaluated and saved")
      ->delimiter(',')
      ->check(CLI::PositiveNumber)
      ->default_str("10,20");
  count("--count", settings.evaluation_count, "canvases that each evaluation takes");
  app.add_option("--pretrain-images", settings.pretrain_images, "fixed canvases for A's backbone; 0: fresh ones")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  count("--pretrain-epochs", settings.pretrain_epochs, "epochs of A's backbone");
  count("--digit-epochs", settings.digit_epochs, "epochs of B's backbone, each as many as there are glyphs");
  app.add_option(
         "--models", settings.models,
         "those that are trained: A, B, C; A with a backbone pre-trained on fresh canvases (A-fresh), 5 times as "
         "long (A-long), with a loss in each cell (A-cells), or all of this (A-all)")
      ->delimiter(',')
      ->check(CLI::IsMember(study_models()))
      ->default_str("A,B,C");
  app.add_option("--data", settings.data, "glyphs: auto, builtin, mnist, fashion-mnist or a folder")
      ->capture_default_str();
  app.add_option("--seed", settings.seed, "of weights and canvases, the same for all models")
      ->check(CLI::Range(std::uint64_t{0}, max_seed))
      ->capture_default_str();
  app.add_option("--device", settings.device, "auto, cpu, cuda, cuda:N")
      ->check(accepted_by(parse_device))
      ->capture_default_str();
  app.add_option("--threads", options->threads, "processors to use (does not change the result)");
  app.add_flag("--tensorboard", options->tensorboard, "write TensorBoard's event files into the models' folders");
  app.add_flag("--json", options->json, "print the report's figures as JSON");
  return [&app, options] { return study(app, *options); };
}

}  // namespace gridspot::app
