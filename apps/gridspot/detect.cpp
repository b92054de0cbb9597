// gridspot detect
#include <iomanip>
#include <iostream>
#include <set>

#include "apps/gridspot/commands.h"
#include "apps/gridspot/usage.h"
#include "data/draw.h"
#include "io/json.h"
#include "train/model.h"

namespace gridspot::app {

namespace {

struct Options {
  std::filesystem::path model, save, sheet;
  std::vector<std::filesystem::path> images;
  std::string device = "auto";
  DetectionSettings settings;
  ComputeOptions compute;
  bool invert = false, json = false;
};

struct Detection {
  int label = 0;
  float score = 0;
  PixelBox box;
};

struct Found {
  std::vector<Detection> detections;
  int truncated = 0;  ///< detections beyond the capacity
};

/// Everything for one image after another.
class ImageDetector {
 public:
  ImageDetector(const Model& model, Device device, const DetectionSettings& settings)
      : spec_(model.network),
        stream_(device),
        detector_(Network(model.network), device, 1, settings),
        weights_(stream_, model.weights, settings.precision),
        input_(device, model.network.input.size()) {
    require(spec_.input.channels == 1, "the model takes images of " + std::to_string(spec_.input.channels) +
                                           " channels; detect knows models of one");
  }

  Found run(const Image& image) {
    const int height = spec_.input.height, width = spec_.input.width;
    const auto pixels = upload(stream_, image.pixels);
    letterbox_image(stream_, pixels, image.height, image.width, image.channels, height, width,
                    {spec_.mean, spec_.deviation}, input_);
    const DetectionsView found = detector_.run(stream_, weights_, input_);
    const auto count = download(stream_, DeviceSpan<const std::int32_t>(found.counts, 1)).front();
    const auto truncated = download(stream_, DeviceSpan<const std::int32_t>(found.truncated, 1)).front();
    const auto boxes = download(stream_, DeviceSpan<const Box>(found.boxes, count));
    const auto scores = download(stream_, DeviceSpan<const float>(found.scores, count));
    const auto classes = download(stream_, DeviceSpan<const std::int32_t>(found.classes, count));
    Found result{.detections = {}, .truncated = truncated};
    for (int i = 0; i < count; ++i)
      result.detections.push_back(
          {classes[i], scores[i], to_image(boxes[i], height, width, image.height, image.width)});
    return result;
  }

 private:
  NetworkSpec spec_;
  Stream stream_;
  Detector detector_;
  DeviceWeights weights_;
  Buffer<float> input_;
};

std::string percent(float score) { return std::to_string(std::lround(score * 100)) + "%"; }

Image draw(const Image& image, const std::vector<Detection>& detections, const Model& model) {
  constexpr int legible_side = 480;  // small canvases are enlarged until their labels can be read
  const int factor = std::max(1, legible_side / std::max(image.height, image.width));
  Image drawn = enlarge(to_rgb(image), factor);
  const int text_scale = std::max(1, std::max(drawn.height, drawn.width) / 220);
  for (const Detection& d : detections) {
    const PixelBox box{d.box.x * factor, d.box.y * factor, d.box.width * factor, d.box.height * factor};
    draw_detection(drawn, box, model.classes[d.label] + " " + percent(d.score), class_colour(d.label), text_scale);
  }
  return drawn;
}

Json to_json(const Detection& d, const Model& model) {
  Json box = Json::array();
  for (const double value : {d.box.x, d.box.y, d.box.width, d.box.height})
    box.push_back(json_number(static_cast<float>(value)));
  return {{"class", model.classes[d.label]}, {"class_id", d.label}, {"score", json_number(d.score)}, {"box", box}};
}

void print(const std::filesystem::path& path, const std::vector<Detection>& detections, const Model& model) {
  std::cout << path.string() << ": " << detections.size() << (detections.size() == 1 ? " object\n" : " objects\n");
  for (const Detection& d : detections)
    std::cout << "  " << std::left << std::setw(12) << model.classes[d.label] << std::right << std::setw(4)
              << percent(d.score) << std::fixed << std::setprecision(1) << "  x " << d.box.x << "  y " << d.box.y
              << "  width " << d.box.width << "  height " << d.box.height << '\n';
}

void invert(Image& image) {
  for (std::uint8_t& sample : image.pixels) sample = static_cast<std::uint8_t>(255 - sample);
}

/// Names for the drawn images, each given once: "1.png", then "1-2.png" for an image of that name in another folder.
class DrawnNames {
 public:
  explicit DrawnNames(std::filesystem::path folder) : folder_(std::move(folder)) {}

