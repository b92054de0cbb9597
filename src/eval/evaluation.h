#pragma once
// How well detections fit the ground truth: COCO's average precision, precision and recall at a score, the confusion
// matrix and what kinds of errors were made.
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "gridspot/box.h"

namespace gridspot::eval {

struct ImageSize {
  int width = 0, height = 0;  ///< pixels
};

struct Object {
  int image = 0, class_id = 0;
  Box box;
};

struct Detection {
  int image = 0, class_id = 0;
  float score = 0;
  Box box;
};

/// What is evaluated. Images and classes are counted from 0.
struct EvaluationSet {
  std::vector<ImageSize> images;
  std::vector<std::string> class_names;
  std::vector<Object> objects;        ///< ground truth
  std::vector<Detection> detections;  ///< in any order; of equal scores the earlier counts as the higher
};

struct Options {
  int max_detections = 100;  ///< of an image and class: the highest scores, as COCO counts them
  /// Detections with a lower score are left out of everything but average precision. None: best_f1_threshold's, so that
  /// what is said of a model's errors does not depend on how its scores are calibrated. (It is chosen on the set that
  /// is measured: precision, recall and F1 are a model's best there. Average precision does not depend on it.)
  std::optional<float> score_threshold;
  int cells = 0;  ///< side of the detector's grid, for the collision ceiling; 0: no grid
};

/// The IoU thresholds 0.50, 0.55, ..., 0.95 and the recalls 0, 0.01, ..., 1 of COCO's average precision.
inline constexpr std::size_t iou_threshold_count = 10, recall_count = 101;

/// Detections with score >= the threshold, each counted as the first of these that holds. Matching is COCO's at IoU
/// 0.5, class by class: by falling score, each detection takes the free object of its class with the highest IoU >=
/// 0.5.
struct ErrorCounts {
  std::int64_t true_positives = 0;       ///< it took an object
  std::int64_t duplicates = 0;           ///< IoU >= 0.5 with an object of its class, which another detection took
  std::int64_t class_errors = 0;         ///< IoU >= 0.5 with an object of another class
  std::int64_t localisation_errors = 0;  ///< IoU >= 0.1 with an object of its class
  std::int64_t background = 0;           ///< none of these: it found nothing
  /// Objects that nothing took and that were not the best overlap of a class error or localisation error: nobody saw
  /// them.
  std::int64_t misses = 0;
};

/// One point of the interpolated precision-recall curve at IoU 0.5: the best precision at this recall or beyond, and
/// the score at which this recall is reached. Both 0 where it is not reached.
struct CurvePoint {
  double recall = 0, precision = 0, score = 0;
};

struct ClassEvaluation {
  std::string name;
  std::int64_t objects = 0, detections = 0;  ///< in the set; detections with score >= threshold
  double ap50 = -1, ap50_95 = -1;            ///< -1 for a class without objects
  double precision = 0, recall = 0, f1 = 0;  ///< at the score threshold and IoU 0.5; 0 where nothing is counted
  ErrorCounts errors;                        ///< detections by their class, misses by the object's
  std::vector<CurvePoint> curve;             ///< recall_count points; none for a class without objects
};

struct Evaluation {
  std::int64_t images = 0, objects = 0, detections = 0;
  float score_threshold = 0;
  double map50 = -1, map50_95 = -1;          ///< means over the classes that have objects; -1 without any
  double precision = 0, recall = 0, f1 = 0;  ///< over all classes' counts
  ErrorCounts errors;
  std::vector<ClassEvaluation> per_class;
  /// [true class][detected class], each with a last row or column for background, over detections with score >=
  /// threshold. By falling score, each takes the free object with the highest IoU >= 0.5, whatever their classes; one
  /// that takes none counts in the background row, an object that none took in the background column.
  std::vector<std::vector<std::int64_t>> confusion;
  std::optional<double> collision_ceiling;
  int cells = 0;  ///< the side of the grid that the ceiling is of; 0 without one
};

/// Evaluates as COCO does (pycocotools' bbox evaluation with all areas, no crowds, maxDets = max_detections). Boxes are
/// compared in pixels and double precision. An unmatched detection whose area is outside [0, 1e10] pixels does not
/// count against the average precision. Throws InvalidInput that names the object or detection whose image, class, box
/// or score is not valid.
Evaluation evaluate(const EvaluationSet& set, const Options& options = {});

/// The share of objects that a cells x cells grid with one object a cell can represent: an object belongs to the cell
/// that holds its centre (the far edge belongs to the last cell), and each cell represents one. 1 without objects.
double collision_ceiling(const EvaluationSet& set, int cells);

}  // namespace gridspot::eval
