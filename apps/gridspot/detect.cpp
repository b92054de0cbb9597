// gridspot detect
#include <iomanip>
#include <iostream>
#include <optional>

#include "apps/gridspot/commands.h"
#include "data/draw.h"
#include "data/image.h"
#include "gridspot/error.h"
#include "io/json.h"
#include "kernels/letterbox.h"
#include "nn/detector.h"
#include "train/checkpoint.h"

namespace gridspot::app {

namespace {

struct Options {
  std::filesystem::path model, save, sheet;
  std::vector<std::filesystem::path> images;
  std::string device = "auto";
  DetectionSettings settings;
  bool invert = false, json = false;
};

struct Detection {
  int label = 0;
  float score = 0;
  PixelBox box;
};

/// Everything for one image after another.
class ImageDetector {
 public:
  ImageDetector(const Model& model, Device device, const DetectionSettings& settings)
      : spec_(model.network),
        stream_(device),
        detector_(Network(model.network), device, 1, settings),
        weights_(upload(stream_, model.weights)),
        input_(device, model.network.input.size()) {
    require(spec_.input.channels == 1, "the model takes images of " + std::to_string(spec_.input.channels) +
                                           " channels; detect knows models of one");
  }

  std::vector<Detection> run(const Image& image) {
    const int height = spec_.input.height, width = spec_.input.width;
    const auto pixels = upload(stream_, image.pixels);
    letterbox_image(stream_, pixels, image.height, image.width, image.channels, height, width,
                    {spec_.mean, spec_.deviation}, input_);
    const DetectionsView found = detector_.run(stream_, weights_, input_);
    const auto count = download(stream_, DeviceSpan<const std::int32_t>(found.counts, 1)).front();
    const auto boxes = download(stream_, DeviceSpan<const Box>(found.boxes, count));
    const auto scores = download(stream_, DeviceSpan<const float>(found.scores, count));
    const auto classes = download(stream_, DeviceSpan<const std::int32_t>(found.classes, count));

    const Letterbox fit = fit_letterbox(image.height, image.width, height, width);
    const auto in_image = [&](float position, float offset, int side) {
      return std::clamp((position - offset) / fit.scale, 0.0f, static_cast<float>(side));
    };
    std::vector<Detection> detections;
    for (int i = 0; i < count; ++i) {
      const PixelBox box = to_pixels(boxes[i], height, width);
      detections.push_back(
          {classes[i],
           scores[i],
           {in_image(box.left, fit.offset_x, image.width), in_image(box.top, fit.offset_y, image.height),
            in_image(box.right, fit.offset_x, image.width), in_image(box.bottom, fit.offset_y, image.height)}});
    }
    return detections;
  }

 private:
  NetworkSpec spec_;
  Stream stream_;
  Detector detector_;
  Buffer<float> weights_, input_;
};

std::string percent(float score) { return std::to_string(std::lround(score * 100)) + "%"; }

Image draw(const Image& image, const std::vector<Detection>& detections, const Model& model) {
  constexpr int legible_side = 480;  // small canvases are enlarged until their labels can be read
  const int factor = std::max(1, legible_side / std::max(image.height, image.width));
  Image drawn = enlarge(to_rgb(image), factor);
  const int text_scale = std::max(1, std::max(drawn.height, drawn.width) / 220);
  for (const Detection& d : detections) {
    const PixelBox box{d.box.left * factor, d.box.top * factor, d.box.right * factor, d.box.bottom * factor};
    draw_detection(drawn, box, model.classes[d.label] + " " + percent(d.score), class_colour(d.label), text_scale);
  }
  return drawn;
}

Json to_json(const Detection& d, const Model& model) {
  return {{"class", model.classes[d.label]},
          {"class_id", d.label},
          {"score", json_number(d.score)},
          {"box",
           {json_number(d.box.left), json_number(d.box.top), json_number(d.box.right - d.box.left),
            json_number(d.box.bottom - d.box.top)}}};
}

void print(const std::filesystem::path& path, const std::vector<Detection>& detections, const Model& model) {
  std::cout << path.string() << ": " << detections.size() << (detections.size() == 1 ? " object\n" : " objects\n");
  for (const Detection& d : detections)
    std::cout << "  " << std::left << std::setw(12) << model.classes[d.label] << std::right << std::setw(4)
              << percent(d.score) << std::fixed << std::setprecision(1) << "  x " << d.box.left << "  y " << d.box.top
              << "  width " << d.box.right - d.box.left << "  height " << d.box.bottom - d.box.top << '\n';
}

void invert(Image& image) {
  for (std::uint8_t& sample : image.pixels) sample = static_cast<std::uint8_t>(255 - sample);
}

// A bad image does not keep the others from being looked at; the exit code tells that there was one.
int detect(const Options& options) {
  const Model model = load_model(options.model);
  ImageDetector detector(model, parse_device(options.device), options.settings);
  if (!options.save.empty()) std::filesystem::create_directories(options.save);
  Json images = Json::array();
  std::vector<Image> sheet;
  int result = 0;
  for (const auto& path : options.images) {
    Json entry{{"image", path.string()}};
    try {
      Image image = read_image(path);
      if (options.invert) invert(image);
      const auto detections = detector.run(image);
      entry["width"] = image.width;
      entry["height"] = image.height;
      entry["detections"] = Json::array();
      for (const Detection& d : detections) entry["detections"].push_back(to_json(d, model));
      if (!options.json) print(path, detections, model);
      if (!options.save.empty())
        write_png(options.save / path.filename().replace_extension(".png"), draw(image, detections, model));
      if (!options.sheet.empty()) sheet.push_back(draw(image, detections, model));
    } catch (const Error& error) {
      if (error.exit_code() == ExitCode::runtime_failure && !dynamic_cast<const IoError*>(&error)) throw;
      std::cerr << "gridspot: " << error.what() << '\n';
      entry["error"] = error.what();
      result = static_cast<int>(ExitCode::invalid_input);
    }
    images.push_back(entry);
  }
  if (!sheet.empty()) {
    const int columns = static_cast<int>(std::ceil(std::sqrt(static_cast<double>(sheet.size()))));
    write_png(options.sheet, montage(sheet, columns, 8));
  }
  if (options.json) std::cout << to_text(Json{{"model", options.model.string()}, {"images", images}});
  return result;
}

}  // namespace

Command add_detect(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  app.add_option("model", options->model, "a model.safetensors")->required();
  app.add_option("images", options->images, "PNG, PGM or PPM files of any size; light objects on a dark ground")
      ->required();
  app.add_option("--threshold", options->settings.score_threshold, "lowest score that is reported")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  app.add_option("--nms", options->settings.nms_threshold, "IoU above which the lower score is suppressed")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  app.add_flag("--class-agnostic", options->settings.class_agnostic, "suppress across classes");
  app.add_flag("--invert", options->invert, "for dark objects on a light ground");
  app.add_option("--device", options->device, "auto, cpu, cuda, cuda:N")->capture_default_str();
  app.add_option("--save", options->save, "folder for the images with boxes, classes and scores drawn");
  app.add_option("--sheet", options->sheet, "one PNG with all drawn images");
  app.add_flag("--json", options->json, "print one JSON object");
  return [options] { return detect(*options); };
}

}  // namespace gridspot::app
