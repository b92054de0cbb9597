#pragma once
// What a run or a study has to say: collected once, shown as HTML and as JSON with the same figures.
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "eval/evaluation_folder.h"
#include "io/json.h"
#include "report/run_files.h"

namespace gridspot::report {

/// The most points of a loss curve; longer ones are means over windows of steps.
inline constexpr std::size_t most_loss_points = 200;

/// A curve's point stands at the end of its window.
struct LossCurve {
  std::string file;
  std::uint64_t steps = 0, window = 1;  ///< in the file; of a point (the last may have fewer)
  std::vector<double> epochs, losses;
};

struct ShownCanvas {
  CanvasRecord record;
  std::string file, png;  ///< the image's name and content
};

struct EvaluationEntry {
  std::string milestone;
  std::optional<double> epoch;
  std::string folder, file;  ///< file: its evaluation.json
  EvaluationRecord record;
  std::vector<ShownCanvas> gallery, worst;  ///< of a run's last milestone alone
};

struct ClassifierEntry {
  std::string milestone, protocol, file;
  ClassifierRecord record;
};

struct RunEntry {
  std::string name, backbone, backbone_folder, folder;  ///< folders and files: relative to the report's folder
  std::string network, protocol;
  int batch = 0;
  std::uint64_t epoch_canvases = 0;
  LossCurve loss;
  std::string validation_file, results_file;
  std::vector<Validation> validations;
  std::vector<EpochResult> epochs;
  std::vector<EvaluationEntry> evaluations;      ///< by milestone, then protocol
  std::vector<ClassifierEntry> classifications;  ///< instead of evaluations, where the run trained a classifier
};

/// A sentence drawn from the figures, the rule it follows, and the files of those figures.
struct Finding {
  std::string text, rule;
  std::vector<std::string> files;
};

struct Report {
  std::string title;
  std::optional<StudyFile> study;
  std::vector<RunEntry> models, backbones;
  std::vector<Finding> findings;
  std::vector<std::string> missing;  ///< sentences about what an unfinished run or study lacks
};

/// Reads a run or a study. Throws InvalidInput when the folder holds neither, or for a file that is not what it must
/// be, and IoError.
Report collect_report(const std::filesystem::path& run_or_study);

/// The evaluation of a run at an epoch on a protocol; null without it.
const EvaluationEntry* find_evaluation(const RunEntry& run, double epoch, const std::string& protocol);
/// The last one on a protocol; null without it.
const EvaluationEntry* last_evaluation(const RunEntry& run, const std::string& protocol);

/// The protocols of all models' evaluations: the study's in its order (of a run: that it was trained on), then
/// others as they come.
std::vector<std::string> protocols_of(const Report& report);
/// The study's milestones and those epochs that were evaluated, rising.
std::vector<double> epochs_of(const Report& report);

Json to_json(const Report& report);
std::string to_html(const Report& report);

}  // namespace gridspot::report