  std::filesystem::path of(const std::filesystem::path& image) {
    const std::string stem = image.stem().string();
    std::string name = stem + ".png";
    for (int number = 2; !given_.insert(name).second; ++number) name = stem + "-" + std::to_string(number) + ".png";
    return folder_ / name;
  }

 private:
  std::filesystem::path folder_;
  std::set<std::string> given_;
};

void refuse_the_images_own_folder(const Options& options) {
  for (const auto& image : options.images) {
    std::error_code ignored;
    const auto folder = image.has_parent_path() ? image.parent_path() : std::filesystem::path(".");
    if (std::filesystem::equivalent(folder, options.save, ignored))
      throw CLI::ValidationError("--save", options.save.string() + " holds " + image.string() +
                                               ", which could be overwritten; name another folder");
  }
}

// A bad image does not keep the others from being looked at; the exit code tells that there was one.
int detect(const Options& options) {
  if (!options.save.empty()) refuse_the_images_own_folder(options);
  const Model model = load_model(options.model);
  DetectionSettings settings = options.settings;
  settings.threads = available_processors();
  options.compute.apply_to(settings.precision, settings.engines);
  ImageDetector detector(model, parse_device(options.device), settings);
  if (!options.save.empty()) std::filesystem::create_directories(options.save);
  DrawnNames names(options.save);
  Json images = Json::array();
  std::vector<Image> sheet;
  int result = 0;
  for (const auto& path : options.images) {
    Json& entry = images.emplace_back(Json{{"image", path.string()}});
    Image image;
    try {
      image = read_image(path);
    } catch (const Error& error) {
      std::cerr << "gridspot: " << error.what() << '\n';
      entry["error"] = error.what();
      result = static_cast<int>(ExitCode::invalid_input);
      continue;
    }
    if (options.invert) invert(image);
    const auto [detections, truncated] = detector.run(image);
    entry["width"] = image.width;
    entry["height"] = image.height;
    entry["detections"] = Json::array();
    for (const Detection& d : detections) entry["detections"].push_back(to_json(d, model));
    entry["truncated"] = truncated;
    if (truncated > 0)
      std::cerr << "gridspot: " << path.string() << ": " << truncated
                << " detections were more than an image may have and were left out\n";
    if (!options.json) print(path, detections, model);
    if (!options.save.empty()) {
      const auto drawn = names.of(path);
      write_png(drawn, draw(image, detections, model));
      entry["drawn"] = drawn.string();
    }
    if (!options.sheet.empty()) sheet.push_back(draw(image, detections, model));
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
  app.add_option("--capacity", options->settings.capacity, "detections an image, those with the highest scores")
      ->check(CLI::Range(1, max_nms_slots))
      ->capture_default_str();
  add_compute_options(app, options->compute);
  app.add_flag("--class-agnostic", options->settings.class_agnostic, "suppress across classes");
  app.add_flag("--invert", options->invert, "for dark objects on a light ground");
  app.add_option("--device", options->device, "auto, cpu, cuda, cuda:N")
      ->check(accepted_by(parse_device))
      ->capture_default_str();
  app.add_option("--save", options->save, "folder for the images with boxes, classes and scores drawn");
  app.add_option("--sheet", options->sheet, "one PNG with all drawn images");
  app.add_flag("--json", options->json, "print one JSON object");
  return [options] { return detect(*options); };
}

}  // namespace gridspot::app
