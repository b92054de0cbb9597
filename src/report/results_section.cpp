#include <algorithm>

#include "report/html.h"
#include "report/sections.h"
#include "report/svg.h"

namespace gridspot::report {
namespace {

using Measure = double (*)(const EvaluationRecord&);

struct Column {
  std::string protocol, name;
  Measure value;
};

std::vector<Column> columns_of(const Report& report) {
  std::vector<Column> columns;
  for (const auto& protocol : protocols_of(report)) {
    columns.push_back({protocol, "class accuracy", [](const EvaluationRecord& its) { return its.class_accuracy; }});
    columns.push_back({protocol, "mAP50", [](const EvaluationRecord& its) { return its.evaluation.map50; }});
    columns.push_back({protocol, "mAP50_95", [](const EvaluationRecord& its) { return its.evaluation.map50_95; }});
  }
  return columns;
}

/// The highest value of a column among the models at an epoch; -1 with fewer than two.
double best_of(const Report& report, double epoch, const Column& column) {
  double best = -1;
  int count = 0;
  for (const auto& model : report.models)
    if (const auto* its = find_evaluation(model, epoch, column.protocol)) {
      best = std::max(best, column.value(its->record));
      ++count;
    }
  return count > 1 ? best : -1;
}

std::string comparison_cell(const Report& report, const RunEntry& model, double epoch, const Column& column) {
  const auto* its = find_evaluation(model, epoch, column.protocol);
  if (its == nullptr) return "–";
  const double value = column.value(its->record);
  return emphasised(measure(value), value >= 0 && value == best_of(report, epoch, column));
}

std::string comparison(const Report& report) {
  const auto columns = columns_of(report);
  Table content{.head = {"model", "epochs"}, .rows = {}, .name_columns = 2};
  for (const auto& column : columns) content.head.push_back(escape(column.protocol) + "<br/>" + escape(column.name));
  for (const auto& model : report.models)
    for (const auto epoch : epochs_of(report)) {
      std::vector<std::string> row{escape(model.name), epoch_text(epoch)};
      for (const auto& column : columns) row.push_back(comparison_cell(report, model, epoch, column));
      content.rows.push_back(row);
    }
  return table(content);
}

std::vector<const EvaluationEntry*> evaluations_on(const Report& report, const std::string& protocol) {
  std::vector<const EvaluationEntry*> found;
  for (const auto& model : report.models)
    for (const auto& entry : model.evaluations)
      if (entry.record.protocol == protocol) found.push_back(&entry);
  return found;
}

std::string files_of(const std::vector<const EvaluationEntry*>& evaluations) {
  std::string files;
  for (const auto* its : evaluations) files += (files.empty() ? "" : ", ") + file_name(its->file);
  return files;
}

/// Classes are the columns; models that know other classes than the first get a table of their own by name.
std::string class_table(const Report& report, const std::string& protocol, const std::string& name_of_measure,
                        double eval::ClassEvaluation::*shown) {
  Table content{.head = {"model", "epochs"}, .rows = {}, .name_columns = 2};
  std::vector<std::string> classes;
  for (const auto* its : evaluations_on(report, protocol))
    for (const auto& each : its->record.evaluation.per_class)
      if (std::find(classes.begin(), classes.end(), each.name) == classes.end()) classes.push_back(each.name);
  for (const auto& name : classes) content.head.push_back(escape(name));
  for (const auto& model : report.models)
    for (const auto& entry : model.evaluations) {
      if (entry.record.protocol != protocol) continue;
      std::vector<std::string> row{escape(model.name),
                                   escape(entry.epoch ? epoch_text(*entry.epoch) : entry.milestone)};
      for (const auto& name : classes) {
        const auto& per_class = entry.record.evaluation.per_class;
        const auto its =
            std::find_if(per_class.begin(), per_class.end(), [&](const auto& c) { return c.name == name; });
        row.push_back(its == per_class.end() ? "–" : measure((*its).*shown));
      }
      content.rows.push_back(row);
    }
  return "<h3>" + name_of_measure + " of each class on " + escape(protocol) + "</h3>\n" + table(content);
}

/// The mean over the classes that have objects, recall by recall; the area below it is mAP50.
std::vector<Point> mean_curve(const eval::Evaluation& evaluation) {
  std::vector<Point> curve;
  double classes = 0;
  for (const auto& its : evaluation.per_class) {
    if (its.curve.empty()) continue;
    if (curve.empty())
      for (const auto& point : its.curve) curve.push_back({point.recall, 0});
    for (std::size_t i = 0; i < std::min(curve.size(), its.curve.size()); ++i) curve[i].y += its.curve[i].precision;
    ++classes;
  }
  for (auto& point : curve) point.y /= classes;
  std::erase_if(curve, [](const Point& point) { return !(point.y > 0); });
  return curve;
}

std::string precision_figure(const Report& report, const std::string& protocol) {
  LineChart chart{.description = "Precision against recall of every model on " + protocol,
                  .x = {"recall", 0, 1},
                  .y = {"precision (IoU 0.5)", 0, 1},
                  .lines = {},
                  .marks = {}};
  std::vector<const EvaluationEntry*> shown;
  for (std::size_t i = 0; i < report.models.size(); ++i)
    if (const auto* its = last_evaluation(report.models[i], protocol)) {
      chart.lines.push_back({report.models[i].name, mean_curve(its->record.evaluation), i});
      shown.push_back(its);
    }
  if (shown.empty()) return "";
  return figure(line_chart(chart), "Precision against recall on " + escape(protocol) +
                                       ", mean over the classes, each model at its last milestone; the area below a "
                                       "curve, which ends at the highest recall that is reached, is its mAP50. From " +
                                       files_of(shown) + ".");
}

std::string backbones_of(const Report& report) {
  std::string items;
  for (const auto& model : report.models)
    if (!model.backbone.empty())
      items += "<li><b>" + escape(model.name) + "</b>: " + escape(model.backbone) + "</li>\n";
  return items.empty() ? "" : "<ul>\n" + items + "</ul>\n";
}

std::string classifier_confusions(const RunEntry& run, const ClassifierEntry& entry) {
  if (entry.record.confusion.empty()) return "";
  std::vector<std::string> classes;
  for (const auto& its : entry.record.per_class) classes.push_back(its.name);
  return figure(confusion_map(classes, classes, entry.record.confusion),
                "Confusion matrix of " + escape(run.name) + " on " + escape(entry.protocol) +
                    ": counts, the stronger the colour the larger the share of their row. From " +
                    file_name(entry.file) + ".");
}

}  // namespace

std::string classifier_results(const std::vector<RunEntry>& runs) {
  Table content{
      .head = {"run", "at", "tested on", "task", "canvases", "accuracy", "exact match", "macro F1", "micro F1"},
      .rows = {},
      .name_columns = 4};
  std::string files, figures;
  for (const auto& run : runs)
    for (const auto& entry : run.classifications) {
      const auto& its = entry.record;
      figures += classifier_confusions(run, entry);
      content.rows.push_back({escape(run.name), escape(entry.milestone), escape(entry.protocol), escape(its.task),
                              count_cell(its.canvases), measure(its.accuracy.value_or(-1)),
                              measure(its.exact_match.value_or(-1)), measure(its.macro_f1.value_or(-1)),
                              measure(its.micro_f1.value_or(-1))});
      files += (files.empty() ? "" : ", ") + file_name(entry.file);
    }
  if (files.empty()) return "";
  return table(content) + "<p class=\"facts\">From " + files + ".</p>\n" +
         (figures.empty() ? "" : "<div class=\"grid\">\n" + figures + "</div>\n");
}

std::string results_section(const Report& report) {
  std::vector<const EvaluationEntry*> all;
  std::string class_tables, figures;
  for (const auto& protocol : protocols_of(report)) {
    const auto its = evaluations_on(report, protocol);
    if (its.empty()) continue;
    all.insert(all.end(), its.begin(), its.end());
    class_tables += class_table(report, protocol, "AP50", &eval::ClassEvaluation::ap50) +
                    class_table(report, protocol, "AP50_95", &eval::ClassEvaluation::ap50_95);
    figures += precision_figure(report, protocol);
  }
  if (all.empty()) {
    const std::string classifiers = classifier_results(report.models);
    return section("results", "Results",
                   classifiers.empty() ? "<p>No model has been evaluated yet.</p>\n" : classifiers);
  }
  return section("results", "Results",
                 backbones_of(report) + comparison(report) +
                     "<p class=\"facts\">Class accuracy is the share of the cells that hold an object's centre whose "
                     "highest class output is the object's class, as the original study measured it; mAP50 and "
                     "mAP50_95 are COCO's. The highest of the models at each milestone is bold.</p>\n" +
                     details("The files of these figures", "<p class=\"facts\">" + files_of(all) + "</p>\n") +
                     class_tables + "<div class=\"grid\">\n" + figures + "</div>\n");
}

}  // namespace gridspot::report
