#pragma once
// The names of precisions in configurations and on the command line.
#include <array>

#include "io/enum_name.h"
#include "nn/block.h"

namespace gridspot {

inline constexpr std::array precision_names{EnumName<Precision>{"fp32", Precision::fp32},
                                            EnumName<Precision>{"tf32", Precision::tf32},
                                            EnumName<Precision>{"bf16", Precision::bf16}};

}  // namespace gridspot
