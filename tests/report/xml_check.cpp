#include "tests/report/xml_check.h"

#include <cctype>
#include <set>
#include <vector>

namespace gridspot::test {
namespace {

class Checker {
 public:
  explicit Checker(std::string_view markup) : markup_(markup) {}

  std::string run() {
    if (markup_.starts_with("<!DOCTYPE")) at_ = markup_.find('>') + 1;
    while (fault_.empty() && at_ < markup_.size()) {
      if (markup_[at_] == '<')
        tag();
      else if (markup_[at_] == '&')
        entity();
      else
        ++at_;
    }
    if (fault_.empty() && !open_.empty()) fail("<" + open_.back() + "> is not closed");
    return fault_;
  }

 private:
  void fail(const std::string& what) {
    if (fault_.empty()) fault_ = what + " at \"" + std::string(markup_.substr(at_, 60)) + "\"";
  }

  std::string name() {
    const std::size_t start = at_;
    while (at_ < markup_.size() && (std::isalnum(static_cast<unsigned char>(markup_[at_])) || markup_[at_] == '-'))
      ++at_;
    if (at_ == start) fail("a name is missing");
    return std::string(markup_.substr(start, at_ - start));
  }

  void entity() {
    const std::size_t end = markup_.find(';', at_);
    const auto text = markup_.substr(at_, end == std::string_view::npos ? 0 : end - at_ + 1);
    const std::set<std::string_view> known{"&amp;", "&lt;", "&gt;", "&quot;", "&#39;"};
    if (!known.contains(text)) return fail("a bare &");
    at_ = end + 1;
  }

  void tag() {
    ++at_;
    if (markup_.substr(at_).starts_with("/")) return closing_tag();
    const std::string element = name();
    std::set<std::string> names;
    while (fault_.empty() && at_ < markup_.size() && markup_[at_] == ' ') {
      ++at_;
      attribute(names);
    }
    const bool empty = markup_.substr(at_).starts_with("/>");
    if (!empty && !markup_.substr(at_).starts_with(">")) return fail("the tag of <" + element + "> does not end");
    at_ += empty ? 2 : 1;
    if (empty) return;
    open_.push_back(element);
    if (element == "style") at_ = std::min(markup_.size(), markup_.find("</style>", at_));
  }

  void closing_tag() {
    ++at_;
    const std::string element = name();
    if (open_.empty() || open_.back() != element) return fail("</" + element + "> closes nothing");
    open_.pop_back();
    if (!markup_.substr(at_).starts_with(">")) return fail("</" + element + " does not end");
    ++at_;
  }

  void attribute(std::set<std::string>& names) {
    if (!names.insert(name()).second) return fail("an attribute stands twice");
    if (!markup_.substr(at_).starts_with("=\"")) return fail("an attribute without a quoted value");
    at_ += 2;
    while (fault_.empty() && at_ < markup_.size() && markup_[at_] != '"') {
      if (markup_[at_] == '<') return fail("< in an attribute");
      if (markup_[at_] == '&')
        entity();
      else
        ++at_;
    }
    ++at_;
  }

  std::string_view markup_;
  std::size_t at_ = 0;
  std::vector<std::string> open_;
  std::string fault_;
};

}  // namespace

std::string xml_fault(std::string_view markup) { return Checker(markup).run(); }

}  // namespace gridspot::test
