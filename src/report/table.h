#pragma once
// The comparison of a report as text.
#include <string>

#include "report/report.h"

namespace gridspot::report {

/// A line for each model and milestone: class accuracy, mAP50 and mAP50_95 on each protocol; "-" for what is missing.
/// Ends in a line end.
std::string to_table(const Report& report);

}  // namespace gridspot::report
