#pragma once
// The least time that each stage of a step could take: what it must read and write once at the bandwidth of a copy,
// what the definition multiplies at the rate of a large matrix product. Layers are counted one by one, each the longer
// of the two times; what two layers could save by being one is not counted. Stages that do save it, or that multiply
// less (nn/winograd.h), can be faster than their floor.
#include "device/stage_clock.h"
#include "measure/ceilings.h"
#include "nn/network.h"
#include "train/run_config.h"

namespace gridspot::measure {

/// What decides a stage's least work.
struct Workload {
  const Network* network = nullptr;
  int batch = 0;
  Precision precision = Precision::fp32;
  int glyphs = 0;            ///< places for glyphs on a canvas
  double glyph_bytes = 784;  ///< of one image
  int shards = 1;            ///< of training
  bool averages = false;     ///< the optimiser keeps a moving average
  bool second_moment = true;
  double candidates = 0;  ///< for detection, an image
  int detections = 100;   ///< places for detections an image
};

/// Of a whole batch.
struct Floor {
  Work work;
  double seconds = 0;  ///< of layers, the sum of what each takes at least
};

Floor floor_of(Stage stage, const Workload& workload, const Ceilings& ceilings);

}  // namespace gridspot::measure
