// gridspot eval
#include <iostream>

#include "apps/gridspot/commands.h"
#include "apps/gridspot/evaluation_output.h"
#include "eval/coco_files.h"
#include "gridspot/error.h"
#include "train/checkpoint.h"
#include "train/run_config.h"

namespace gridspot::app {

namespace {

struct Options {
  std::filesystem::path model, coco_out;
  std::string protocol, data = "auto", device = "auto";
  std::vector<std::string> settings;
  EvaluationSettings evaluation;
  int threads = 0;
  bool json = false;
};

int eval_model(const Options& options) {
  const Model model = load_model(options.model);
  const std::string name = options.protocol.empty() ? model.protocol : options.protocol;
  Protocol protocol = find_protocol(name);
  for (const std::string& setting : options.settings) set_option(protocol, setting);
  const ProtocolEvaluation result =
      evaluate_on_protocol(model.network, model.weights, parse_device(options.device),
                           load_glyphs(options.data, Split::test), protocol, options.evaluation, options.threads);
  if (!options.coco_out.empty()) {
    std::filesystem::create_directories(options.coco_out);
    eval::write_coco_ground_truth(options.coco_out / "ground_truth.json", result.set);
    eval::write_coco_detections(options.coco_out / "detections.json", result.set);
  }
  if (options.json)
    std::cout << to_text(evaluation_json(result, protocol.name));
  else
    print_evaluation(std::cout, result, protocol.name);
  return 0;
}

}  // namespace

Command add_eval(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  EvaluationSettings& evaluation = options->evaluation;
  app.add_option("model", options->model, "a model.safetensors")->required();
  app.add_option("--protocol", options->protocol, "the canvases (default: those it was trained on)");
  app.add_option("--count", evaluation.count, "canvases")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--seed", evaluation.seed, "in the protocol's test seed space")->capture_default_str();
  app.add_option("--threshold", evaluation.score_threshold, "lower scores are no detections")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  app.add_option("--nms", evaluation.nms_threshold, "IoU above which the lower score is suppressed")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  app.add_option("--data", options->data, "glyphs: auto, builtin, mnist, fashion-mnist or a folder")
      ->capture_default_str();
  app.add_option("--set", options->settings, "an option of the protocol, e.g. noise=0.1")->allow_extra_args(false);
  app.add_option("--coco-out", options->coco_out, "folder for COCO's ground_truth.json and detections.json");
  app.add_option("--device", options->device, "auto, cpu, cuda, cuda:N")->capture_default_str();
  app.add_option("--threads", options->threads, "processors to use (does not change the result)");
  app.add_flag("--json", options->json, "print one JSON object");
  return [options] { return eval_model(*options); };
}

}  // namespace gridspot::app
