#pragma once
// An evaluation set as COCO's own files, for pycocotools and other tools.
#include <filesystem>

#include "eval/evaluation.h"

namespace gridspot::eval {

/// Writes images, objects and classes as write_coco does. The images are named "000000.png" and so on, as `gridspot
/// data render` names them. Throws IoError.
void write_coco_ground_truth(const std::filesystem::path& path, const EvaluationSet& set);

/// Writes the results in the order given: image_id and category_id (from 1), bbox, score. (pycocotools' loadRes does
/// not load a file without any detection.) Throws IoError.
void write_coco_detections(const std::filesystem::path& path, const EvaluationSet& set);

}  // namespace gridspot::eval
