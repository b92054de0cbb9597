// Failures as JSON, and back.
#include <algorithm>
#include <array>

#include "eval/failures.h"
#include "eval/number_list.h"
#include "gridspot/error.h"
#include "io/object_reader.h"

namespace gridspot::eval {
namespace {

constexpr double largest_measure = 1e10;

/// The columns of "canvases".
constexpr std::array<std::pair<const char*, std::int64_t ErrorCounts::*>, 6> columns{
    {{"true_positives", &ErrorCounts::true_positives},
     {"duplicates", &ErrorCounts::duplicates},
     {"class_errors", &ErrorCounts::class_errors},
     {"localisation_errors", &ErrorCounts::localisation_errors},
     {"background", &ErrorCounts::background},
     {"misses", &ErrorCounts::misses}}};

Json recall_json(const Recall& recall) {
  return {{"objects", recall.objects}, {"found", recall.found}, {"recall", recall.value()}};
}

Json bins_json(const std::vector<RecallBin>& bins) {
  Json list = Json::array();
  for (const auto& bin : bins) {
    Json json{{"from", bin.from}, {"to", bin.to}};
    json.update(recall_json(bin));
    list.push_back(json);
  }
  return list;
}

Json confusions_json(const std::vector<ClassConfusion>& confusions, const std::vector<std::string>& class_names) {
  const auto name = [&](int id) { return class_names.at(static_cast<std::size_t>(id)); };
  Json list = Json::array();
  for (const auto& confusion : confusions)
    list.push_back(
        {{"true", name(confusion.true_class)}, {"found", name(confusion.found_class)}, {"count", confusion.count}});
  return list;
}

Json canvases_json(const std::vector<CanvasErrors>& canvases) {
  Json objects = Json::array(), wrong_score = Json::array();
  for (const auto& canvas : canvases) {
    objects.push_back(canvas.objects);
    wrong_score.push_back(canvas.wrong_score);
  }
  Json json{{"objects", objects}};
  for (const auto& [name, member] : columns) {
    json[name] = Json::array();
    for (const auto& canvas : canvases) json[name].push_back(canvas.counts.*member);
  }
  json["wrong_score"] = wrong_score;
  return json;
}

Recall parse_recall(ObjectReader& reader) {
  Recall recall;
  reader.require("objects", recall.objects, 0);
  reader.require("found", recall.found, 0, recall.objects);
  return recall;
}

std::vector<RecallBin> parse_bins(ObjectReader& reader, std::string_view key) {
  std::vector<RecallBin> bins;
  for (auto& entry : reader.objects(key)) {
    RecallBin bin{parse_recall(entry)};
    entry.require("from", bin.from, 0, largest_measure);
    entry.require("to", bin.to, 0, largest_measure);
    bins.push_back(bin);
  }
  return bins;
}

int parse_class(ObjectReader& reader, std::string_view key, const std::vector<std::string>& class_names) {
  std::string name;
  reader.require(key, name);
  const auto found = std::find(class_names.begin(), class_names.end(), name);
  if (found == class_names.end()) reader.fail(key, "is no class of the evaluation, found '" + name + "'");
  return static_cast<int>(found - class_names.begin());
}

std::vector<int> parse_column(ObjectReader& reader, std::string_view key, std::size_t rows) {
  std::vector<int> column;
  reader.require(key, column, 0);
  if (column.size() != rows) reader.fail(key, "must have as many values as objects");
  return column;
}

std::vector<CanvasErrors> parse_canvases(ObjectReader reader, const Json& json) {
  std::vector<int> objects;
  reader.require("objects", objects, 0);
  std::vector<CanvasErrors> canvases(objects.size());
  for (std::size_t i = 0; i < canvases.size(); ++i) {
    canvases[i].canvas = static_cast<int>(i);
    canvases[i].objects = objects[i];
  }
  for (const auto& [name, member] : columns) {
    const auto column = parse_column(reader, name, canvases.size());
    for (std::size_t i = 0; i < canvases.size(); ++i) canvases[i].counts.*member = column[i];
  }
  const auto scores = number_list(json, "wrong_score", reader);
  if (scores.size() != canvases.size()) reader.fail("wrong_score", "must have as many values as objects");
  for (std::size_t i = 0; i < canvases.size(); ++i) canvases[i].wrong_score = scores[i];
  return canvases;
}

}  // namespace

Json to_json(const Failures& failures, const std::vector<std::string>& class_names) {
  Json by_cell;
  if (failures.alone_in_cell && failures.sharing_a_cell)
    by_cell = {{"alone", recall_json(*failures.alone_in_cell)}, {"sharing", recall_json(*failures.sharing_a_cell)}};
  return {{"score_threshold", json_number(failures.score_threshold)},
          {"recall_by_size", bins_json(failures.by_size)},
          {"recall_by_overlap", bins_json(failures.by_overlap)},
          {"recall_by_cell", by_cell},
          {"class_confusions", confusions_json(failures.confusions, class_names)},
          {"canvases", canvases_json(failures.canvases)},
          {"worst_canvases", failures.worst}};
}

Failures parse_failures(const Json& json, const std::vector<std::string>& class_names, const std::string& source,
                        const std::string& path) {
  ObjectReader reader(json, source, path);
  Failures failures;
  reader.require("score_threshold", failures.score_threshold, 0, 1);
  failures.by_size = parse_bins(reader, "recall_by_size");
  failures.by_overlap = parse_bins(reader, "recall_by_overlap");
  if (reader.has("recall_by_cell") && !json["recall_by_cell"].is_null()) {
    ObjectReader by_cell = reader.object("recall_by_cell"), alone = by_cell.object("alone"),
                 sharing = by_cell.object("sharing");
    failures.alone_in_cell = parse_recall(alone);
    failures.sharing_a_cell = parse_recall(sharing);
  }
  for (auto& entry : reader.objects("class_confusions")) {
    ClassConfusion confusion{parse_class(entry, "true", class_names), parse_class(entry, "found", class_names)};
    entry.require("count", confusion.count, 1);
    failures.confusions.push_back(confusion);
  }
  ObjectReader canvases = reader.object("canvases");
  failures.canvases = parse_canvases(std::move(canvases), json["canvases"]);
  reader.require("worst_canvases", failures.worst, 0, static_cast<int>(failures.canvases.size()) - 1);
  return failures;
}

}  // namespace gridspot::eval
