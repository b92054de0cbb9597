#pragma once
// The parts of a report's page, as HTML.
#include <string>
#include <vector>

#include "report/report.h"

namespace gridspot::report {

/// Class accuracy, mAP50 and mAP50_95 of each model at each milestone on each protocol; AP50 of each class; the models'
/// precision against recall.
std::string results_section(const Report& report);

/// Loss and validation curves of all models, how long they trained, and the same of the backbones.
std::string training_section(const Report& report);

/// What classifiers among the runs reached on their test canvases, and what they confused; nothing where there are
/// none.
std::string classifier_results(const std::vector<RunEntry>& runs);

/// The kinds of errors of all models, then of each model its curves, confusions, recall and canvases.
std::string failures_section(const Report& report);

/// Counts by true and found class, the stronger the colour the larger the share of their row.
std::string confusion_map(const std::vector<std::string>& rows, const std::vector<std::string>& columns,
                          const std::vector<std::vector<std::int64_t>>& confusion);

/// The images of a page, each embedded once however often it is shown.
class ImageStore {
 public:
  /// The name under which an SVG element may use the PNG, which is `size` large.
  std::string add(const std::string& png, const eval::ImageSize& size);
  /// The element that holds the images; goes into the page once, after everything was added.
  [[nodiscard]] std::string definitions() const;

 private:
  std::vector<std::string> pngs_;
  std::vector<eval::ImageSize> sizes_;
};

/// The canvases of an evaluation with truth and predictions, and its worst ones; nothing where it has none.
std::string canvas_gallery(const EvaluationEntry& evaluation, ImageStore& images);

/// "20 epochs" or "final".
std::string moment(const EvaluationEntry& evaluation);

}  // namespace gridspot::report
