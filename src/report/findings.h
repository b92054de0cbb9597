#pragma once
// Sentences drawn from a report's figures by stated rules.
#include <vector>

#include "report/report.h"

namespace gridspot::report {

/// From `report`'s models: what leads at the last milestone, what pre-training gained, and on the first protocol what
/// kinds of errors the leading model makes, where it misses objects, and whether the grid limits it.
std::vector<Finding> draw_findings(const Report& report);

/// The model with the highest mAP50 on a protocol at the last milestone at which any model was evaluated on it (of
/// equals the first), with that evaluation. Null without an evaluation that has objects.
struct Leader {
  const RunEntry* model = nullptr;
  const EvaluationEntry* evaluation = nullptr;
};
Leader leader(const Report& report, const std::string& protocol);

struct ErrorKind {
  const char* name;
  std::int64_t count = 0;
};
/// Misses, duplicates, class errors, localisation errors, finds in the background: the most frequent first.
std::vector<ErrorKind> error_kinds(const eval::ErrorCounts& counts);

/// What the grid costs: the objects that share their cell beyond one a cell.
struct CollisionCost {
  std::int64_t unrepresented = 0;  ///< objects that the grid has no place for
  std::int64_t not_found = 0;      ///< objects that no detection took
  bool binds = false;              ///< the former are at least half of the latter, and there are any
};
/// None without a grid.
std::optional<CollisionCost> collision_cost(const eval::Evaluation& evaluation);

}  // namespace gridspot::report
