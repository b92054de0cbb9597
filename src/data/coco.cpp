#include "data/coco.h"

#include <cstdio>

#include "io/atomic_file.h"

namespace gridspot {

void write_coco(const std::filesystem::path& path, const CocoDataSet& data) {
  Json images = Json::array(), annotations = Json::array(), categories = Json::array();
  for (const auto& image : data.images)
    images.push_back(
        {{"id", images.size() + 1}, {"file_name", image.file_name}, {"width", image.width}, {"height", image.height}});
  for (const auto& annotation : data.annotations) {
    const auto& image = data.images.at(static_cast<std::size_t>(annotation.image));
    const PixelBox box = to_pixels(annotation.box, image.height, image.width);
    annotations.push_back({{"id", annotations.size() + 1},
                           {"image_id", annotation.image + 1},
                           {"category_id", annotation.class_id + 1},
                           {"bbox", coco_box(box)},
                           {"area", box.area()},
                           {"iscrowd", 0}});
  }
  for (const auto& name : data.class_names) categories.push_back({{"id", categories.size() + 1}, {"name", name}});
  write_file_atomically(path, to_text({{"info", {{"description", "gridspot"}}},
                                       {"images", images},
                                       {"annotations", annotations},
                                       {"categories", categories}}));
}

Json coco_box(const PixelBox& box) { return Json::array({box.x, box.y, box.width, box.height}); }

std::string numbered_image_name(std::size_t image) {
  char name[32];
  std::snprintf(name, sizeof name, "%06zu.png", image);
  return name;
}

}  // namespace gridspot
