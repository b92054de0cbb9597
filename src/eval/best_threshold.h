#pragma once
// The score above which a detector's detections are best taken seriously.
#include "eval/evaluation.h"
#include "eval/prepared_set.h"

namespace gridspot::eval {

/// The highest score at which detections with that score or a higher one reach the highest F1 = 2 TP / (detections +
/// objects) over all classes, matched at IoU 0.5 as ErrorCounts says. 1 where no detection takes an object.
float best_f1_threshold(const PreparedSet& prepared);

/// That of the options, else the best.
float score_threshold(const PreparedSet& prepared, const Options& options);

}  // namespace gridspot::eval
