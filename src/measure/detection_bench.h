#pragma once
// Detection, from a canvas on the device to detections on the device.
#include "measure/training_bench.h"

namespace gridspot::measure {

/// One call after another, each waited for; a call is the launch of one graph. Calls go round several sets of
/// canvases, which together are larger than the device's cache where that takes no more than eight.
Json bench_detection(const RunConfig& config, const GlyphSet& glyphs, int batch, const Ceilings& ceilings,
                     const BenchOptions& options, const std::atomic<int>& stop);

}  // namespace gridspot::measure
