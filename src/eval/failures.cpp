#include "eval/failures.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <tuple>

#include "eval/best_threshold.h"
#include "eval/errors.h"
#include "eval/prepared_set.h"
#include "kernels/grid_math.h"

namespace gridspot::eval {
namespace {

/// Each object's highest overlap with another one of its canvas.
std::vector<double> overlaps_with_others(const std::vector<PixelBox>& objects) {
  std::vector<double> highest(objects.size(), 0);
  for (std::size_t a = 0; a < objects.size(); ++a)
    for (std::size_t b = 0; b < objects.size(); ++b)
      if (a != b) highest[a] = std::max(highest[a], intersection_over_union(objects[a], objects[b]));
  return highest;
}

void add(Recall& recall, bool found) {
  ++recall.objects;
  if (found) ++recall.found;
}

/// Bins of one width between the smallest and the largest of `values`.
std::vector<RecallBin> equal_bins(const std::vector<double>& values, const std::vector<bool>& found) {
  if (values.empty()) return {};
  const auto [smallest, largest] = std::minmax_element(values.begin(), values.end());
  const double low = *smallest, width = (*largest - low) / static_cast<double>(size_bin_count);
  std::vector<RecallBin> bins(width > 0 ? size_bin_count : 1);
  for (std::size_t i = 0; i < bins.size(); ++i) {
    bins[i].from = low + width * static_cast<double>(i);
    bins[i].to = i + 1 == bins.size() ? *largest : low + width * static_cast<double>(i + 1);
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto above = std::find_if(bins.begin(), bins.end() - 1, [&](const auto& bin) { return values[i] < bin.to; });
    add(*above, found[i]);
  }
  return bins;
}

std::vector<RecallBin> overlap_bins(const std::vector<double>& overlaps, const std::vector<bool>& found) {
  std::vector<RecallBin> bins(overlap_bin_count);
  for (std::size_t i = 1; i < bins.size(); ++i) {
    bins[i].from = static_cast<double>(i - 1) / 10;
    bins[i].to = static_cast<double>(i) / 10;
  }
  for (std::size_t i = 0; i < overlaps.size(); ++i) {
    const auto bin =
        std::find_if(bins.begin(), bins.end() - 1, [&](const auto& candidate) { return overlaps[i] <= candidate.to; });
    add(*bin, found[i]);
  }
  return bins;
}

/// Which objects share their cell with another of the canvas.
std::vector<bool> sharing_cells(const EvaluationSet& set, int cells) {
  std::map<std::array<int, 3>, int> population;
  const auto cell = [&](const Object& object) {
    return std::array{object.image, cell_of(object.box.cy, cells), cell_of(object.box.cx, cells)};
  };
  for (const auto& object : set.objects) ++population[cell(object)];
  std::vector<bool> sharing;
  for (const auto& object : set.objects) sharing.push_back(population[cell(object)] > 1);
  return sharing;
}

/// What the canvases say together: of each object, in the order of the canvases, and of each pair of classes.
struct Findings {
  std::vector<double> sizes, overlaps;
  std::vector<bool> found;
  std::map<std::pair<int, int>, std::int64_t> confusions;

  void add_objects(const PreparedImage& image, const ImageVerdicts& verdicts) {
    for (const auto& object : image.objects) sizes.push_back(std::sqrt(object.area()));
    const auto highest = overlaps_with_others(image.objects);
    overlaps.insert(overlaps.end(), highest.begin(), highest.end());
    found.insert(found.end(), verdicts.found.begin(), verdicts.found.end());
  }

  void add_confusions(const PreparedImage& image, const ImageVerdicts& verdicts) {
    for (std::size_t d = 0; d < image.detections.size(); ++d)
      if (verdicts.detections[d] == Verdict::class_error)
        ++confusions[{image.object_classes[static_cast<std::size_t>(verdicts.object_of[d])],
                      image.detection_classes[d]}];
  }
};

CanvasErrors errors_of(const PreparedImage& image, const ImageVerdicts& verdicts, int canvas) {
  CanvasErrors errors{.canvas = canvas, .objects = static_cast<std::int64_t>(image.objects.size())};
  for (std::size_t d = 0; d < image.detections.size(); ++d) {
    count(verdicts.detections[d], errors.counts);
    if (verdicts.detections[d] != Verdict::true_positive) errors.wrong_score += static_cast<double>(image.scores[d]);
  }
  errors.counts.misses = std::count(verdicts.missed.begin(), verdicts.missed.end(), true);
  return errors;
}

std::vector<ClassConfusion> most_frequent_first(const std::map<std::pair<int, int>, std::int64_t>& counts) {
  std::vector<ClassConfusion> confusions;
  for (const auto& [classes, count] : counts) confusions.push_back({classes.first, classes.second, count});
  std::stable_sort(confusions.begin(), confusions.end(),
                   [](const auto& a, const auto& b) { return a.count > b.count; });
  return confusions;
}

std::vector<int> worst_canvases(const std::vector<CanvasErrors>& canvases) {
  std::vector<int> worst;
  for (const auto& canvas : canvases)
    if (errors(canvas.counts) > 0) worst.push_back(canvas.canvas);
  const auto rank = [&](int canvas) {
    const auto& its = canvases[static_cast<std::size_t>(canvas)];
    return std::tuple(-errors(its.counts), -its.wrong_score, canvas);
  };
  std::sort(worst.begin(), worst.end(), [&](int a, int b) { return rank(a) < rank(b); });
  if (worst.size() > worst_canvas_count) worst.resize(worst_canvas_count);
  return worst;
}

/// `found` is in the order of the canvases, `set.objects` in any.
void count_by_cell(const PreparedSet& prepared, const std::vector<bool>& found, int cells, Failures& failures) {
  const Groups objects(prepared.object_images, prepared.images());
  const auto sharing = sharing_cells(prepared.set, cells);
  failures.alone_in_cell.emplace();
  failures.sharing_a_cell.emplace();
  std::size_t next = 0;
  for (std::size_t image = 0; image < prepared.images(); ++image)
    for (const auto object : objects[image])
      add(sharing[object] ? *failures.sharing_a_cell : *failures.alone_in_cell, found[next++]);
}

}  // namespace

double Recall::value() const { return objects == 0 ? -1 : static_cast<double>(found) / static_cast<double>(objects); }

std::int64_t errors(const ErrorCounts& counts) {
  return counts.misses + counts.duplicates + counts.class_errors + counts.localisation_errors + counts.background;
}

Failures find_failures(const EvaluationSet& set, const Options& options) {
  check(options);
  const PreparedSet prepared(set, options.max_detections);
  Failures failures{.score_threshold = score_threshold(prepared, options)};
  Findings findings;
  for (const auto& image : images_above(prepared, failures.score_threshold)) {
    const OverlapTable overlaps(image.detections, image.objects);
    const ImageVerdicts verdicts = judge(overlaps, image.detection_classes, image.object_classes);
    findings.add_objects(image, verdicts);
    findings.add_confusions(image, verdicts);
    failures.canvases.push_back(errors_of(image, verdicts, static_cast<int>(failures.canvases.size())));
  }
  failures.by_size = equal_bins(findings.sizes, findings.found);
  failures.by_overlap = overlap_bins(findings.overlaps, findings.found);
  if (options.cells > 0) count_by_cell(prepared, findings.found, options.cells, failures);
  failures.confusions = most_frequent_first(findings.confusions);
  failures.worst = worst_canvases(failures.canvases);
  return failures;
}

}  // namespace gridspot::eval
