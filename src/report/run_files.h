#pragma once
// The files of runs and studies, read strictly.
//
//   RUN/    config.json, metrics.jsonl (a line a step), results.csv (a line an epoch), validation.jsonl (a line a
//           validation), evaluation/MILESTONE/PROTOCOL/ (see eval/evaluation_folder.h)
//   STUDY/  study.json and the folders of the runs that it names
//
// A run may be unfinished: what is not there is left empty. Every other fault is an InvalidInput that names the file
// and the line or key.
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace gridspot::report {

/// A line of metrics.jsonl.
struct StepLoss {
  std::uint64_t step = 0, canvases = 0;
  double loss = 0;
};

/// A line of validation.jsonl. A detector has the first three measures, a classifier some of the others.
struct Validation {
  std::uint64_t step = 0;
  double epoch = 0;
  std::optional<double> map50, map50_95, class_accuracy, accuracy, exact_match, macro_f1;
};

/// A line of results.csv.
struct EpochResult {
  std::uint64_t epoch = 0, step = 0, canvases = 0;
  double seconds = 0, loss = 0;
};

/// A folder under evaluation/.
struct EvaluationPlace {
  std::string milestone;        ///< "epoch-10", "final", or what else is there
  std::optional<double> epoch;  ///< of "epoch-10"; of "final" that of the last canvas in results.csv; of others none
  std::string protocol;
  std::filesystem::path folder;
  bool complete = false;  ///< it has an evaluation.json
};

struct RunFiles {
  std::filesystem::path folder;
  std::string network, protocol;
  int batch = 0;
  std::uint64_t epoch_canvases = 0;
  std::vector<StepLoss> steps;
  std::vector<Validation> validations;
  std::vector<EpochResult> epochs;
  std::vector<EvaluationPlace> evaluations;  ///< by epoch, "final" last; then by protocol
  bool has_model = false;
};

bool is_study(const std::filesystem::path& folder);
bool is_run(const std::filesystem::path& folder);

/// A classifier's evaluation.json.
struct ClassifierRecord {
  struct Class {
    std::string name;
    std::int64_t present = 0, found = 0;
    double precision = 0, recall = 0, f1 = 0;
  };
  std::string task;
  std::int64_t canvases = 0;
  std::optional<double> accuracy, exact_match, macro_f1, micro_f1;
  std::vector<Class> per_class;
  std::vector<std::vector<std::int64_t>> confusion;  ///< [true class][found class]; empty with multi-label
};

/// Nothing where the folder's evaluation.json names no "task": then it is a detector's.
std::optional<ClassifierRecord> read_classifier_evaluation(const std::filesystem::path& folder);

RunFiles read_run(const std::filesystem::path& folder);

struct StudyFile {
  struct Model {
    std::string name, folder, backbone;  ///< `backbone`: where its weights come from, a sentence; empty for backbones
    std::string backbone_folder;         ///< empty with fresh weights
  };
  std::string gridspot, preset, protocol, recipe, device;
  std::uint64_t seed = 0, images = 0;                ///< images: of the training set; 0 where each canvas is new
  std::uint64_t epoch_canvases = 0, max_glyphs = 0;  ///< of an epoch of new canvases; on a training canvas
  std::vector<int> milestones;                       ///< epochs
  std::vector<std::string> evaluations;
  std::vector<Model> models, backbones;
};

StudyFile read_study(const std::filesystem::path& folder);

}  // namespace gridspot::report
