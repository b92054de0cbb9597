#pragma once
// How the command line shows an evaluation.
#include <ostream>
#include <string>

#include "eval/protocol_evaluation.h"
#include "io/json.h"

namespace gridspot::app {

/// eval::to_json with the protocol's name, class_accuracy, unplaced, truncated and canvases_per_second added.
Json evaluation_json(const ProtocolEvaluation& result, const std::string& protocol);

/// The table of classes, and a line with the totals.
void print_evaluation(std::ostream& out, const ProtocolEvaluation& result, const std::string& protocol);

/// A line on stderr where detections were left out.
void warn_of_truncation(const ProtocolEvaluation& result);

}  // namespace gridspot::app
