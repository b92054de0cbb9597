#pragma once
// Named canvas generators. Each is frozen once released: a changed rule is a new name.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "gridspot/placing.h"

namespace gridspot {

/// Canvases of the three splits come from seed spaces that never meet. Those for training and for validation (which
/// decides when a run was best) show the glyphs of the train split, those for testing the glyphs of the test split.
enum class Split { train, validation, test };

struct Protocol {
  std::string name;
  std::uint32_t id = 0;                ///< keeps the seed spaces of protocols apart; below 2^14
  int height = 0, width = 0;           ///< canvas, pixels
  int min_glyphs = 1, max_glyphs = 1;  ///< per canvas, uniform, both ends included
  float min_size = 0, max_size = 0;    ///< side of the square tile, pixels, uniform
  float max_rotation = 0;              ///< degrees, uniform in +-
  Placing placing = Placing::anywhere;
  float min_iou = 0, max_iou = 0;
  float max_shift = 0;    ///< with `centred`: pixels along each axis, uniform in +-
  bool in_order = false;  ///< glyph i of the bank stands on canvas i (modulo their number), whatever the step
  BoxKind box = BoxKind::tile;
  // Options, off in every named protocol:
  float max_shear = 0;  ///< horizontal shear (tangent of the angle), uniform in +-
  int max_clutter = 0;  ///< distractor strokes and symbols that are no digit, per canvas, uniform in [0, max_clutter]
  float noise = 0;      ///< standard deviation of the Gaussian noise added to every pixel (white = 1)
  float min_contrast = 1;  ///< the canvas is multiplied by a factor uniform in [min_contrast, 1]
  float inversion = 0;     ///< probability that the canvas is inverted (1 - value)
};

/// `seed-224`, `separated-224`, `overlap-224`, `crowd-300`, `quick-64` or `digits-28`. Throws InvalidInput that lists
/// the names.
Protocol find_protocol(std::string_view name);
std::vector<std::string> protocol_names();

/// Every glyph of the bank once and as it is: in order, each filling the canvas, without any of the protocol's changes.
/// For protocols with the placing `centred`.
Protocol unaltered(Protocol protocol);

/// Throws InvalidInput that names the first field that is out of its range.
void validate(const Protocol& protocol);

inline constexpr int most_glyphs = 4096, most_clutter = 64;
inline constexpr double lowest_contrast = 0.05;

/// Sets one option from text: "noise" [0, 1], "clutter" [0, most_clutter], "min_contrast" [lowest_contrast, 1],
/// "inversion" [0, 1], "shear" [0, 1], "box" (tile or tight). Throws InvalidInput for an unknown option or a value
/// outside its range.
void set_option(Protocol& protocol, std::string_view option, std::string_view value);
/// The same from "option=value".
void set_option(Protocol& protocol, std::string_view assignment);

inline constexpr std::uint64_t max_seed = (std::uint64_t{1} << 48) - 1;

/// The Philox key of a seed in the seed space of a protocol's split. No two of (protocol id, split, seed) share a key,
/// so no evaluation seed can meet a training seed. Throws InvalidInput for a seed above max_seed.
std::uint64_t scene_key(const Protocol& protocol, Split split, std::uint64_t seed);

}  // namespace gridspot
