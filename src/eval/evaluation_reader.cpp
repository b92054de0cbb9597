// The files of an evaluation folder, read back.
#include <algorithm>
#include <map>
#include <numeric>

#include "data/coco.h"
#include "eval/evaluation_folder.h"
#include "eval/number_list.h"
#include "gridspot/error.h"
#include "io/atomic_file.h"
#include "io/object_reader.h"

namespace gridspot {
namespace {

constexpr std::size_t largest_json = std::size_t{1} << 30;

Json read_json(const std::filesystem::path& path) { return parse_json(read_file(path, largest_json), path.string()); }

void parse_errors(ObjectReader reader, eval::ErrorCounts& errors) {
  reader.require("true_positives", errors.true_positives, 0);
  reader.require("duplicates", errors.duplicates, 0);
  reader.require("class_errors", errors.class_errors, 0);
  reader.require("localisation_errors", errors.localisation_errors, 0);
  reader.require("background", errors.background, 0);
  reader.require("misses", errors.misses, 0);
}

/// What a class and the whole have alike.
template <class Counted>
void parse_counted(ObjectReader& reader, Counted& counted) {
  reader.require("objects", counted.objects, 0);
  reader.require("detections", counted.detections, 0);
  reader.require("precision", counted.precision, 0, 1);
  reader.require("recall", counted.recall, 0, 1);
  reader.require("F1", counted.f1, 0, 1);
  parse_errors(reader.object("errors"), counted.errors);
}

std::vector<eval::CurvePoint> parse_curve(const ObjectReader& reader, const Json& json) {
  const auto recall = eval::number_list(json, "recall", reader),
             precision = eval::number_list(json, "precision", reader), score = eval::number_list(json, "score", reader);
  if (precision.size() != recall.size() || score.size() != recall.size())
    reader.fail("recall", "must have as many values as precision and score");
  std::vector<eval::CurvePoint> curve;
  for (std::size_t i = 0; i < recall.size(); ++i) curve.push_back({recall[i], precision[i], score[i]});
  return curve;
}

eval::ClassEvaluation parse_class(ObjectReader& reader, const Json& json) {
  eval::ClassEvaluation its;
  reader.require("name", its.name);
  parse_counted(reader, its);
  reader.require("AP50", its.ap50, -1, 1);
  reader.require("AP50_95", its.ap50_95, -1, 1);
  its.curve = parse_curve(reader.object("precision_curve"), json["precision_curve"]);
  return its;
}

eval::Evaluation parse_evaluation(ObjectReader& reader, const Json& json) {
  eval::Evaluation evaluation;
  reader.require("images", evaluation.images, 0);
  parse_counted(reader, evaluation);
  reader.require("mAP50", evaluation.map50, -1, 1);
  reader.require("mAP50_95", evaluation.map50_95, -1, 1);
  reader.require("score_threshold", evaluation.score_threshold, 0, 1);
  if (reader.has("collision_ceiling") && !json["collision_ceiling"].is_null())
    reader.require("collision_ceiling", evaluation.collision_ceiling.emplace(), 0, 1);
  auto classes = reader.objects("per_class");
  for (std::size_t i = 0; i < classes.size(); ++i)
    evaluation.per_class.push_back(parse_class(classes[i], json["per_class"][i]));
  evaluation.confusion =
      eval::count_matrix(json, "confusion_matrix", evaluation.per_class.size() + 1, reader,
                         "must be a square of counts with a row for each class and one for background");
  return evaluation;
}

/// A COCO image_id or category_id, which count from 1, counted from 0.
int parse_id(ObjectReader& reader, std::string_view key, std::size_t count) {
  int id = 0;
  reader.require(key, id, 1, static_cast<int>(count));
  return id - 1;
}

PixelBox parse_box(const ObjectReader& reader, const Json& json) {
  const auto box = eval::number_list(json, "bbox", reader);
  if (box.size() != 4) reader.fail("bbox", "must be [x, y, width, height]");
  return {box[0], box[1], box[2], box[3]};
}

using CanvasTable = std::map<int, CanvasRecord>;

void read_objects(const std::filesystem::path& path, const EvaluationRecord& record, CanvasTable& canvases) {
  const Json json = read_json(path);
  ObjectReader reader(json, path.string());
  auto images = reader.objects("images");
  for (auto& [index, canvas] : canvases) {
    if (static_cast<std::size_t>(index) >= images.size())
      reader.fail("images", "must hold canvas " + std::to_string(index));
    auto& image = images[static_cast<std::size_t>(index)];
    image.require("width", canvas.size.width, 1, max_image_side);
    image.require("height", canvas.size.height, 1, max_image_side);
  }
  auto annotations = reader.objects("annotations");
  for (std::size_t i = 0; i < annotations.size(); ++i) {
    const auto found = canvases.find(parse_id(annotations[i], "image_id", images.size()));
    if (found == canvases.end()) continue;
    found->second.objects.push_back(parse_box(annotations[i], json["annotations"][i]));
    found->second.object_classes.push_back(parse_id(annotations[i], "category_id", record.evaluation.per_class.size()));
  }
}

void read_detections(const std::filesystem::path& path, const EvaluationRecord& record, CanvasTable& canvases) {
  const Json json = read_json(path);
  if (!json.is_array()) throw InvalidInput(path.string() + ": the document must be an array");
  for (std::size_t i = 0; i < json.size(); ++i) {
    ObjectReader reader(json[i], path.string(), "[" + std::to_string(i) + "]");
    const auto found = canvases.find(parse_id(reader, "image_id", record.failures.canvases.size()));
    if (found == canvases.end()) continue;
    float score = 0;
    reader.require("score", score);
    if (score < record.evaluation.score_threshold) continue;
    found->second.detections.push_back(parse_box(reader, json[i]));
    found->second.detection_classes.push_back(parse_id(reader, "category_id", record.evaluation.per_class.size()));
    found->second.scores.push_back(score);
  }
}

template <class T>
void rearrange(std::vector<T>& values, const std::vector<std::size_t>& order) {
  std::vector<T> sorted;
  for (const auto i : order) sorted.push_back(values[i]);
  values = std::move(sorted);
}

/// By falling score, of equal scores the earlier first.
void sort_detections(CanvasRecord& canvas) {
  std::vector<std::size_t> order(canvas.scores.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return canvas.scores[a] > canvas.scores[b]; });
  rearrange(canvas.detections, order);
  rearrange(canvas.detection_classes, order);
  rearrange(canvas.scores, order);
}

}  // namespace

