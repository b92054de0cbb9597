#pragma once
// Where a detector fails: recall against size and overlap, confused classes, and the canvases with the most errors.
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "eval/evaluation.h"
#include "io/json.h"

namespace gridspot::eval {

/// Some of the objects, and how many of them a detection took.
struct Recall {
  std::int64_t objects = 0, found = 0;
  /// -1 without objects.
  [[nodiscard]] double value() const;
};

/// The objects whose measure lies between the bounds.
struct RecallBin : Recall {
  double from = 0, to = 0;
};

/// Class errors whose object is of one class and whose detection is of another.
struct ClassConfusion {
  int true_class = 0, found_class = 0;
  std::int64_t count = 0;
};

struct CanvasErrors {
  int canvas = 0;
  std::int64_t objects = 0;
  ErrorCounts counts;
  double wrong_score = 0;  ///< sum over the detections that are no true positives
};

/// Misses and every detection that is no true positive.
std::int64_t errors(const ErrorCounts& counts);

inline constexpr std::size_t size_bin_count = 8, overlap_bin_count = 11, worst_canvas_count = 20;

struct Failures {
  float score_threshold = 0;
  /// By the square root of the area, in pixels: size_bin_count bins of one width from the smallest object to the
  /// largest, each with its lower bound, the last with both. A single bin where all are of one size, none without
  /// objects.
  std::vector<RecallBin> by_size;
  /// By the highest IoU with another object of the canvas: 0, (0, 0.1], (0.1, 0.2], ..., (0.9, 1].
  std::vector<RecallBin> by_overlap;
  /// Objects with the cell of their centre for themselves, and those that share it. Neither without a grid.
  std::optional<Recall> alone_in_cell, sharing_a_cell;
  std::vector<ClassConfusion> confusions;  ///< most frequent first, ties by true class, then found class
  std::vector<CanvasErrors> canvases;      ///< every canvas of the set, in its order
  /// Up to worst_canvas_count canvases with errors: most errors first, ties by the higher wrong_score, then by index.
  std::vector<int> worst;
};

/// Counts as ErrorCounts does, over the detections that evaluate counts with the same options. Throws as evaluate.
Failures find_failures(const EvaluationSet& set, const Options& options = {});

/// Keys: score_threshold, recall_by_size, recall_by_overlap (lists of from, to, objects, found, recall),
/// recall_by_cell (alone, sharing; null without a grid), class_confusions (true, found, count), canvases (a list for
/// each count, canvas by canvas) and worst_canvases (indices).
Json to_json(const Failures& failures, const std::vector<std::string>& class_names);

/// Reads what to_json wrote. `source` names the document, `path` the place in it; throws InvalidInput with both.
Failures parse_failures(const Json& json, const std::vector<std::string>& class_names, const std::string& source,
                        const std::string& path);

}  // namespace gridspot::eval
