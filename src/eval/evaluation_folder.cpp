#include "eval/evaluation_folder.h"

#include <algorithm>
#include <set>

#include "data/coco.h"
#include "eval/coco_files.h"
#include "gridspot/error.h"
#include "io/atomic_file.h"

namespace gridspot {
namespace {

/// What an earlier evaluation left; the file that says "complete" goes first.
void clear(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::remove(folder / "evaluation.json", error);
  if (!error) std::filesystem::remove_all(folder / "images", error);
  if (!error) std::filesystem::create_directories(folder / "images", error);
  if (error) throw IoError("the evaluation folder " + folder.string() + " cannot be written: " + error.message());
}

std::set<int> kept_canvases(int count, const std::vector<int>& worst) {
  std::set<int> kept(worst.begin(), worst.end());
  for (int canvas = 0; canvas < std::min(count, gallery_canvas_count); ++canvas) kept.insert(canvas);
  return kept;
}

}  // namespace

Json evaluation_json(const ProtocolEvaluation& result, const std::string& protocol, eval::Curves curves) {
  Json json{{"protocol", protocol}};
  json.update(eval::to_json(result.evaluation, curves));
  json["class_accuracy"] = result.class_accuracy;
  json["unplaced"] = result.unplaced;
  json["truncated"] = result.truncated;
  return json;
}

void write_evaluation(const std::filesystem::path& folder, const ProtocolEvaluation& result,
                      const std::string& protocol, const std::function<Image(int)>& canvas_image) {
  const eval::Failures failures = eval::find_failures(
      result.set, {.score_threshold = result.evaluation.score_threshold, .cells = result.evaluation.cells});
  clear(folder);
  for (const int canvas : kept_canvases(static_cast<int>(result.set.images.size()), failures.worst))
    write_png(folder / "images" / numbered_image_name(static_cast<std::size_t>(canvas)), canvas_image(canvas));
  eval::write_coco_ground_truth(folder / "ground_truth.json", result.set);
  eval::write_coco_detections(folder / "detections.json", result.set);
  Json json = evaluation_json(result, protocol, eval::Curves::include);
  json["failures"] = eval::to_json(failures, result.set.class_names);
  write_file_atomically(folder / "evaluation.json", to_text(json));
}

}  // namespace gridspot
