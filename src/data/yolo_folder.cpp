#include "data/yolo_folder.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <system_error>
#include <tuple>
#include <utility>

#include "data/image.h"
#include "data/label_files.h"
#include "device/buffer.h"
#include "gridspot/error.h"
#include "kernels/letterbox.h"

namespace gridspot {
namespace {

namespace fs = std::filesystem;

std::string lower_suffix(const fs::path& path) {
  std::string suffix = path.extension().string();
  for (char& c : suffix)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return suffix;
}

bool is_label_file(const fs::path& path) { return lower_suffix(path) == ".txt"; }

/// The files in the folder and below it, sorted; none where there is no such folder.
std::vector<fs::path> files_below(const fs::path& folder) {
  std::vector<fs::path> files;
  try {
    if (!fs::is_directory(folder)) return files;
    for (const auto& entry : fs::recursive_directory_iterator(folder))
      if (!entry.is_directory() && !entry.path().filename().string().starts_with('.')) files.push_back(entry.path());
  } catch (const fs::filesystem_error& error) {
    throw IoError(folder.string() + ": cannot read the folder: " + error.code().message());
  }
  std::sort(files.begin(), files.end());
  return files;
}

/// The path with its last component `images` replaced by `labels`.
fs::path in_label_folder(const fs::path& path) {
  std::vector<fs::path> components(path.begin(), path.end());
  const auto last = std::find(components.rbegin(), components.rend(), fs::path("images"));
  if (last == components.rend()) return path;
  *last = "labels";
  fs::path result;
  for (const fs::path& component : components) result /= component;
  return result;
}

fs::path label_file_of(const fs::path& image) {
  return in_label_folder(image.parent_path()) / image.filename().replace_extension(".txt");
}

Image read_supported_image(const fs::path& path) {
  const std::string suffix = lower_suffix(path);
  require(suffix == ".png" || suffix == ".pgm" || suffix == ".ppm",
          path.string() + ": an image must be a .png, .pgm or .ppm file");
  std::error_code ignored;
  require(fs::file_size(path, ignored) != 0, path.string() + ": the file is empty");
  return read_image(path);
}

void refuse_duplicates(const std::vector<YoloLabel>& labels, const fs::path& path) {
  std::map<std::tuple<int, float, float, float, float>, std::size_t> lines;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const auto& [label, box] = labels[i];
    const auto [first, is_new] = lines.try_emplace({label, box.cx, box.cy, box.w, box.h}, i + 1);
    if (!is_new)
      throw InvalidInput(path.string() + ", line " + std::to_string(i + 1) + ": the same label as in line " +
                         std::to_string(first->second));
  }
}

std::vector<LabelledBox> read_labels(const fs::path& path, int classes) {
  const auto labels = read_yolo_labels(path, classes);
  require(labels.size() <= std::size_t(max_canvas_labels), path.string() + ": " + std::to_string(labels.size()) +
                                                               " labels; the most is " +
                                                               std::to_string(max_canvas_labels));
  refuse_duplicates(labels, path);
  std::vector<LabelledBox> boxes;
  for (const auto& [label, box] : labels) boxes.push_back({label, box});
  return boxes;
}

/// Fits images and boxes into the input.
class Fitter {
 public:
  Fitter(Stream& stream, int height, int width)
      : stream_(stream), height_(height), width_(width), output_(stream.device(), std::size_t(height) * width) {}

  void fit(Image& image, std::vector<LabelledBox>& labels) {
    if (image.channels == 1 && image.height == height_ && image.width == width_) return;
    const Letterbox letterbox = fit_letterbox(image.height, image.width, height_, width_);
    for (LabelledBox& label : labels) label.box = fitted(label.box, letterbox, image);
    image = fitted(image);
  }

 private:
  [[nodiscard]] Image fitted(const Image& image) {
    const auto pixels = upload(stream_, image.pixels);
    letterbox_image(stream_, pixels, image.height, image.width, image.channels, height_, width_, {}, output_);
    Image result(height_, width_, 1);
    const auto values = download(stream_, output_);
    std::transform(values.begin(), values.end(), result.pixels.begin(), [](float value) {
      return static_cast<std::uint8_t>(std::clamp(std::floor(255.0f * value + 0.5f), 0.0f, 255.0f));
    });
    return result;
  }

