#pragma once
// COCO's annotation file.
#include <filesystem>
#include <string>
#include <vector>

#include "data/pixel_box.h"
#include "io/json.h"

namespace gridspot {

/// Images and classes are counted from 0 here, in the file from 1 (pycocotools takes an id of 0 for none).
struct CocoDataSet {
  struct Image {
    std::string file_name;
    int height = 0, width = 0;
  };
  struct Annotation {
    int image = 0, class_id = 0;
    Box box;
  };
  std::vector<Image> images;
  std::vector<Annotation> annotations;
  std::vector<std::string> class_names;
};

/// Images, annotations and categories, each with ids from 1. bbox is [x, y, width, height] in pixels; iscrowd is 0.
/// Throws IoError.
void write_coco(const std::filesystem::path& path, const CocoDataSet& data);

/// COCO's bbox: [x, y, width, height].
Json coco_box(const PixelBox& box);

/// "000007.png" for image 7.
std::string numbered_image_name(std::size_t image);

}  // namespace gridspot
