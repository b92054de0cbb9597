// Compiled for AVX-512: called where winograd_lanes() has found it.
#include "nn/winograd_lanes.h"

template struct gridspot::WinogradLanes<16>;
