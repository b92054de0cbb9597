#pragma once
// A data set in YOLO's layout as a set of canvases.
#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "data/canvas_set.h"
#include "data/data_yaml.h"
#include "device/stream.h"

namespace gridspot {

struct YoloFolder {
  CanvasSet canvases;
  /// One sentence for each image or label file that was left out: the file (below root_folder()), the line where there
  /// is one, and the rule that it breaks.
  std::vector<std::string> skipped;
  std::size_t images = 0;  ///< good and bad ones
};

/// The canvases of one split, sorted by the images' names. `folder_or_yaml` is a data.yaml or the folder of one
/// (data/data_yaml.h has its rules).
///
/// Images are all files in the split's folder and those below it, but .txt files and those whose name begins with a
/// dot. An image's labels stand in the file with the suffix .txt in its place, the last folder `images` of the path
/// replaced by `labels` (where no folder is named so: beside the image). A grey image of input_height x input_width is
/// taken as it is, bit for bit, with the boxes of its file; any other is fitted in by letterbox_image, its values
/// rounded to 8 bits, and its boxes with it.
///
/// A pair is bad when the image is no .png, .pgm or .ppm, empty or damaged; when its label file is missing (one without
/// a line is good: a canvas without objects), breaks a rule of parse_yolo_line, holds a line twice or more than
/// max_canvas_labels; and a label file below the split's label folder is when it has no image. Bad pairs are left out
/// and named; with `strict` they are an InvalidInput that names the first and counts them. Throws InvalidInput when no
/// pair is good or the split is absent, IoError when a folder cannot be read, and what letterbox_image and
/// read_data_yaml throw.
YoloFolder read_yolo_folder(Stream& stream, const std::filesystem::path& folder_or_yaml, YoloSplit split,
                            int input_height, int input_width, bool strict);

}  // namespace gridspot
