#include "apps/gridspot/evaluation_output.h"

#include <iomanip>
#include <iostream>

#include "eval/report.h"

namespace gridspot::app {

namespace {
double canvases_per_second(const ProtocolEvaluation& result) {
  return result.seconds > 0 ? static_cast<double>(result.set.images.size()) / result.seconds : 0;
}
}  // namespace

Json evaluation_json(const ProtocolEvaluation& result, const std::string& protocol) {
  Json json{{"protocol", protocol}};
  json.update(eval::to_json(result.evaluation));
  json["class_accuracy"] = result.class_accuracy;
  json["unplaced"] = result.unplaced;
  json["truncated"] = result.truncated;
  json["canvases_per_second"] = canvases_per_second(result);
  return json;
}

void print_evaluation(std::ostream& out, const ProtocolEvaluation& result, const std::string& protocol) {
  out << eval::to_table(result.evaluation) << std::fixed << std::setprecision(4) << '\n'
      << protocol << ", " << result.set.images.size() << " canvases: mAP50 " << result.evaluation.map50 << ", mAP50_95 "
      << result.evaluation.map50_95 << ", class accuracy " << result.class_accuracy << ", collision ceiling "
      << result.evaluation.collision_ceiling.value_or(1) << std::setprecision(0) << ", " << canvases_per_second(result)
      << " canvases/s";
  if (result.unplaced > 0) out << ", no place for " << result.unplaced << " glyphs";
  out << '\n';
}

void warn_of_truncation(const ProtocolEvaluation& result) {
  if (result.truncated > 0)
    std::cerr << "gridspot: " << result.truncated << " detections were more than an image may have and were left out\n";
}

}  // namespace gridspot::app
