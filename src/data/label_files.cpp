#include "data/label_files.h"

#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "data/draw.h"
#include "data/files.h"
#include "gridspot/error.h"
#include "io/atomic_file.h"

namespace gridspot {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

/// A JSON string is a YAML string too; bytes that are no UTF-8 are replaced.
std::string json_string(const std::string& text) {
  return json(text).dump(-1, ' ', false, json::error_handler_t::replace);
}

class YoloWriter final : public LabelWriter {
 public:
  YoloWriter(const fs::path& folder, const std::vector<std::string>& class_names) : LabelWriter(folder, class_names) {
    fs::create_directories(folder_ / "labels");
  }

  void finish() override {
    std::string yaml = "path: " + json_string(fs::absolute(folder_).lexically_normal().string()) +
                       "\ntrain: images\nval: images\nnc: " + std::to_string(class_names_.size()) + "\nnames:\n";
    for (std::size_t i = 0; i < class_names_.size(); ++i)
      yaml += "  " + std::to_string(i) + ": " + json_string(class_names_[i]) + "\n";
    write_file_atomically(folder_ / "data.yaml", yaml);
  }

 private:
  void add_labels(const std::string& stem, const Image&, std::span<const Box> boxes,
                  std::span<const std::int32_t> labels) override {
    std::string lines;
    for (std::size_t i = 0; i < boxes.size(); ++i) lines += format_yolo_line({labels[i], boxes[i]}) + "\n";
    write_file(folder_ / "labels" / (stem + ".txt"), lines);
  }
};

class CocoWriter final : public LabelWriter {
 public:
  CocoWriter(const fs::path& folder, const std::vector<std::string>& class_names) : LabelWriter(folder, class_names) {}

  void finish() override {
    std::string categories;
    for (std::size_t i = 0; i < class_names_.size(); ++i)
      append(categories, "{\"id\":" + std::to_string(i) + ",\"name\":" + json_string(class_names_[i]) +
                             ",\"supercategory\":\"glyph\"}");
    const std::array<std::string_view, 7> pieces{
        "{\"images\":[", images_, "],\n\"annotations\":[", annotations_, "],\n\"categories\":[", categories, "]}\n"};
    write_file_atomically(folder_ / "annotations.json", pieces);
  }

 private:
  static void append(std::string& list, const std::string& element) { list += (list.empty() ? "\n" : ",\n") + element; }

  void add_labels(const std::string& stem, const Image& canvas, std::span<const Box> boxes,
                  std::span<const std::int32_t> labels) override {
    append(
        images_,
        json{{"id", count()}, {"file_name", stem + ".png"}, {"height", canvas.height}, {"width", canvas.width}}.dump());
    for (std::size_t i = 0; i < boxes.size(); ++i) {
      const PixelBox box = to_pixels(boxes[i], canvas.height, canvas.width);
      const double width = double(box.right) - box.left, height = double(box.bottom) - box.top;
      append(annotations_, json{{"id", next_annotation_++},
                                {"image_id", count()},
                                {"category_id", labels[i]},
                                {"bbox", {double(box.left), double(box.top), width, height}},
                                {"area", width * height},
                                {"iscrowd", 0}}
                               .dump());
    }
  }

  std::string images_, annotations_;  // the elements of the two lists, as JSON
  int next_annotation_ = 1;
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
  char stem[16];
  std::snprintf(stem, sizeof stem, "%06d", count_);
  write_png(folder_ / "images" / (std::string(stem) + ".png"), canvas);
  add_labels(stem, canvas, boxes, labels);
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
