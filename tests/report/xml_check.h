#pragma once
#include <string>
#include <string_view>

namespace gridspot::test {

/// Empty where `markup` is well-formed as far as this checker looks: tags balanced, attributes quoted and none twice in
/// a tag, "<" and "&" only where XML allows them. Else what is wrong, and where. A leading <!DOCTYPE ...> and the
/// content of <style> are passed over.
std::string xml_fault(std::string_view markup);

}  // namespace gridspot::test
