#pragma once
// How the command line shows an evaluation.
#include <ostream>

#include "io/json.h"
#include "train/model_evaluation.h"

namespace gridspot::app {

/// What evaluation.json holds without the curves, and canvases_per_second.
Json to_json(const ModelEvaluation& evaluation);

/// The table of classes, and a line with the totals.
void print(std::ostream& out, const ModelEvaluation& evaluation);

/// A line on stderr where detections were left out.
void warn_of_truncation(const ModelEvaluation& evaluation);

}  // namespace gridspot::app
