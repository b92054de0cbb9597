#include <algorithm>
#include <cmath>

#include "report/findings.h"
#include "report/html.h"
#include "report/sections.h"
#include "report/svg.h"

namespace gridspot::report {
namespace {

std::string from(const EvaluationEntry& evaluation) { return " From " + file_name(evaluation.file) + "."; }

std::string error_table(const Report& report) {
  Table content{
      .head = {"protocol", "model", "scores<br/>from", "objects", "found", "misses", "duplicates", "class<br/>errors",
               "localisa-<br/>tion errors", "back-<br/>ground", "recall", "collision<br/>ceiling"},
      .rows = {},
      .name_columns = 2};
  for (const auto& protocol : protocols_of(report))
    for (const auto& model : report.models) {
      const auto* its = last_evaluation(model, protocol);
      if (its == nullptr) continue;
      const auto& evaluation = its->record.evaluation;
      std::vector<std::string> row{escape(protocol), escape(model.name + ", " + moment(*its)),
                                   measure(static_cast<double>(evaluation.score_threshold))};
      for (const auto count : {evaluation.objects, evaluation.errors.true_positives, evaluation.errors.misses,
                               evaluation.errors.duplicates, evaluation.errors.class_errors,
                               evaluation.errors.localisation_errors, evaluation.errors.background})
        row.push_back(count_cell(count));
      row.push_back(measure(evaluation.recall));
      row.push_back(measure(evaluation.collision_ceiling.value_or(-1)));
      content.rows.push_back(row);
    }
  return table(content);
}

/// The classes with the lowest AP50 by name, the others faint.
std::string precision_figure(const EvaluationEntry& evaluation) {
  constexpr std::size_t named = 3;
  std::vector<const eval::ClassEvaluation*> classes;
  for (const auto& its : evaluation.record.evaluation.per_class)
    if (!its.curve.empty()) classes.push_back(&its);
  std::stable_sort(classes.begin(), classes.end(), [](const auto* a, const auto* b) { return a->ap50 < b->ap50; });
  LineChart chart{.description = "Precision against recall of each class",
                  .x = {"recall", 0, 1},
                  .y = {"precision (IoU 0.5)", 0, 1},
                  .lines = {},
                  .marks = {}};
  for (std::size_t i = 0; i < classes.size(); ++i) {
    chart.lines.push_back({classes[i]->name, {}, i, i >= named});
    for (const auto& point : classes[i]->curve)
      if (point.precision > 0) chart.lines.back().points.push_back({point.recall, point.precision});
  }
  if (classes.empty()) return "";
  return figure(line_chart(chart), "Precision against recall of each class; the " +
                                       std::to_string(std::min(named, classes.size())) +
                                       " with the lowest AP50 are named. A curve ends at the highest "
                                       "recall that is reached." +
                                       from(evaluation));
}

std::string confusion_figure(const EvaluationEntry& evaluation) {
  std::vector<std::string> classes;
  for (const auto& its : evaluation.record.evaluation.per_class) classes.push_back(its.name);
  auto rows = classes, columns = classes;
  rows.emplace_back("nothing");
  columns.emplace_back("none");
  return figure(
      confusion_map(rows, columns, evaluation.record.evaluation.confusion),
      "Confusion matrix with background: counts, the stronger the colour the larger the share of their row. The row "
      "\"nothing\" holds detections that took no object, the column \"none\" objects that no detection took." +
          from(evaluation));
}

/// Two lines: "28" and "to 36".
std::vector<std::string> bin_labels(const eval::RecallBin& bin, double step) {
  if (!(bin.to > 0)) return {"0", ""};
  return {tick_text(bin.from, step), "to " + tick_text(bin.to, step)};
}

std::string recall_chart(const std::string& description, const std::string& x_name,
                         const std::vector<eval::RecallBin>& bins, double step) {
  const Axis recall_axis{"recall", 0, 1};
  BarChart chart{.description = description, .y = recall_axis, .x_name = x_name, .bars = {}};
  for (const auto& bin : bins) {
    const double recall = bin.value();
    auto labels = bin_labels(bin, step);
    labels.push_back(count_text(bin.objects));
    chart.bars.push_back(
        {.labels = labels, .value_text = recall < 0 ? "" : tick_text(recall, 0.01), .value = std::max(0.0, recall)});
  }
  return bar_chart(chart);
}

std::string size_figure(const EvaluationEntry& evaluation) {
  const auto& bins = evaluation.record.failures.by_size;
  if (bins.empty()) return "";
  return figure(recall_chart("Recall by size", "size in pixels, and objects of that size", bins, 0.1),
                "Recall by the square root of the box's area, in bins of equal width." + from(evaluation));
}

std::string overlap_figure(const EvaluationEntry& evaluation) {
  auto bins = evaluation.record.failures.by_overlap;
  while (!bins.empty() && bins.back().objects == 0) bins.pop_back();
  if (bins.empty()) return "";
  return figure(
      recall_chart("Recall by overlap", "highest IoU with another object, and objects", bins, 0.1),
      "Recall by the highest IoU with another object of the canvas; each bin holds its upper bound, the first "
      "those without overlap." +
          from(evaluation));
}

std::string recall_text(const eval::Recall& recall) {
  return count_text(recall.found) + " of " + count_text(recall.objects) +
         (recall.objects > 0 ? " (" + percent_text(recall.value()) + ")" : "");
}

std::string collision_text(const EvaluationEntry& evaluation) {
  const auto& failures = evaluation.record.failures;
  const auto cost = collision_cost(evaluation.record.evaluation);
  if (!cost) return "";
  std::string text = "The grid has one place a cell. It has none for " + count_text(cost->unrepresented) + " of the " +
                     count_text(evaluation.record.evaluation.objects) + " objects: its collision ceiling is " +
                     measure_text(*evaluation.record.evaluation.collision_ceiling) + ".";
  if (failures.alone_in_cell && failures.sharing_a_cell)
    text += " Of the objects with a cell of their own " + recall_text(*failures.alone_in_cell) +
            " are found, of those that share one " + recall_text(*failures.sharing_a_cell) + ".";
  return "<p>" + escape(text) + from(evaluation) + "</p>\n";
}

std::string confusion_table(const EvaluationEntry& evaluation) {
  constexpr std::size_t most = 10;
  const auto& confusions = evaluation.record.failures.confusions;
  if (confusions.empty()) return "";
  const auto name = [&](int id) {
    return escape(evaluation.record.evaluation.per_class[static_cast<std::size_t>(id)].name);
  };
  Table content{.head = {"true", "found as", "times"}, .rows = {}, .name_columns = 2};
  for (std::size_t i = 0; i < std::min(most, confusions.size()); ++i)
    content.rows.push_back(
        {name(confusions[i].true_class), name(confusions[i].found_class), count_cell(confusions[i].count)});
  return "<figure>" + table(content) +
         "<figcaption>The most frequent class errors; the confusion matrix, where a "
         "detection takes an object whatever their classes, may count others." +
         from(evaluation) + "</figcaption></figure>\n";
}

std::string evaluation_part(const EvaluationEntry& evaluation, ImageStore& images) {
  return "<h3>" + escape(evaluation.record.protocol + ", " + moment(evaluation)) + "</h3>\n<div class=\"grid\">\n" +
         precision_figure(evaluation) + confusion_figure(evaluation) + size_figure(evaluation) +
         overlap_figure(evaluation) + confusion_table(evaluation) + "</div>\n" + collision_text(evaluation) +
         canvas_gallery(evaluation, images);
}

}  // namespace

std::string confusion_map(const std::vector<std::string>& rows, const std::vector<std::string>& columns,
                          const std::vector<std::vector<std::int64_t>>& confusion) {
  HeatMap map{.description = "Confusion matrix",
              .row_title = "true",
              .column_title = "found",
              .rows = rows,
              .columns = columns,
              .shares = {},
              .texts = {}};
  for (const auto& counts : confusion) {
    double sum = 0;
    for (const auto count : counts) sum += static_cast<double>(count);
    map.shares.emplace_back();
    map.texts.emplace_back();
    for (const auto count : counts) {
      map.shares.back().push_back(sum > 0 ? static_cast<double>(count) / sum : 0);
      map.texts.back().push_back(count == 0 ? "" : std::to_string(count));
    }
  }
  return heat_map(map);
}

std::string moment(const EvaluationEntry& evaluation) {
  return evaluation.epoch ? epoch_text(*evaluation.epoch) + " epochs" : evaluation.milestone;
}

std::string failures_section(const Report& report) {
  ImageStore images;
  const auto protocols = protocols_of(report);
  const Leader first = protocols.empty() ? Leader{} : leader(report, protocols[0]);
  std::string models;
  for (const auto& model : report.models) {
    std::string parts;
    for (const auto& protocol : protocols)
      if (const auto* its = last_evaluation(model, protocol)) parts += evaluation_part(*its, images);
    if (!parts.empty()) models += details("Model " + model.name, parts, &model == first.model);
  }
  if (models.empty()) return "";
  return section(
      "failures", "Failures",
      error_table(report) +
          "<p class=\"facts\">Detections from a score on (unless another was asked for the one with the "
          "highest F1 on these very canvases, which shows each model at its best), each counted as the first of these "
          "that holds: found (it took an object of its class at IoU 0.5 or more), duplicate (another "
          "detection took that object), class error (such an overlap with an object of another class), "
          "localisation error (IoU of at least 0.1 with an object of its class), in the background. A miss "
          "is an object that none of these touched. From the evaluation.json files named above.</p>\n" +
          images.definitions() + models);
}

}  // namespace gridspot::report
