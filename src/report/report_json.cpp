// The report for programs: the figures that the page shows, with their files.
#include "report/findings.h"
#include "report/report.h"

namespace gridspot::report {
namespace {

Json optional_json(const auto& value) { return value ? Json(*value) : Json(); }

Json study_json(const StudyFile& study) {
  return {{"gridspot", study.gridspot},
          {"preset", study.preset},
          {"protocol", study.protocol},
          {"recipe", study.recipe},
          {"seed", study.seed},
          {"images", study.images},
          {"epoch_canvases", study.epoch_canvases},
          {"max_glyphs", study.max_glyphs},
          {"device", study.device},
          {"milestones", study.milestones},
          {"evaluations", study.evaluations}};
}

Json loss_json(const LossCurve& curve) {
  return {{"file", curve.file},
          {"steps", curve.steps},
          {"window", curve.window},
          {"epoch", curve.epochs},
          {"loss", curve.losses}};
}

/// A list for each measure that any of the validations has.
Json validation_json(const RunEntry& run) {
  constexpr std::pair<const char*, std::optional<double> Validation::*> measures[]{
      {"mAP50", &Validation::map50},
      {"mAP50_95", &Validation::map50_95},
      {"class_accuracy", &Validation::class_accuracy},
      {"accuracy", &Validation::accuracy},
      {"exact_match", &Validation::exact_match},
      {"macro_F1", &Validation::macro_f1}};
  Json json{{"file", run.validation_file}, {"epoch", Json::array()}};
  for (const auto& validation : run.validations) json["epoch"].push_back(validation.epoch);
  for (const auto& [name, member] : measures) {
    Json values = Json::array();
    bool any = false;
    for (const auto& validation : run.validations) {
      values.push_back(optional_json(validation.*member));
      any = any || validation.*member;
    }
    if (any) json[name] = values;
  }
  return json;
}

Json training_json(const RunEntry& run) {
  Json json{{"file", run.results_file}};
  if (run.epochs.empty()) return json;
  const auto& last = run.epochs.back();
  json.update(Json{{"epoch", last.epoch},
                   {"step", last.step},
                   {"canvases", last.canvases},
                   {"seconds", last.seconds},
                   {"loss", last.loss}});
  return json;
}

/// What evaluation.json says, without the counts of each canvas, which only the worst ones have here.
Json evaluation_json(const EvaluationEntry& entry) {
  const auto& evaluation = entry.record.evaluation;
  std::vector<std::string> class_names;
  for (const auto& its : evaluation.per_class) class_names.push_back(its.name);
  Json json{{"milestone", entry.milestone},
            {"epoch", optional_json(entry.epoch)},
            {"protocol", entry.record.protocol},
            {"file", entry.file}};
  json.update(eval::to_json(evaluation, eval::Curves::include));
  json["class_accuracy"] = entry.record.class_accuracy;
  json["unplaced"] = entry.record.unplaced;
  json["truncated"] = entry.record.truncated;
  Json failures = eval::to_json(entry.record.failures, class_names);
  failures.erase("canvases");
  failures["worst_canvases"] = Json::array();
  for (const int canvas : entry.record.failures.worst) {
    const auto& its = entry.record.failures.canvases[static_cast<std::size_t>(canvas)];
    failures["worst_canvases"].push_back({{"canvas", canvas},
                                          {"objects", its.objects},
                                          {"misses", its.counts.misses},
                                          {"duplicates", its.counts.duplicates},
                                          {"class_errors", its.counts.class_errors},
                                          {"localisation_errors", its.counts.localisation_errors},
                                          {"background", its.counts.background},
                                          {"wrong_score", its.wrong_score}});
  }
  json["failures"] = failures;
  if (const auto cost = collision_cost(evaluation))
    json["collision_cost"] = {
        {"unrepresented", cost->unrepresented}, {"not_found", cost->not_found}, {"binds", cost->binds}};
  return json;
}

Json classifications_json(const RunEntry& run) {
  Json list = Json::array();
  for (const auto& entry : run.classifications) {
    const auto& record = entry.record;
    Json per_class = Json::array();
    for (const auto& its : record.per_class)
      per_class.push_back({{"name", its.name},
                           {"present", its.present},
                           {"found", its.found},
                           {"precision", its.precision},
                           {"recall", its.recall},
                           {"F1", its.f1}});
    list.push_back({{"milestone", entry.milestone},
                    {"protocol", entry.protocol},
                    {"file", entry.file},
                    {"task", record.task},
                    {"canvases", record.canvases},
                    {"accuracy", optional_json(record.accuracy)},
                    {"exact_match", optional_json(record.exact_match)},
                    {"macro_F1", optional_json(record.macro_f1)},
                    {"micro_F1", optional_json(record.micro_f1)},
                    {"per_class", per_class},
                    {"confusion_matrix", record.confusion.empty() ? Json() : Json(record.confusion)}});
  }
  return list;
}

Json run_json(const RunEntry& run) {
  Json evaluations = Json::array();
  for (const auto& entry : run.evaluations) evaluations.push_back(evaluation_json(entry));
  return {{"name", run.name},
          {"backbone", run.backbone},
          {"folder", run.folder},
          {"network", run.network},
          {"protocol", run.protocol},
          {"batch", run.batch},
          {"epoch_canvases", run.epoch_canvases},
          {"training", training_json(run)},
          {"loss", loss_json(run.loss)},
          {"validation", validation_json(run)},
          {"evaluations", evaluations},
          {"classifications", classifications_json(run)}};
}

Json runs_json(const std::vector<RunEntry>& runs) {
  Json json = Json::array();
  for (const auto& run : runs) json.push_back(run_json(run));
  return json;
}

}  // namespace

Json to_json(const Report& report) {
  Json findings = Json::array();
  for (const auto& finding : report.findings)
    findings.push_back({{"text", finding.text}, {"rule", finding.rule}, {"files", finding.files}});
  return {{"title", report.title},
          {"study", report.study ? study_json(*report.study) : Json()},
          {"findings", findings},
          {"missing", report.missing},
          {"models", runs_json(report.models)},
          {"backbones", runs_json(report.backbones)}};
}

}  // namespace gridspot::report
