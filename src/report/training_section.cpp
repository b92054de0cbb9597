#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <limits>

#include "report/html.h"
#include "report/sections.h"
#include "report/svg.h"

namespace gridspot::report {
namespace {

std::string legend(const std::vector<RunEntry>& runs) {
  std::string items;
  for (std::size_t i = 0; i < runs.size(); ++i)
    items += "<li><svg viewBox=\"0 0 26 10\" aria-hidden=\"true\"><line class=\"line s" +
             std::to_string(i % series_colours) + (i >= series_colours ? " dashed" : "") +
             "\" x1=\"1\" y1=\"5\" x2=\"25\" y2=\"5\"/></svg>" + escape(runs[i].name) + "</li>";
  return runs.size() > 1 ? "<ul class=\"legend\">" + items + "</ul>\n" : "";
}

/// The backbones' training has none.
std::vector<Mark> milestone_marks(const Report& report, const std::vector<RunEntry>& runs, double last) {
  std::vector<Mark> marks;
  if (report.study && &runs == &report.models)
    for (const int epoch : report.study->milestones)
      if (epoch <= last) marks.push_back({static_cast<double>(epoch), std::to_string(epoch) + " epochs"});
  return marks;
}

double last_epoch(const std::vector<Line>& lines) {
  double last = 0;
  for (const auto& line : lines)
    if (!line.points.empty()) last = std::max(last, line.points.back().x);
  return last;
}

std::string epochs_text(const std::vector<RunEntry>& runs) {
  const auto canvases = runs.empty() ? 0 : runs[0].epoch_canvases;
  const bool alike =
      std::all_of(runs.begin(), runs.end(), [&](const auto& run) { return run.epoch_canvases == canvases; });
  return alike ? "epochs of " + count_text(static_cast<std::int64_t>(canvases)) + " canvases" : "epochs";
}

std::string windows_text(const std::vector<RunEntry>& runs) {
  std::string windows;
  for (const auto& run : runs)
    if (run.loss.window > 1)
      windows += (windows.empty() ? "" : ", ") + escape(run.name) + " " + std::to_string(run.loss.window);
  return windows.empty() ? "Each point is a step."
                         : "Each point is the mean over a window of steps (" + windows + " steps a point).";
}

/// Linear where the values stay within a factor of ten or reach 0.
Axis loss_axis(const std::vector<Line>& lines) {
  double low = std::numeric_limits<double>::max(), high = 0;
  for (const auto& line : lines)
    for (const auto& point : line.points) {
      low = std::min(low, point.y);
      high = std::max(high, point.y);
    }
  if (!(low > 0) || high < 10 * low) return rounded_axis("loss", std::min(0.0, low), high);
  return {"loss (logarithmic)", low * 0.9, high * 1.1, true};
}

std::string loss_figure(const Report& report, const std::vector<RunEntry>& runs) {
  LineChart chart{
      .description = "Training loss of each run against epochs", .x = {}, .y = {}, .lines = {}, .marks = {}};
  std::string files;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const auto& curve = runs[i].loss;
    if (curve.losses.empty()) continue;
    chart.lines.push_back({runs[i].name, {}, i});
    for (std::size_t k = 0; k < curve.losses.size(); ++k)
      chart.lines.back().points.push_back({curve.epochs[k], curve.losses[k]});
    files += (files.empty() ? "" : ", ") + file_name(curve.file);
  }
  if (chart.lines.empty()) return "";
  const double last = last_epoch(chart.lines);
  chart.x = {epochs_text(runs), 0, last};
  chart.y = loss_axis(chart.lines);
  chart.marks = milestone_marks(report, runs, last);
  return figure(line_chart(chart), "Training loss. " + windows_text(runs) + " From " + files + ".");
}

/// 0, but 0.9 where nothing is below: what differs shall be seen.
double share_axis_start(const std::vector<Line>& lines) {
  constexpr double high = 0.9;
  for (const Line& line : lines)
    for (const Point& point : line.points)
      if (point.y < high) return 0;
  return high;
}

struct MeasureCurve {
  const char* name;
  std::optional<double> Validation::*member;
};

std::string validation_figure(const Report& report, const std::vector<RunEntry>& runs, const MeasureCurve& measure) {
  LineChart chart{.description = std::string(measure.name) + " of each run against epochs",
                  .x = {},
                  .y = {measure.name, 0, 1},
                  .lines = {},
                  .marks = {}};
  std::string files;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    Line line{runs[i].name, {}, i};
    for (const auto& validation : runs[i].validations)
      if (validation.*measure.member) line.points.push_back({validation.epoch, *(validation.*measure.member)});
    if (line.points.empty()) continue;
    chart.lines.push_back(line);
    files += (files.empty() ? "" : ", ") + file_name(runs[i].validation_file);
  }
  if (chart.lines.empty()) return "";
  chart.y.from = share_axis_start(chart.lines);
  const double last = last_epoch(chart.lines);
  chart.x = {epochs_text(runs), 0, last};
  chart.marks = milestone_marks(report, runs, last);
  return figure(line_chart(chart), "Validations while training: " + escape(measure.name) + ". From " + files + ".");
}

