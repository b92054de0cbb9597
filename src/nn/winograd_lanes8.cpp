#include "nn/winograd_lanes.h"

template struct gridspot::WinogradLanes<8>;