EvaluationRecord read_evaluation(const std::filesystem::path& folder) {
  const auto path = folder / "evaluation.json";
  const Json json = read_json(path);
  ObjectReader reader(json, path.string());
  EvaluationRecord record;
  reader.require("protocol", record.protocol);
  record.evaluation = parse_evaluation(reader, json);
  reader.require("class_accuracy", record.class_accuracy, 0, 1);
  reader.require("unplaced", record.unplaced, 0);
  reader.require("truncated", record.truncated, 0);
  if (!reader.has("failures")) reader.fail("failures", "is missing");
  std::vector<std::string> class_names;
  for (const auto& its : record.evaluation.per_class) class_names.push_back(its.name);
  record.failures = eval::parse_failures(json["failures"], class_names, path.string(), "failures");
  return record;
}

std::vector<CanvasRecord> read_canvases(const std::filesystem::path& folder, const EvaluationRecord& record,
                                        const std::vector<int>& canvases) {
  CanvasTable table;
  for (const int canvas : canvases) {
    auto& its = table[canvas];
    its.canvas = canvas;
    its.image = folder / "images" / numbered_image_name(static_cast<std::size_t>(canvas));
    require(std::filesystem::exists(its.image), its.image.string() + " is missing");
  }
  read_objects(folder / "ground_truth.json", record, table);
  read_detections(folder / "detections.json", record, table);
  std::vector<CanvasRecord> records;
  for (const int index : canvases) {
    CanvasRecord canvas = table.at(index);
    sort_detections(canvas);
    canvas.verdicts = eval::judge(eval::OverlapTable(canvas.detections, canvas.objects), canvas.detection_classes,
                                  canvas.object_classes);
    records.push_back(std::move(canvas));
  }
  return records;
}

}  // namespace gridspot
