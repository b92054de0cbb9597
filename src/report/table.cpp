#include "report/table.h"

#include <algorithm>
#include <cstdio>

#include "report/html.h"

namespace gridspot::report {

namespace {

std::string cell(const std::string& text, std::size_t width) {
  return std::string(width - std::min(width, text.size()), ' ') + text;
}

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4f", value);
  return text;
}

constexpr std::size_t name_width = 16, number_width = 16;

}  // namespace

std::string to_table(const Report& report) {
  const auto protocols = protocols_of(report);
  std::string table = cell("model", name_width) + cell("epoch", 7);
  for (const std::string& protocol : protocols)
    for (const char* measure : {"class accuracy", "mAP50", "mAP50_95"})
      table += measure == std::string("class accuracy") ? cell(protocol + " class acc.", number_width + 12)
                                                        : cell(measure, number_width - 6);
  table += '\n';
  for (const double epoch : epochs_of(report))
    for (const RunEntry& run : report.models) {
      table += cell(run.name, name_width) + cell(epoch_text(epoch), 7);
      for (const std::string& protocol : protocols) {
        const EvaluationEntry* entry = find_evaluation(run, epoch, protocol);
        table += cell(entry ? number(entry->record.class_accuracy) : "-", number_width + 12);
        table += cell(entry ? number(entry->record.evaluation.map50) : "-", number_width - 6);
        table += cell(entry ? number(entry->record.evaluation.map50_95) : "-", number_width - 6);
      }
      table += '\n';
    }
  return table;
}

}  // namespace gridspot::report