std::string figures(const Report& report, const std::vector<RunEntry>& runs) {
  constexpr MeasureCurve measures[]{{"mAP50", &Validation::map50},
                                    {"mAP50_95", &Validation::map50_95},
                                    {"class accuracy", &Validation::class_accuracy},
                                    {"accuracy", &Validation::accuracy},
                                    {"exact match", &Validation::exact_match},
                                    {"macro F1", &Validation::macro_f1}};
  std::string html = loss_figure(report, runs);
  for (const auto& measure : measures) html += validation_figure(report, runs, measure);
  return legend(runs) + "<div class=\"grid\">\n" + html + "</div>\n";
}

std::string seconds_text(double seconds) {
  char text[48];
  const auto whole = static_cast<long long>(std::llround(seconds));
  std::snprintf(text, sizeof text, "%lld:%02lld:%02lld", whole / 3600, whole / 60 % 60, whole % 60);
  return text;
}

std::string training_table(const std::vector<RunEntry>& runs) {
  Table content{.head = {"run", "network", "canvases of", "batch", "epochs", "steps", "canvases", "time", "canvases/s",
                         "loss of the last epoch"},
                .rows = {},
                .name_columns = 3};
  std::string files;
  for (const auto& run : runs) {
    std::vector<std::string> row{escape(run.name), escape(run.network), escape(run.protocol),
                                 std::to_string(run.batch)};
    if (run.epochs.empty()) {
      row.insert(row.end(), 6, "–");
    } else {
      const auto& last = run.epochs.back();
      row.push_back(epoch_text(static_cast<double>(last.canvases) / static_cast<double>(run.epoch_canvases)));
      for (const auto count : {last.step, last.canvases}) row.push_back(count_cell(static_cast<std::int64_t>(count)));
      row.push_back(seconds_text(last.seconds));
      row.push_back(last.seconds > 0 ? count_text(std::llround(static_cast<double>(last.canvases) / last.seconds))
                                     : "–");
      row.push_back(measure(last.loss));
      files += (files.empty() ? "" : ", ") + file_name(run.results_file);
    }
    content.rows.push_back(row);
  }
  return table(content) + (files.empty() ? "" : "<p class=\"facts\">The last line of " + files + ".</p>\n");
}

}  // namespace

std::string training_section(const Report& report) {
  std::string html = section("training", "Training", figures(report, report.models) + training_table(report.models));
  if (!report.backbones.empty())
    html += section("backbones", "Backbones",
                    "<p>Trained first; the models above that name them start from their weights.</p>\n" +
                        figures(report, report.backbones) + training_table(report.backbones) +
                        classifier_results(report.backbones));
  return html;
}

}  // namespace gridspot::report
