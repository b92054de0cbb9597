#include "report/report.h"

#include <algorithm>
#include <numeric>
#include <set>

#include "gridspot/error.h"
#include "io/atomic_file.h"
#include "report/findings.h"

namespace gridspot::report {
namespace {

constexpr std::size_t largest_png = std::size_t{1} << 26;

std::string name_below(const std::filesystem::path& path, const std::filesystem::path& base) {
  return path.lexically_relative(base).generic_string();
}

LossCurve thin(const RunFiles& run, const std::string& file) {
  LossCurve curve{.file = file, .steps = run.steps.size()};
  curve.window = std::max<std::uint64_t>(1, (run.steps.size() + most_loss_points - 1) / most_loss_points);
  for (std::size_t first = 0; first < run.steps.size(); first += curve.window) {
    const std::size_t last = std::min<std::size_t>(first + curve.window, run.steps.size());
    double sum = 0;
    for (std::size_t i = first; i < last; ++i) sum += run.steps[i].loss;
    curve.losses.push_back(sum / static_cast<double>(last - first));
    curve.epochs.push_back(static_cast<double>(run.steps[last - 1].canvases) / static_cast<double>(run.epoch_canvases));
  }
  return curve;
}

std::vector<ShownCanvas> show(std::vector<CanvasRecord> records, const std::filesystem::path& base) {
  std::vector<ShownCanvas> shown;
  for (auto& record : records) {
    const auto path = record.image;
    shown.push_back({std::move(record), name_below(path, base), read_file(path, largest_png)});
  }
  return shown;
}

void add_canvases(EvaluationEntry& entry, const std::filesystem::path& folder, const std::filesystem::path& base) {
  const auto canvases = static_cast<int>(entry.record.failures.canvases.size());
  std::vector<int> gallery(static_cast<std::size_t>(std::min(gallery_canvas_count, canvases)));
  std::iota(gallery.begin(), gallery.end(), 0);
  const auto worst = entry.record.failures.worst;
  std::vector<int> all = gallery;
  all.insert(all.end(), worst.begin(), worst.end());
  auto shown = show(read_canvases(folder, entry.record, all), base);
  const auto middle = shown.begin() + static_cast<std::ptrdiff_t>(gallery.size());
  entry.worst.assign(middle, shown.end());
  entry.gallery.assign(shown.begin(), middle);
}

EvaluationEntry read_entry(const EvaluationPlace& place, const std::filesystem::path& base) {
  EvaluationEntry entry{.milestone = place.milestone,
                        .epoch = place.epoch,
                        .folder = name_below(place.folder, base),
                        .file = name_below(place.folder / "evaluation.json", base),
                        .record = read_evaluation(place.folder)};
  require(entry.record.protocol == place.protocol, (place.folder / "evaluation.json").string() + ": protocol is '" +
                                                       entry.record.protocol + "', but the folder is named '" +
                                                       place.protocol + "'");
  return entry;
}

/// The run's entry; what it lacks goes to `missing`.
class RunCollector {
 public:
  RunCollector(const std::filesystem::path& base, std::vector<std::string>& missing) : base_(base), missing_(missing) {}

  RunEntry collect(const StudyFile::Model& model, const std::filesystem::path& folder) {
    const std::string& name = model.name;
    const RunFiles run = read_run(folder);
    const auto file = [&](const char* its) { return name_below(folder / its, base_); };
    RunEntry entry{.name = name,
                   .backbone = model.backbone,
                   .backbone_folder = model.backbone_folder,
                   .folder = name_below(folder, base_),
                   .network = run.network,
                   .protocol = run.protocol,
                   .batch = run.batch,
                   .epoch_canvases = run.epoch_canvases,
                   .loss = thin(run, file("metrics.jsonl")),
                   .validation_file = file("validation.jsonl"),
                   .results_file = file("results.csv"),
                   .validations = run.validations,
                   .epochs = run.epochs,
                   .evaluations = {}};
    if (run.steps.empty()) missing_.push_back(name + ": there is no step in " + file("metrics.jsonl") + ".");
    if (run.epochs.empty()) missing_.push_back(name + ": there is no epoch in " + file("results.csv") + ".");
    if (run.validations.empty())
      missing_.push_back(name + ": there is no validation in " + file("validation.jsonl") + ".");
    if (!run.has_model) missing_.push_back(name + ": there is no " + file("model.safetensors") + ".");
    read_evaluations(run, entry);
    return entry;
  }

