#include "report/run_files.h"

#include <algorithm>
#include <array>
#include <limits>
#include <tuple>

#include "eval/number_list.h"
#include "gridspot/error.h"
#include "io/atomic_file.h"
#include "io/object_reader.h"
#include "report/csv.h"

namespace gridspot::report {
namespace {

constexpr std::size_t largest_file = std::size_t{1} << 30;
constexpr double most_epochs = 1e9;

Json read_json(const std::filesystem::path& path) { return parse_json(read_file(path, largest_file), path.string()); }

/// The lines of a log that may still be written: a last one without its end is left out. None without the file.
std::vector<std::string> read_lines(const std::filesystem::path& path) {
  std::vector<std::string> lines;
  if (!std::filesystem::exists(path)) return lines;
  const std::string text = read_file(path, largest_file);
  for (std::size_t start = 0, end; (end = text.find('\n', start)) != std::string::npos; start = end + 1)
    lines.push_back(text.substr(start, end - start));
  return lines;
}

std::string place(const std::filesystem::path& path, std::size_t line) {
  return path.string() + ", line " + std::to_string(line + 1);
}

void read_config(RunFiles& run) {
  const auto path = run.folder / "config.json";
  const Json json = read_json(path);
  ObjectReader reader(json, path.string());
  reader.object("network").require("name", run.network);
  reader.object("protocol").require("name", run.protocol);
  reader.require("batch", run.batch, 1);
  reader.require("epoch_canvases", run.epoch_canvases, 1);
}

void read_steps(RunFiles& run) {
  const auto path = run.folder / "metrics.jsonl";
  const auto lines = read_lines(path);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const Json json = parse_json(lines[i], place(path, i));
    ObjectReader reader(json, place(path, i));
    StepLoss step;
    reader.require("step", step.step, run.steps.empty() ? 1 : run.steps.back().step + 1);
    reader.require("canvases", step.canvases, run.steps.empty() ? 1 : run.steps.back().canvases);
    reader.require("loss", step.loss);
    run.steps.push_back(step);
  }
}

std::optional<double> read_measure(ObjectReader& reader, std::string_view key) {
  double value = 0;
  return reader.read(key, value, -1, 1) ? std::optional(value) : std::nullopt;
}

void read_validations(RunFiles& run) {
  const auto path = run.folder / "validation.jsonl";
  const auto lines = read_lines(path);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const Json json = parse_json(lines[i], place(path, i));
    ObjectReader reader(json, place(path, i));
    Validation validation;
    reader.require("step", validation.step);
    reader.require("epoch", validation.epoch, run.validations.empty() ? 0 : run.validations.back().epoch, most_epochs);
    validation.map50 = read_measure(reader, "mAP50");
    validation.map50_95 = read_measure(reader, "mAP50_95");
    validation.class_accuracy = read_measure(reader, "class_accuracy");
    validation.accuracy = read_measure(reader, "accuracy");
    validation.exact_match = read_measure(reader, "exact_match");
    validation.macro_f1 = read_measure(reader, "macro_F1");
    run.validations.push_back(validation);
  }
}

void read_epochs(RunFiles& run) {
  const auto path = run.folder / "results.csv";
  const auto lines = read_lines(path);
  if (lines.empty()) return;
  const CsvHeader header(lines[0], place(path, 0), {"epoch", "step", "canvases", "seconds", "loss"});
  for (std::size_t i = 1; i < lines.size(); ++i) {
    const auto values = header.read(lines[i], place(path, i));
    run.epochs.push_back({static_cast<std::uint64_t>(values[0]), static_cast<std::uint64_t>(values[1]),
                          static_cast<std::uint64_t>(values[2]), values[3], values[4]});
  }
}

std::vector<std::filesystem::path> folders_in(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> folders;
  if (!std::filesystem::is_directory(folder)) return folders;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (entry.is_directory()) folders.push_back(entry.path());
  std::sort(folders.begin(), folders.end());
  return folders;
}

/// results.csv has a line for the epoch that the end broke off, too.
double epochs_done(const RunFiles& run) {
  return static_cast<double>(run.epochs.back().canvases) / static_cast<double>(run.epoch_canvases);
}

