#pragma once
// An evaluation set as COCO's own files, for pycocotools and other tools.
#include <filesystem>
#include <span>
#include <string>

#include "eval/evaluation.h"

namespace gridspot::eval {

/// Writes the annotations: images, categories and boxes, each with ids from 1 (image i has id i + 1, class c category c
/// + 1). bbox is [x, y, width, height] in pixels; iscrowd is 0. `file_names`: one for each image, or none
/// ("000001.png", ...). Throws IoError; InvalidInput when the number of file names fits neither.
void write_coco_ground_truth(const std::filesystem::path& path, const EvaluationSet& set,
                             std::span<const std::string> file_names = {});

/// Writes the results in the order given: image_id, category_id, bbox, score. (pycocotools' loadRes does not load a
/// file without any detection.) Throws IoError.
void write_coco_detections(const std::filesystem::path& path, const EvaluationSet& set);

}  // namespace gridspot::eval
