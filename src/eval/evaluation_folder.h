#pragma once
// An evaluation as files: evaluation.json with curves and failures, ground_truth.json and detections.json (COCO), and
// images/000012.png of the canvases that a report shows.
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "data/image.h"
#include "eval/errors.h"
#include "eval/failures.h"
#include "eval/protocol_evaluation.h"
#include "eval/report.h"
#include "io/json.h"

namespace gridspot {

/// The canvases 0 ... gallery_canvas_count - 1 are kept as images, and the worst ones.
inline constexpr int gallery_canvas_count = 24;

/// eval::to_json with the protocol's name before it, and class_accuracy, unplaced and truncated after it. Equal
/// evaluations give equal text.
Json evaluation_json(const ProtocolEvaluation& result, const std::string& protocol,
                     eval::Curves curves = eval::Curves::leave_out);

/// Creates or replaces the folder's files. evaluation.json (evaluation_json with the curves, and eval::Failures as
/// "failures") is written last: a folder that has it is complete. `canvas_image(i)` is canvas i in grey. Throws IoError
/// and what canvas_image throws.
void write_evaluation(const std::filesystem::path& folder, const ProtocolEvaluation& result,
                      const std::string& protocol, const std::function<Image(int)>& canvas_image);

/// evaluation.json.
struct EvaluationRecord {
  std::string protocol;
  eval::Evaluation evaluation;
  double class_accuracy = 0;
  std::int64_t unplaced = 0, truncated = 0;
  eval::Failures failures;
};

/// Reads evaluation.json of such a folder. Throws IoError, and InvalidInput with the file and the place in it.
EvaluationRecord read_evaluation(const std::filesystem::path& folder);

/// One canvas with its objects, its detections above the evaluation's score threshold by falling score (in pixels),
/// and what became of them.
struct CanvasRecord {
  int canvas = 0;
  eval::ImageSize size;
  std::filesystem::path image;  ///< the PNG, which exists
  std::vector<PixelBox> objects, detections;
  std::vector<int> object_classes, detection_classes;
  std::vector<float> scores;
  eval::ImageVerdicts verdicts;
};

/// The canvases asked for, in that order, from the COCO files and images of the record's folder. Throws IoError, and
/// InvalidInput with the file and the place in it, or the image that is missing.
std::vector<CanvasRecord> read_canvases(const std::filesystem::path& folder, const EvaluationRecord& record,
                                        const std::vector<int>& canvases);

}  // namespace gridspot
