#pragma once
// Training throughput, end to end and stage by stage.
#include "data/glyph_set.h"
#include "measure/floors.h"
#include "measure/spread.h"
#include "train/trainer.h"

namespace gridspot::measure {

struct BenchOptions {
  Repetition measured{.least = 40}, warmup{.least = 5};
  TrainerOptions trainer;
};

/// Steps in windows, each ended by the host's wait for the device; then as many steps as a quarter of the windows,
/// stage by stage, which is slower in sum. Throws Stopped once `stop` is not 0.
Json bench_training(const RunConfig& config, const GlyphSet& glyphs, const Ceilings& ceilings,
                    const BenchOptions& options, const std::atomic<int>& stop);

/// Stage by stage: its share of the time, its milliseconds a batch, its floor, what that is of the time, and the
/// operations and bytes of a batch that the floor counts.
Json stages_json(const StageClock& clock, std::initializer_list<Stage> stages, double batches,
                 const std::function<Floor(Stage)>& floor);

}  // namespace gridspot::measure
