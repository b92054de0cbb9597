#pragma once
// Labelled canvases as files that other detectors read: YOLO and COCO.
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/image.h"
#include "gridspot/box.h"

namespace gridspot {

enum class LabelFormat { yolo, coco };

/// "yolo" or "coco"; throws InvalidInput for any other text.
LabelFormat parse_label_format(std::string_view text);

/// Takes canvases one at a time; canvas i becomes images/<i as six digits>.png.
///
/// YOLO: labels/<i>.txt with one line "class cx cy w h" a box (normalised, see Box and format_yolo_line), and
/// data.yaml. COCO: annotations.json (see write_coco).
///
/// data.yaml and annotations.json appear, complete, when finish() is called: a folder without them is unfinished.
class LabelWriter {
 public:
  virtual ~LabelWriter() = default;
  /// Throws InvalidInput when boxes and labels differ in number, or a label is outside the classes; IoError.
  void add(const Image& canvas, std::span<const Box> boxes, std::span<const std::int32_t> labels);
  virtual void finish() = 0;
  [[nodiscard]] int count() const { return count_; }

 protected:
  LabelWriter(std::filesystem::path folder, std::vector<std::string> class_names);
  /// `name` is the canvas's file name.
  virtual void add_labels(const std::filesystem::path& name, const Image& canvas, std::span<const Box> boxes,
                          std::span<const std::int32_t> labels) = 0;

  std::filesystem::path folder_;
  std::vector<std::string> class_names_;

 private:
  int count_ = 0;
};

/// Creates the folder. Throws InvalidInput when it already holds images/, and IoError.
std::unique_ptr<LabelWriter> make_label_writer(LabelFormat format, const std::filesystem::path& folder,
                                               const std::vector<std::string>& class_names);

/// What is wrong with a label's box: a size is in (0, 1], and the box inside the canvas (within 1e-5, for rounding).
/// Null where nothing is.
const char* broken_box_rule(const Box& box);

struct YoloLabel {
  int class_id = 0;
  Box box;
};

/// "class cx cy w h" without a line end; each number is the shortest decimal without an exponent that parse_yolo_line
/// reads back as the same float.
std::string format_yolo_line(const YoloLabel& label);

/// Five decimal numbers, of float32's range, with spaces or tabs between: a class in [0, classes), and a box as
/// broken_box_rule wants it. Throws InvalidInput that starts with `place`.
YoloLabel parse_yolo_line(std::string_view line, int classes, const std::string& place);

/// Every line of a label file; an empty file has no label. Throws IoError, and InvalidInput with file and line.
std::vector<YoloLabel> read_yolo_labels(const std::filesystem::path& path, int classes);

}  // namespace gridspot
