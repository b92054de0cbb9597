#include "data/label_files.h"

#include "data/coco.h"
#include "data/files.h"
#include "gridspot/error.h"
#include "io/atomic_file.h"
#include "io/json.h"

namespace gridspot {
namespace {

namespace fs = std::filesystem;

/// A JSON string is a YAML string too.
std::string yaml_string(const std::string& text) { return to_line(Json(text)); }

class YoloWriter final : public LabelWriter {
 public:
  YoloWriter(const fs::path& folder, const std::vector<std::string>& class_names) : LabelWriter(folder, class_names) {
    fs::create_directories(folder_ / "labels");
  }

  void finish() override {
    // No path: the folder may be moved or copied. val: other programs want the key.
    std::string yaml = "train: images\nval: images\nnc: " + std::to_string(class_names_.size()) + "\nnames:\n";
    for (std::size_t i = 0; i < class_names_.size(); ++i)
      yaml += "  " + std::to_string(i) + ": " + yaml_string(class_names_[i]) + "\n";
    write_file_atomically(folder_ / "data.yaml", yaml);
  }

 private:
  void add_labels(const fs::path& name, const Image&, std::span<const Box> boxes,
                  std::span<const std::int32_t> labels) override {
    std::string lines;
    for (std::size_t i = 0; i < boxes.size(); ++i) lines += format_yolo_line({labels[i], boxes[i]}) + "\n";
    write_file(folder_ / "labels" / fs::path(name).replace_extension(".txt"), lines);
  }
};

class CocoWriter final : public LabelWriter {
 public:
  CocoWriter(const fs::path& folder, const std::vector<std::string>& class_names) : LabelWriter(folder, class_names) {
    data_.class_names = class_names;
  }

  void finish() override { write_coco(folder_ / "annotations.json", data_); }

 private:
  void add_labels(const fs::path& name, const Image& canvas, std::span<const Box> boxes,
                  std::span<const std::int32_t> labels) override {
    data_.images.push_back({name.string(), canvas.height, canvas.width});
    for (std::size_t i = 0; i < boxes.size(); ++i) data_.annotations.push_back({count(), labels[i], boxes[i]});
  }

  CocoDataSet data_;
};

}  // namespace

LabelFormat parse_label_format(std::string_view text) {
  if (text == "yolo") return LabelFormat::yolo;
  if (text == "coco") return LabelFormat::coco;
  throw InvalidInput("the label format must be yolo or coco, found \"" + std::string(text) + "\"");
}

LabelWriter::LabelWriter(fs::path folder, std::vector<std::string> class_names)
    : folder_(std::move(folder)), class_names_(std::move(class_names)) {
  require(!fs::exists(folder_ / "images"), folder_.string() + ": already holds images; name a new or empty folder");
  fs::create_directories(folder_ / "images");
}

void LabelWriter::add(const Image& canvas, std::span<const Box> boxes, std::span<const std::int32_t> labels) {
  const std::string place = "canvas " + std::to_string(count_) + ": ";
  require(boxes.size() == labels.size(),
          place + std::to_string(boxes.size()) + " boxes, but " + std::to_string(labels.size()) + " labels");
  const int classes = static_cast<int>(class_names_.size());
  for (const std::int32_t label : labels)
    require(label >= 0 && label < classes,
            place + "label " + std::to_string(label) + ", but there are " + std::to_string(classes) + " classes");
  const std::string name = numbered_image_name(static_cast<std::size_t>(count_));
  write_png(folder_ / "images" / name, canvas);
  add_labels(name, canvas, boxes, labels);
  ++count_;
}

std::unique_ptr<LabelWriter> make_label_writer(LabelFormat format, const fs::path& folder,
                                               const std::vector<std::string>& class_names) {
  try {
    if (format == LabelFormat::yolo) return std::make_unique<YoloWriter>(folder, class_names);
    return std::make_unique<CocoWriter>(folder, class_names);
  } catch (const fs::filesystem_error& error) {
    throw IoError(folder.string() + ": cannot create the folder: " + error.code().message());
  }
}

}  // namespace gridspot
