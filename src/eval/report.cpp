#include "eval/report.h"

#include <algorithm>
#include <array>
#include <cstdio>

namespace gridspot::eval {
namespace {

Json errors_json(const ErrorCounts& errors) {
  return {{"true_positives", errors.true_positives}, {"duplicates", errors.duplicates},
          {"class_errors", errors.class_errors},     {"localisation_errors", errors.localisation_errors},
          {"background", errors.background},         {"misses", errors.misses}};
}

Json curve_json(const std::vector<CurvePoint>& curve) {
  Json recall = Json::array(), precision = Json::array(), score = Json::array();
  for (const auto& point : curve) {
    recall.push_back(point.recall);
    precision.push_back(point.precision);
    score.push_back(json_number(static_cast<float>(point.score)));
  }
  return {{"recall", recall}, {"precision", precision}, {"score", score}};
}

Json class_json(const ClassEvaluation& evaluation, Curves curves) {
  Json json = {
      {"name", evaluation.name},     {"objects", evaluation.objects}, {"detections", evaluation.detections},
      {"AP50", evaluation.ap50},     {"AP50_95", evaluation.ap50_95}, {"precision", evaluation.precision},
      {"recall", evaluation.recall}, {"F1", evaluation.f1},           {"errors", errors_json(evaluation.errors)}};
  if (curves == Curves::include) json["precision_curve"] = curve_json(evaluation.curve);
  return json;
}

/// A column wide; "-" for a measure that does not exist.
std::string measure_cell(double measure) {
  char text[32];
  std::snprintf(text, sizeof text, "%10.4f", measure);
  return measure < 0 ? "         -" : text;
}

std::string count_cell(std::int64_t count) {
  char text[32];
  std::snprintf(text, sizeof text, "%10lld", static_cast<long long>(count));
  return text;
}

std::string heading_cell(const char* heading) {
  char text[32];
  std::snprintf(text, sizeof text, "%10s", heading);
  return text;
}

template <class Counted>
std::string table_row(const std::string& name, std::size_t name_width, const Counted& counted, double ap50,
                      double ap50_95) {
  std::string row = name + std::string(name_width - std::min(name_width, name.size()), ' ');
  for (const auto count : {counted.objects, counted.detections}) row += count_cell(count);
  for (const double measure : {ap50, ap50_95, counted.precision, counted.recall, counted.f1})
    row += measure_cell(measure);
  return row + "\n";
}

}  // namespace

Json to_json(const Evaluation& evaluation, Curves curves) {
  Json per_class = Json::array();
  for (const auto& class_evaluation : evaluation.per_class) per_class.push_back(class_json(class_evaluation, curves));
  return {{"images", evaluation.images},
          {"objects", evaluation.objects},
          {"detections", evaluation.detections},
          {"mAP50", evaluation.map50},
          {"mAP50_95", evaluation.map50_95},
          {"score_threshold", json_number(evaluation.score_threshold)},
          {"precision", evaluation.precision},
          {"recall", evaluation.recall},
          {"F1", evaluation.f1},
          {"errors", errors_json(evaluation.errors)},
          {"collision_ceiling", evaluation.collision_ceiling ? Json(*evaluation.collision_ceiling) : Json()},
          {"per_class", per_class},
          {"confusion_matrix", evaluation.confusion}};
}

std::string to_table(const Evaluation& evaluation) {
  std::size_t name_width = 5;
  for (const auto& class_evaluation : evaluation.per_class)
    name_width = std::max(name_width, class_evaluation.name.size());
  std::string table = "class" + std::string(name_width - 5, ' ');
  for (const char* heading : {"objects", "found", "AP50", "AP50:95", "precision", "recall", "F1"})
    table += heading_cell(heading);
  table += '\n';
  for (const auto& each : evaluation.per_class)
    table += table_row(each.name, name_width, each, each.ap50, each.ap50_95);
  table += table_row("all", name_width, evaluation, evaluation.map50, evaluation.map50_95);
  const auto& errors = evaluation.errors;
  const auto count = [](std::int64_t value) { return std::to_string(value); };
  char threshold[16];
  std::snprintf(threshold, sizeof threshold, "%.3f", static_cast<double>(evaluation.score_threshold));
  return table + "Counted from score " + threshold + " on: duplicates " + count(errors.duplicates) + ", class errors " +
         count(errors.class_errors) + ", localisation errors " + count(errors.localisation_errors) +
         ", found in the background " + count(errors.background) + ", missed " + count(errors.misses) + "\n";
}

}  // namespace gridspot::eval
