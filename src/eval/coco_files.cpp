#include "eval/coco_files.h"

#include "data/coco.h"
#include "eval/matching.h"
#include "io/atomic_file.h"

namespace gridspot::eval {

void write_coco_ground_truth(const std::filesystem::path& path, const EvaluationSet& set) {
  CocoDataSet data{.images = {}, .annotations = {}, .class_names = set.class_names};
  for (const auto& image : set.images)
    data.images.push_back({numbered_image_name(data.images.size()), image.height, image.width});
  for (const auto& object : set.objects) data.annotations.push_back({object.image, object.class_id, object.box});
  write_coco(path, data);
}

void write_coco_detections(const std::filesystem::path& path, const EvaluationSet& set) {
  Json results = Json::array();
  for (const auto& detection : set.detections)
    results.push_back(
        {{"image_id", detection.image + 1},
         {"category_id", detection.class_id + 1},
         {"bbox", coco_box(to_pixels(detection.box, set.images.at(static_cast<std::size_t>(detection.image))))},
         {"score", json_number(detection.score)}});
  write_file_atomically(path, to_text(results));
}

}  // namespace gridspot::eval
