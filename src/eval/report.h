#pragma once
// An evaluation as JSON and as a table.
#include <string>

#include "eval/evaluation.h"
#include "io/json.h"

namespace gridspot::eval {

enum class Curves { leave_out, include };

/// Keys: images, objects, detections, mAP50, mAP50_95, score_threshold, precision, recall, F1, errors,
/// collision_ceiling (null without a grid), per_class (a list in the order of the classes: name, objects, detections,
/// AP50, AP50_95, precision, recall, F1, errors, and with the curves precision_curve: recall, precision, score) and
/// confusion_matrix (see Evaluation). Measures that do not exist are -1, as in COCO's own results.
Json to_json(const Evaluation& evaluation, Curves curves = Curves::leave_out);

/// A line a class and one for all, in columns ("-" for measures that do not exist), and a line that counts the errors.
/// Ends in a line end.
std::string to_table(const Evaluation& evaluation);

}  // namespace gridspot::eval
