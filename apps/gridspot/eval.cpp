// gridspot eval
#include <iostream>

#include "apps/gridspot/commands.h"
#include "apps/gridspot/evaluation_output.h"
#include "apps/gridspot/signals.h"
#include "apps/gridspot/usage.h"
#include "eval/coco_files.h"
#include "train/model.h"

namespace gridspot::app {

namespace {

struct Options {
  std::filesystem::path model, coco_out, out;
  std::string protocol, dataset, data = "auto", device = "auto";
  std::vector<std::string> settings;
  EvaluationSettings evaluation;
  ComputeOptions compute;
  int threads = 0;
  bool json = false, strict = false;
};

TestData test_data(const Options& options, const Model& model, const RunConfig& trained, Device device) {
  const std::string folder = !options.dataset.empty()   ? options.dataset
                             : options.protocol.empty() ? trained.training_set.folder
                                                        : "";
  if (!folder.empty()) return load_test_folder(folder, model.network, device, options.strict, &std::cerr);
  Protocol protocol = options.protocol.empty() ? trained.protocol : find_protocol(options.protocol);
  for (const std::string& setting : options.settings) set_option(protocol, setting);
  return load_test_glyphs(options.data, protocol);
}

int eval_model(const Options& options) {
  const Model model = load_model(options.model);
  require(options.coco_out.empty() || !model.network.detector.classifies_only(),
          "--coco-out: " + options.model.string() + " is a classifier, it finds no boxes");
  const RunConfig trained = config_of(model);
  EvaluationSettings settings = options.evaluation;
  settings.detection.precision = trained.precision;
  settings.detection.engines = trained.engines;
  options.compute.apply_to(settings.detection.precision, settings.detection.engines);
  const Device device = parse_device(options.device);
  const TestData data = test_data(options, model, trained, device);
  const StopSignals signals;
  std::cerr << "Evaluating " << options.model.string() << " on " << data.name << " canvases of "
            << (data.canvases ? data.canvases->source : data.glyphs.source) << ", on " << to_string(device) << '\n';
  const ModelEvaluation evaluation = evaluate_model(
      model, device, data,
      {.settings = settings, .threads = options.threads, .stop_signal = &signals.flag(), .folder = options.out});
  if (evaluation.stopped()) {
    std::cerr << "Stopped before the evaluation was done\n";
    return signals.exit_code();
  }
  warn_of_truncation(evaluation);
  if (!options.coco_out.empty()) {
    const eval::EvaluationSet& set = std::get<ProtocolEvaluation>(evaluation.result).set;
    std::filesystem::create_directories(options.coco_out);
    eval::write_coco_ground_truth(options.coco_out / "ground_truth.json", set);
    eval::write_coco_detections(options.coco_out / "detections.json", set);
  }
  if (options.json)
    std::cout << to_text(to_json(evaluation));
  else
    print(std::cout, evaluation);
  return 0;
}

}  // namespace

Command add_eval(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  EvaluationSettings& evaluation = options->evaluation;
  app.add_option("model", options->model, "a model.safetensors")->required();
  app.add_option("--protocol", options->protocol, "the canvases (default: what it was trained on)")
      ->check(accepted_by(find_protocol));
  app.add_option("--count", evaluation.count, "composed canvases (a --dataset is measured whole)")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--seed", evaluation.seed, "in the protocol's test seed space")
      ->check(CLI::Range(std::uint64_t{0}, max_seed))
      ->capture_default_str();
  app.add_option("--threshold", evaluation.detection.score_threshold, "lower scores are no detections")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  app.add_option("--nms", evaluation.detection.nms_threshold, "IoU above which the lower score is suppressed")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  app.add_option("--capacity", evaluation.detection.capacity, "detections an image, those with the highest scores")
      ->check(CLI::Range(1, max_nms_slots))
      ->capture_default_str();
  add_compute_options(app, options->compute);
  app.add_option("--data", options->data, "glyphs: auto, builtin, mnist, fashion-mnist or a folder")
      ->capture_default_str();
  app.add_option("--dataset", options->dataset,
                 "or the test (or val) split of a folder in YOLO's layout, or its data.yaml")
      ->excludes("--protocol");
  app.add_flag("--strict", options->strict, "a bad image or label of the folder is an error");
  app.add_option("--set", options->settings, "an option of the protocol, e.g. noise=0.1")
      ->allow_extra_args(false)
      ->check(accepted_by(check_protocol_option));
  app.add_option("--coco-out", options->coco_out, "folder for COCO's ground_truth.json and detections.json");
  app.add_option("--out", options->out, "folder for evaluation.json with curves and failures, COCO files and pictures");
  app.add_option("--device", options->device, "auto, cpu, cuda, cuda:N")
      ->check(accepted_by(parse_device))
      ->capture_default_str();
  app.add_option("--threads", options->threads, "processors to use (does not change the result)");
  app.add_flag("--json", options->json, "print one JSON object");
  return [options] { return eval_model(*options); };
}

}  // namespace gridspot::app