  // Rounding of the scale may carry a box that fills the image beyond the input by less than anyone could see.
  [[nodiscard]] Box fitted(const Box& box, const Letterbox& letterbox, const Image& image) const {
    const double x_scale = double(letterbox.scale) * image.width / width_;
    const double y_scale = double(letterbox.scale) * image.height / height_;
    return {static_cast<float>(box.cx * x_scale + double(letterbox.offset_x) / width_),
            static_cast<float>(box.cy * y_scale + double(letterbox.offset_y) / height_),
            std::min(static_cast<float>(box.w * x_scale), 1.0f), std::min(static_cast<float>(box.h * y_scale), 1.0f)};
  }

  Stream& stream_;
  int height_, width_;
  Buffer<float> output_;
};

class Reader {
 public:
  Reader(Stream& stream, const DataYaml& yaml, YoloSplit split, int height, int width)
      : fitter_(stream, height, width), folder_(split_folder(yaml, split)), root_(root_folder(yaml).string() + "/") {
    read_.canvases = {.height = height,
                      .width = width,
                      .class_names = yaml.class_names,
                      .source = yaml.source + ", split " + to_string(split)};
  }

  YoloFolder read() {
    std::set<fs::path> label_files;
    for (const fs::path& path : files_below(folder_)) {
      if (is_label_file(path)) continue;
      ++read_.images;
      label_files.insert(label_file_of(path));
      take_or_skip(path);
    }
    for (const fs::path& path : files_below(in_label_folder(folder_)))
      if (is_label_file(path) && label_files.count(path) == 0) skip(path.string() + ": there is no image for it");
    return std::move(read_);
  }

 private:
  void take_or_skip(const fs::path& path) {
    try {
      take(path);
    } catch (const InvalidInput& error) {
      skip(error.what());
    } catch (const IoError& error) {
      skip(error.what());
    }
  }

  void take(const fs::path& path) {
    const fs::path label_path = label_file_of(path);
    Image image = read_supported_image(path);
    std::error_code ignored;
    require(fs::exists(label_path, ignored),
            path.string() + ": there is no label file " + below_root(label_path.string()));
    auto labels = read_labels(label_path, read_.canvases.classes());
    fitter_.fit(image, labels);
    read_.canvases.pixels.insert(read_.canvases.pixels.end(), image.pixels.begin(), image.pixels.end());
    read_.canvases.labels.push_back(std::move(labels));
  }

  /// `text` begins with a path.
  [[nodiscard]] std::string below_root(const std::string& text) const {
    return text.starts_with(root_) ? text.substr(root_.size()) : text;
  }
  void skip(const std::string& message) { read_.skipped.push_back(below_root(message)); }

  Fitter fitter_;
  fs::path folder_;
  std::string root_;
  YoloFolder read_;
};

std::string count_and_first(const std::vector<std::string>& skipped) {
  if (skipped.size() == 1) return "1 file is bad: " + skipped[0];
  return std::to_string(skipped.size()) + " files are bad, the first: " + skipped[0];
}

void check_input_size(int height, int width) {
  const auto valid_side = [](int side) { return side >= 1 && side <= max_canvas_side; };
  require(valid_side(height) && valid_side(width), "read_yolo_folder: the input's sides must be 1 to " +
                                                       std::to_string(max_canvas_side) + " pixels, found " +
                                                       std::to_string(height) + "x" + std::to_string(width));
}

fs::path yaml_of(const fs::path& folder_or_yaml) {
  std::error_code ignored;
  return fs::is_directory(folder_or_yaml, ignored) ? folder_or_yaml / "data.yaml" : folder_or_yaml;
}

}  // namespace

YoloFolder read_yolo_folder(Stream& stream, const fs::path& folder_or_yaml, YoloSplit split, int input_height,
                            int input_width, bool strict) {
  check_input_size(input_height, input_width);
  const DataYaml yaml = read_data_yaml(yaml_of(folder_or_yaml));
  YoloFolder read = Reader(stream, yaml, split, input_height, input_width).read();
  const std::string place = read.canvases.source + ": ";
  require(read.images > 0, place + "the folder holds no image");
  if (read.canvases.labels.empty())
    throw InvalidInput(place + "no image with its labels is good; " + count_and_first(read.skipped));
  if (strict && !read.skipped.empty()) throw InvalidInput(place + count_and_first(read.skipped));
  validate(read.canvases);
  return read;
}

}  // namespace gridspot
