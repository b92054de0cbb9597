#pragma once
// What happened to each detection above a score, and to each object.
#include <cstdint>
#include <span>
#include <vector>

#include "eval/evaluation.h"
#include "eval/matching.h"

namespace gridspot::eval {

/// ErrorCounts' kinds of detections, in the order in which they are tried.
enum class Verdict : std::uint8_t { true_positive, duplicate, class_error, localisation_error, background };

/// What became of one image's detections and objects; see ErrorCounts.
struct ImageVerdicts {
  std::vector<Verdict> detections;
  /// The object that each detection took, or whose overlap decided; `unmatched` for background.
  std::vector<std::int32_t> object_of;
  std::vector<bool> found;   ///< objects that a detection took
  std::vector<bool> missed;  ///< objects that count as misses
};

/// One image: its detections by falling score, and its objects.
ImageVerdicts judge(const OverlapTable& overlaps, std::span<const int> detection_classes,
                    std::span<const int> object_classes);

/// Adds one detection to its kind's count.
void count(Verdict verdict, ErrorCounts& counts);

/// Counts error kinds (by class) and the confusion matrix, image by image; see ErrorCounts and Evaluation::confusion.
class ErrorTally {
 public:
  explicit ErrorTally(std::size_t classes);

  /// One image: its detections by falling score, and its objects.
  void add_image(std::span<const PixelBox> detections, std::span<const int> detection_classes,
                 std::span<const PixelBox> objects, std::span<const int> object_classes);

  std::vector<ErrorCounts> per_class;
  std::vector<std::vector<std::int64_t>> confusion;

 private:
  void count_errors(const OverlapTable& overlaps, std::span<const int> detection_classes,
                    std::span<const int> object_classes);
  void count_confusion(const OverlapTable& overlaps, std::span<const int> detection_classes,
                       std::span<const int> object_classes);
};

}  // namespace gridspot::eval
