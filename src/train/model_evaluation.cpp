#include "train/model_evaluation.h"

#include "data/canvas_source.h"
#include "data/yolo_folder.h"
#include "eval/evaluation_folder.h"
#include "gridspot/error.h"
#include "train/recipes.h"
#include "train/training_run.h"

namespace gridspot {

namespace {

/// Canvas i of a fixed set.
Image image_of(const CanvasSet& canvases, int i) {
  Image image(canvases.height, canvases.width, 1);
  std::copy_n(canvases.pixels.begin() + std::ptrdiff_t(i) * std::ptrdiff_t(image.pixels.size()), image.pixels.size(),
              image.pixels.begin());
  return image;
}

/// Canvas i of a protocol's test split, composed again.
class CanvasPainter {
 public:
  CanvasPainter(Device device, const Protocol& protocol, const GlyphBank& bank, std::uint64_t seed)
      : stream_(device), protocol_(protocol), source_(device, protocol, bank, Split::test, seed, 1) {}

  Image operator()(int i) {
    Image image(protocol_.height, protocol_.width, 1);
    image.pixels = source_.compose_images(stream_, i);
    return image;
  }

 private:
  Stream stream_;
  const Protocol& protocol_;
  CanvasSource source_;
};

}  // namespace

TestData load_test_glyphs(const std::string& data, const Protocol& protocol) {
  return {protocol.name, protocol, load_glyphs(data, Split::test), std::nullopt};
}

bool has_test_split(const std::filesystem::path& folder) {
  const DataYaml yaml = read_folder_yaml(folder);
  return has_own_folder(yaml, YoloSplit::test) || has_own_folder(yaml, YoloSplit::val);
}

TestData load_test_folder(const std::filesystem::path& folder, const NetworkSpec& network, Device device, bool strict,
                          std::ostream* log) {
  const DataYaml yaml = read_folder_yaml(folder);
  const YoloSplit split = yaml.folder(YoloSplit::test).empty() ? YoloSplit::val : YoloSplit::test;
  return {to_string(split), {}, {}, read_split(folder, split, network, device, strict, log)};
}

ModelEvaluation evaluate_model(const Model& model, Device device, const TestData& data,
                               const ModelEvaluationOptions& options) {
  Stream stream(device);
  std::optional<GlyphBank> bank;
  std::optional<CanvasStore> store;
  TestCanvases canvases{.protocol = data.protocol, .split = Split::test, .seed = options.settings.seed};
  if (data.canvases)
    canvases.store = &store.emplace(stream, *data.canvases);
  else
    canvases.glyphs = &bank.emplace(stream, data.glyphs);

  const Task task = task_of(model.network);
  if (task != Task::detection) {
    const DetectionSettings& detection = options.settings.detection;
    ClassifierSettings settings{options.settings.count, detection.precision, detection.engines};
    if (task == Task::digits && !data.canvases) {
      canvases.protocol = unaltered(data.protocol);
      settings.count = data.glyphs.count();
    }
    auto result = evaluate_classifier(model.network, model.weights, device, canvases, settings, options.threads,
                                      options.stop_signal);
    if (!options.folder.empty() && !result.stopped) {
      std::filesystem::create_directories(options.folder);
      write_file_atomically(options.folder / "evaluation.json", to_text(to_json(result)));
    }
    return {data.name, std::move(result)};
  }
  auto result = evaluate_detector(model.network, model.weights, device, canvases, options.settings, options.threads,
                                  options.stop_signal);
  if (!options.folder.empty() && !result.stopped) {
    if (data.canvases) {
      write_evaluation(options.folder, result, data.name, [&](int i) { return image_of(*data.canvases, i); });
    } else {
      CanvasPainter painter(device, canvases.protocol, *bank, options.settings.seed);
      write_evaluation(options.folder, result, data.name, [&](int i) { return painter(i); });
    }
  }
  return {data.name, std::move(result)};
}

}  // namespace gridspot
