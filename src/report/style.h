#pragma once

namespace gridspot::report {

/// The style sheet of every page: light and dark, wide and narrow.
extern const char* const page_style;

}  // namespace gridspot::report
