#include "report/html.h"

#include <gmock/gmock.h>

#include "tests/report/xml_check.h"

namespace gridspot::report {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(XmlCheck, FindsWhatIsNotWellFormed) {
  for (const char* broken : {"<p>", "<p></q>", "</p>", "<p a=b></p>", "<p a=\"<\"></p>", "a & b",
                             "<p a=\"1\" a=\"2\"/>", "<b><i></b></i>", "<br", "&nbsp;"})
    EXPECT_NE(test::xml_fault(broken), "") << broken;
  EXPECT_EQ(test::xml_fault("<!DOCTYPE html>\n<p class=\"a b\">1 &lt; 2<br/></p><style>a > b { }</style>"), "");
}

TEST(Html, EscapesWhatHasAMeaning) {
  EXPECT_EQ(escape("<a href=\"x\">'&'"), "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;");
  EXPECT_EQ(escape("7 × 7"), "7 × 7");
  EXPECT_EQ(escape("a\xff"
                   "b"),
            "a\xEF\xBF\xBD"
            "b");
  EXPECT_EQ(escape(std::string("a\x01") + "b"),
            "a\xEF\xBF\xBD"
            "b");
  EXPECT_EQ(escape(""), "");
}

// RFC 4648, section 10.
TEST(Html, Base64HasTheVectorsOfItsStandard) {
  const std::pair<const char*, const char*> vectors[]{{"", ""},
                                                      {"f", "Zg=="},
                                                      {"fo", "Zm8="},
                                                      {"foo", "Zm9v"},
                                                      {"foob", "Zm9vYg=="},
                                                      {"fooba", "Zm9vYmE="},
                                                      {"foobar", "Zm9vYmFy"}};
  for (const auto& [bytes, text] : vectors) EXPECT_EQ(base64(bytes), text) << bytes;
  EXPECT_EQ(base64(std::string("\x00\xff\x80", 3)), "AP+A");
}

TEST(Html, MeasuresShowThreeDecimalsAndCarryAllOfThem) {
  EXPECT_EQ(measure(0.91234567), "<data value=\"0.91234567\">0.912</data>");
  EXPECT_EQ(measure(-1), "–");
  EXPECT_EQ(difference_text(0.0125), "+0.013");
  EXPECT_EQ(difference_text(-0.5), "-0.500");
  EXPECT_EQ(difference_text(-0.0004), "0.000");
  EXPECT_EQ(epoch_text(20), "20");
  EXPECT_EQ(epoch_text(45.001), "45") << "the last batch reaches over the end";
  EXPECT_EQ(epoch_text(19.2), "19.2");
  EXPECT_EQ(percent_text(0.4637), "46.4%");
}

TEST(Html, CountsHaveGroupsOfThree) {
  EXPECT_EQ(count_text(0), "0");
  EXPECT_EQ(count_text(999), "999");
  EXPECT_EQ(count_text(1000), "1,000");
  EXPECT_EQ(count_text(-1234567), "-1,234,567");
  EXPECT_EQ(count_cell(1000), "<data value=\"1000\">1,000</data>");
}

TEST(Html, APageIsWellFormedAndNeedsNothingElse) {
  const std::string html =
      page("a <title> & more",
           section("id", "A \"heading\"",
                   table({.head = {"name", "value"}, .rows = {{"x", measure(0.5)}}}) +
                       figure("<p>1</p>", "from " + file_name("a<b>.json")) + details("more", "<p>2</p>", true)));
  EXPECT_EQ(test::xml_fault(html), "");
  EXPECT_THAT(html, Not(HasSubstr("http")));
  EXPECT_THAT(html, Not(HasSubstr("<script")));
  EXPECT_THAT(html, HasSubstr("prefers-color-scheme: dark"));
  EXPECT_THAT(html, HasSubstr("width=device-width"));
}

}  // namespace
}  // namespace gridspot::report
