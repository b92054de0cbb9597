// Canvases with truth and predictions.
#include <algorithm>
#include <cstdio>

#include "report/html.h"
#include "report/sections.h"
#include "report/svg.h"

namespace gridspot::report {
namespace {

/// In units of a frame's thickness; a label's width in units of its size.
constexpr double label_size = 9, label_width = 3.7;

/// A frame in its colour over a wider dark one, so that it shows on dark and on light ground.
std::string frame(const PixelBox& box, double thickness, const char* kind, bool dashed = false) {
  const std::string place = "x=\"" + coordinate(box.x) + "\" y=\"" + coordinate(box.y) + "\" width=\"" +
                            coordinate(std::max(0.0, box.width)) + "\" height=\"" +
                            coordinate(std::max(0.0, box.height)) + "\"";
  return "<rect class=\"under\" " + place + " stroke-width=\"" + coordinate(2.2 * thickness) + "\"/><rect class=\"" +
         kind + "\" " + place + " stroke-width=\"" + coordinate(thickness) + "\"" +
         (dashed ? " stroke-dasharray=\"" + coordinate(3 * thickness) + " " + coordinate(2 * thickness) + "\"" : "") +
         "/>";
}

std::string text_style(double size) {
  return "font-size=\"" + coordinate(size) + "\" stroke-width=\"" + coordinate(size / 5) + "\"";
}

std::string class_name(const EvaluationEntry& evaluation, int id) {
  return evaluation.record.evaluation.per_class[static_cast<std::size_t>(id)].name;
}

std::string draw_truth(const EvaluationEntry& evaluation, const CanvasRecord& canvas, double unit) {
  std::string svg;
  for (std::size_t i = 0; i < canvas.objects.size(); ++i) {
    const auto& box = canvas.objects[i];
    svg += frame(box, unit, "truth", true);
    if (!canvas.verdicts.found[i])
      svg += svg_text(box.x + 2 * unit, box.bottom() - 2.5 * unit, "truth-text",
                      class_name(evaluation, canvas.object_classes[i]), text_style(label_size * unit));
  }
  return svg;
}

std::string draw_predictions(const EvaluationEntry& evaluation, const CanvasRecord& canvas, double unit) {
  const double size = label_size * unit;
  std::string svg;
  for (std::size_t i = canvas.detections.size(); i-- > 0;) {  // the highest score on top
    const auto& box = canvas.detections[i];
    const bool right = canvas.verdicts.detections[i] == eval::Verdict::true_positive;
    char score[16];
    std::snprintf(score, sizeof score, " %.2f", static_cast<double>(canvas.scores[i]));
    const double above = box.y - 2 * unit;
    svg += frame(box, unit, right ? "right" : "wrong") +
           svg_text(std::clamp(box.x, 0.0, std::max(0.0, canvas.size.width - label_width * size)),
                    above > size ? above : box.y + size + unit, right ? "right-text" : "wrong-text",
                    class_name(evaluation, canvas.detection_classes[i]) + score, text_style(size));
  }
  return svg;
}

std::string plural(std::int64_t count, const std::string& one, const std::string& many) {
  return std::to_string(count) + " " + (count == 1 ? one : many);
}

std::string errors_text(const eval::ErrorCounts& counts) {
  std::string text;
  const auto add = [&](std::int64_t count, const char* one, const char* many) {
    if (count > 0) text += (text.empty() ? "" : ", ") + plural(count, one, many);
  };
  add(counts.misses, "miss", "misses");
  add(counts.duplicates, "duplicate", "duplicates");
  add(counts.class_errors, "class error", "class errors");
  add(counts.localisation_errors, "localisation error", "localisation errors");
  add(counts.background, "find in the background", "finds in the background");
  return text.empty() ? "no error" : text;
}

std::string canvas_figure(const EvaluationEntry& evaluation, const ShownCanvas& shown, ImageStore& images) {
  const auto& canvas = shown.record;
  const double unit = std::max(canvas.size.width, canvas.size.height) / 180.0;
  const auto& counts = evaluation.record.failures.canvases[static_cast<std::size_t>(canvas.canvas)].counts;
  const std::string caption = std::to_string(canvas.canvas) + ": " + errors_text(counts);
  return figure(svg_frame(canvas.size.width, canvas.size.height, "canvas", "Canvas " + caption,
                          "<use href=\"#" + images.add(shown.png, canvas.size) + "\"/>" +
                              draw_truth(evaluation, canvas, unit) + draw_predictions(evaluation, canvas, unit)),
                escape(caption));
}

std::string canvases(const EvaluationEntry& evaluation, const std::vector<ShownCanvas>& shown, const char* classes,
                     ImageStore& images) {
  std::string html;
  for (const auto& canvas : shown) html += canvas_figure(evaluation, canvas, images);
  return std::string("<div class=\"") + classes + "\">\n" + html + "</div>\n";
}

std::string folder_of(const ShownCanvas& shown) { return shown.file.substr(0, shown.file.find_last_of('/') + 1); }

}  // namespace

std::string ImageStore::add(const std::string& png, const eval::ImageSize& size) {
  const auto found = std::find(pngs_.begin(), pngs_.end(), png);
  const auto index = static_cast<std::size_t>(found - pngs_.begin());
  if (found == pngs_.end()) {
    pngs_.push_back(png);
    sizes_.push_back(size);
  }
  return "image-" + std::to_string(index);
}

std::string ImageStore::definitions() const {
  std::string images;
  for (std::size_t i = 0; i < pngs_.size(); ++i)
    images += "<image id=\"image-" + std::to_string(i) + "\" width=\"" + std::to_string(sizes_[i].width) +
              "\" height=\"" + std::to_string(sizes_[i].height) + "\" href=\"data:image/png;base64," +
              base64(pngs_[i]) + "\"/>\n";
  return "<svg class=\"store\" width=\"0\" height=\"0\" aria-hidden=\"true\"><defs>\n" + images + "</defs></svg>\n";
}

std::string canvas_gallery(const EvaluationEntry& evaluation, ImageStore& images) {
  if (evaluation.gallery.empty()) return "";
  const std::string files = file_name(evaluation.folder + "/ground_truth.json") + ", " +
                            file_name(evaluation.folder + "/detections.json") + " and " +
                            file_name(folder_of(evaluation.gallery[0]));
  std::string html =
      "<h4>The first canvases</h4>\n<p class=\"facts\">Dashed: the truth, with its class where nothing of that class "
      "was found. Solid: the predictions with class and score from the threshold " +
      measure_text(static_cast<double>(evaluation.record.evaluation.score_threshold)) +
      ", blue where right, orange where wrong. From " + files + ".</p>\n" +
      canvases(evaluation, evaluation.gallery, "gallery", images);
  if (!evaluation.worst.empty())
    html +=
        "<h4>The " + plural(static_cast<std::int64_t>(evaluation.worst.size()), "worst canvas", "worst canvases") +
        "</h4>\n<p class=\"facts\">Those with the most errors; ties go by the summed score of the wrong detections, "
        "then by number. Listed in " +
        file_name(evaluation.file) + ".</p>\n" + canvases(evaluation, evaluation.worst, "gallery worst", images);
  return html;
}

}  // namespace gridspot::report