std::optional<double> epoch_of(const std::filesystem::path& folder, const RunFiles& run) {
  const std::string name = folder.filename().string(), prefix = "epoch-";
  if (name == "final") return run.epochs.empty() ? std::nullopt : std::optional(epochs_done(run));
  const auto digits = name.starts_with(prefix) ? name.substr(prefix.size()) : "";
  if (digits.empty() || digits.size() > 9 || digits.find_first_not_of("0123456789") != std::string::npos)
    return std::nullopt;
  return std::stod(digits);
}

void read_places(RunFiles& run) {
  for (const auto& milestone : folders_in(run.folder / "evaluation"))
    for (const auto& folder : folders_in(milestone))
      run.evaluations.push_back({.milestone = milestone.filename().string(),
                                 .epoch = epoch_of(milestone, run),
                                 .protocol = folder.filename().string(),
                                 .folder = folder,
                                 .complete = std::filesystem::exists(folder / "evaluation.json")});
  const auto rank = [](const EvaluationPlace& its) {
    return std::tuple(its.milestone == "final", its.epoch.value_or(0));
  };
  std::stable_sort(run.evaluations.begin(), run.evaluations.end(),
                   [&](const auto& a, const auto& b) { return rank(a) < rank(b); });
}

std::vector<ClassifierRecord::Class> read_classes(ObjectReader& reader) {
  std::vector<ClassifierRecord::Class> classes;
  for (auto& entry : reader.objects("per_class")) {
    ClassifierRecord::Class its;
    entry.require("name", its.name);
    entry.require("present", its.present, 0);
    entry.require("found", its.found, 0);
    entry.require("precision", its.precision, 0, 1);
    entry.require("recall", its.recall, 0, 1);
    entry.require("F1", its.f1, 0, 1);
    classes.push_back(its);
  }
  return classes;
}

std::vector<StudyFile::Model> read_models(ObjectReader& reader, std::string_view key, bool with_backbone) {
  std::vector<StudyFile::Model> models;
  for (auto& entry : reader.objects(key)) {
    StudyFile::Model model;
    entry.require("name", model.name);
    entry.require("folder", model.folder);
    if (with_backbone) entry.require("backbone", model.backbone);
    entry.read("backbone_folder", model.backbone_folder);
    if (model.folder.empty()) entry.fail("folder", "must not be empty");
    models.push_back(model);
  }
  return models;
}

}  // namespace

bool is_study(const std::filesystem::path& folder) { return std::filesystem::exists(folder / "study.json"); }
bool is_run(const std::filesystem::path& folder) { return std::filesystem::exists(folder / "config.json"); }

std::optional<ClassifierRecord> read_classifier_evaluation(const std::filesystem::path& folder) {
  const auto path = folder / "evaluation.json";
  const Json json = read_json(path);
  ObjectReader reader(json, path.string());
  if (!reader.has("task")) return std::nullopt;
  ClassifierRecord record;
  reader.require("task", record.task);
  reader.require("canvases", record.canvases, 0);
  record.accuracy = read_measure(reader, "accuracy");
  record.exact_match = read_measure(reader, "exact_match");
  record.macro_f1 = read_measure(reader, "macro_F1");
  record.micro_f1 = read_measure(reader, "micro_F1");
  record.per_class = read_classes(reader);
  if (record.accuracy)
    record.confusion = eval::count_matrix(json, "confusion_matrix", record.per_class.size(), reader,
                                          "must be a square of counts with a row for each class");
  return record;
}

RunFiles read_run(const std::filesystem::path& folder) {
  RunFiles run{.folder = folder};
  read_config(run);
  read_steps(run);
  read_validations(run);
  read_epochs(run);
  read_places(run);
  run.has_model = std::filesystem::exists(folder / "model.safetensors");
  return run;
}

StudyFile read_study(const std::filesystem::path& folder) {
  const auto path = folder / "study.json";
  const Json json = read_json(path);
  ObjectReader reader(json, path.string());
  StudyFile study;
  reader.require("gridspot", study.gridspot);
  reader.require("preset", study.preset);
  reader.require("protocol", study.protocol);
  reader.require("recipe", study.recipe);
  reader.require("seed", study.seed);
  reader.require("images", study.images);
  reader.require("epoch_canvases", study.epoch_canvases, 1);
  reader.require("max_glyphs", study.max_glyphs, 1);
  reader.require("device", study.device);
  reader.require("milestones", study.milestones, 1);
  reader.require("evaluations", study.evaluations);
  study.models = read_models(reader, "models", true);
  if (reader.has("backbones")) study.backbones = read_models(reader, "backbones", false);
  return study;
}

}  // namespace gridspot::report
