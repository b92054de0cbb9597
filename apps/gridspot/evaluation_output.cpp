#include "apps/gridspot/evaluation_output.h"

#include <iomanip>
#include <iostream>

#include "eval/evaluation_folder.h"
#include "eval/report.h"

namespace gridspot::app {

namespace {

double rate(std::size_t canvases, double seconds) { return seconds > 0 ? static_cast<double>(canvases) / seconds : 0; }

double rate(const ProtocolEvaluation& result) { return rate(result.set.images.size(), result.seconds); }
double rate(const ClassifierEvaluation& result) { return rate(std::size_t(result.canvases), result.seconds); }

void print(std::ostream& out, const std::string& name, const ProtocolEvaluation& result) {
  out << eval::to_table(result.evaluation) << '\n'
      << name << ", " << result.set.images.size() << " canvases: mAP50 " << result.evaluation.map50 << ", mAP50_95 "
      << result.evaluation.map50_95 << ", class accuracy " << result.class_accuracy << ", collision ceiling "
      << result.evaluation.collision_ceiling.value_or(1);
  if (result.unplaced > 0) out << ", no place for " << result.unplaced << " glyphs";
}

void print(std::ostream& out, const std::string& name, const ClassifierEvaluation& result) {
  out << to_table(result) << '\n' << name << ", " << result.canvases << " canvases: ";
  if (result.multi_label)
    out << "exact match " << result.accuracy() << ", F1 " << result.macro_f1() << " (macro), " << result.micro_f1()
        << " (micro)";
  else
    out << "accuracy " << result.accuracy() << ", " << result.canvases - result.right << " errors";
}

}  // namespace

Json to_json(const ModelEvaluation& evaluation) {
  Json json;
  if (const auto* detector = std::get_if<ProtocolEvaluation>(&evaluation.result)) {
    json = evaluation_json(*detector, evaluation.name);
  } else {
    json["protocol"] = evaluation.name;
    json.update(gridspot::to_json(std::get<ClassifierEvaluation>(evaluation.result)));
  }
  json["canvases_per_second"] = std::visit([](const auto& result) { return rate(result); }, evaluation.result);
  return json;
}

void print(std::ostream& out, const ModelEvaluation& evaluation) {
  out << std::fixed << std::setprecision(4);
  std::visit([&](const auto& result) { print(out, evaluation.name, result); }, evaluation.result);
  out << std::setprecision(0) << ", " << std::visit([](const auto& result) { return rate(result); }, evaluation.result)
      << " canvases/s\n";
}

void warn_of_truncation(const ModelEvaluation& evaluation) {
  const auto* detector = std::get_if<ProtocolEvaluation>(&evaluation.result);
  if (detector != nullptr && detector->truncated > 0)
    std::cerr << "gridspot: " << detector->truncated
              << " detections were more than an image may have and were left out\n";
}

}  // namespace gridspot::app