 private:
  void read_evaluations(const RunFiles& run, RunEntry& entry) {
    for (const auto& place : run.evaluations) {
      if (!place.complete)
        missing_.push_back(entry.name + ": " + name_below(place.folder, base_) +
                           " has no evaluation.json; its evaluation was not finished.");
      else if (auto record = read_classifier_evaluation(place.folder))
        entry.classifications.push_back(
            {place.milestone, place.protocol, name_below(place.folder / "evaluation.json", base_), std::move(*record)});
      else
        entry.evaluations.push_back(read_entry(place, base_));
    }
    for (auto& evaluation : entry.evaluations)
      if (last_evaluation(entry, evaluation.record.protocol) == &evaluation)
        add_canvases(evaluation, base_ / evaluation.folder, base_);
  }

  const std::filesystem::path& base_;
  std::vector<std::string>& missing_;
};

void name_missing_evaluations(Report& report) {
  for (const auto& model : report.models)
    for (const int milestone : report.study->milestones)
      for (const auto& protocol : report.study->evaluations)
        if (find_evaluation(model, milestone, protocol) == nullptr)
          report.missing.push_back(model.name + " has not been evaluated on " + protocol + " at " +
                                   std::to_string(milestone) + " epochs.");
}

Report collect_study(const std::filesystem::path& folder) {
  Report report{.title = "Study " + folder.filename().string(), .study = read_study(folder)};
  RunCollector collector(folder, report.missing);
  const auto collect = [&](const std::vector<StudyFile::Model>& models, std::vector<RunEntry>& entries) {
    for (const auto& model : models) {
      if (is_run(folder / model.folder))
        entries.push_back(collector.collect(model, folder / model.folder));
      else
        report.missing.push_back(model.name + " has not been trained: there is no " + model.folder + "/config.json.");
    }
  };
  collect(report.study->models, report.models);
  collect(report.study->backbones, report.backbones);
  name_missing_evaluations(report);
  return report;
}

Report collect_run(const std::filesystem::path& folder) {
  const std::string name = folder.filename().string();
  Report report{.title = "Run " + name, .study = {}};
  report.models.push_back(RunCollector(folder, report.missing).collect({.name = name}, folder));
  if (report.models[0].evaluations.empty() && report.models[0].classifications.empty())
    report.missing.push_back(name + ": there is no evaluation.");
  return report;
}

}  // namespace

Report collect_report(const std::filesystem::path& run_or_study) {
  auto folder = std::filesystem::absolute(run_or_study).lexically_normal();
  if (folder.filename().empty()) folder = folder.parent_path();
  require(is_study(folder) || is_run(folder),
          run_or_study.string() + " holds neither a study (study.json) nor a run (config.json)");
  Report report = is_study(folder) ? collect_study(folder) : collect_run(folder);
  report.findings = draw_findings(report);
  return report;
}

const EvaluationEntry* find_evaluation(const RunEntry& run, double epoch, const std::string& protocol) {
  for (const auto& entry : run.evaluations)
    if (entry.epoch == epoch && entry.record.protocol == protocol) return &entry;
  return nullptr;
}

const EvaluationEntry* last_evaluation(const RunEntry& run, const std::string& protocol) {
  const EvaluationEntry* last = nullptr;
  for (const auto& entry : run.evaluations)
    if (entry.record.protocol == protocol) last = &entry;
  return last;
}

std::vector<std::string> protocols_of(const Report& report) {
  std::vector<std::string> protocols;
  if (report.study)
    protocols = report.study->evaluations;
  else if (!report.models.empty() && last_evaluation(report.models[0], report.models[0].protocol) != nullptr)
    protocols.push_back(report.models[0].protocol);
  for (const auto& model : report.models)
    for (const auto& entry : model.evaluations)
      if (std::find(protocols.begin(), protocols.end(), entry.record.protocol) == protocols.end())
        protocols.push_back(entry.record.protocol);
  return protocols;
}

std::vector<double> epochs_of(const Report& report) {
  std::set<double> epochs;
  if (report.study) epochs.insert(report.study->milestones.begin(), report.study->milestones.end());
  for (const auto& model : report.models)
    for (const auto& entry : model.evaluations)
      if (entry.epoch) epochs.insert(*entry.epoch);
  return {epochs.begin(), epochs.end()};
}

}  // namespace gridspot::report
