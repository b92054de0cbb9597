#include "eval/coco_files.h"

#include <cstdio>

#include "eval/matching.h"
#include "gridspot/error.h"
#include "io/atomic_file.h"
#include "io/json.h"

namespace gridspot::eval {
namespace {

std::string numbered_name(std::size_t image) {
  char name[32];
  std::snprintf(name, sizeof name, "%06zu.png", image + 1);
  return name;
}

PixelBox pixel_box(const EvaluationSet& set, int image, const Box& box) {
  return to_pixels(box, set.images.at(static_cast<std::size_t>(image)));
}

Json box_json(const PixelBox& box) { return Json::array({box.x, box.y, box.width, box.height}); }

}  // namespace

void write_coco_ground_truth(const std::filesystem::path& path, const EvaluationSet& set,
                             std::span<const std::string> file_names) {
  require(file_names.empty() || file_names.size() == set.images.size(),
          path.string() + ": there are " + std::to_string(file_names.size()) + " file names for " +
              std::to_string(set.images.size()) + " images");
  Json images = Json::array(), annotations = Json::array(), categories = Json::array();
  for (std::size_t i = 0; i < set.images.size(); ++i)
    images.push_back({{"id", i + 1},
                      {"file_name", file_names.empty() ? numbered_name(i) : file_names[i]},
                      {"width", set.images[i].width},
                      {"height", set.images[i].height}});
  for (const auto& object : set.objects) {
    const auto box = pixel_box(set, object.image, object.box);
    annotations.push_back({{"id", annotations.size() + 1},
                           {"image_id", object.image + 1},
                           {"category_id", object.class_id + 1},
                           {"bbox", box_json(box)},
                           {"area", box.area()},
                           {"iscrowd", 0}});
  }
  for (std::size_t c = 0; c < set.class_names.size(); ++c)
    categories.push_back({{"id", c + 1}, {"name", set.class_names[c]}});
  write_file_atomically(path, to_text({{"info", {{"description", "gridspot evaluation set"}}},
                                       {"images", images},
                                       {"annotations", annotations},
                                       {"categories", categories}}));
}

void write_coco_detections(const std::filesystem::path& path, const EvaluationSet& set) {
  Json results = Json::array();
  for (const auto& detection : set.detections)
    results.push_back({{"image_id", detection.image + 1},
                       {"category_id", detection.class_id + 1},
                       {"bbox", box_json(pixel_box(set, detection.image, detection.box))},
                       {"score", json_number(detection.score)}});
  write_file_atomically(path, to_text(results));
}

}  // namespace gridspot::eval
