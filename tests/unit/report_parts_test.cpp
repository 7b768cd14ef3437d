// What the report is made of: numbers, pictures, buckets, names and markup.
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "eval/markup.h"
#include "eval/report_numbers.h"
#include "eval/report_pictures.h"
#include "eval/report_plots.h"
#include "eval/report_trials.h"
#include "image/jpeg_encoder.h"
#include "support/errors.h"

using namespace vsearch_test;
using vsearch::ErrorCode;
using vsearch::Estimate;
using vsearch::Evaluation;
using vsearch::Image;

namespace {

const float kNaN = std::numeric_limits<float>::quiet_NaN();

bool has(std::string_view text, std::string_view word) {
  return text.find(word) != std::string_view::npos;
}

}  // namespace

TEST_CASE("numbers are written as people read them") {
  using namespace vsearch::report;
  CHECK(with_commas(0) == "0");
  CHECK(with_commas(999) == "999");
  CHECK(with_commas(1234567) == "1,234,567");
  CHECK(count_of(1, "query", "queries") == "1 query");
  CHECK(percent(0.5476) == "54.8\u00A0%");
  CHECK(percent(-0.05) == "−5.0\u00A0%");
  CHECK(percent(-0.0001) == "0.0\u00A0%");
  CHECK(percent(NAN) == "–");
  CHECK(percent_points(0.0131) == "+1.3");
  CHECK(percent_points(-0.0131) == "−1.3");
  CHECK(percent_points(0.0001) == "0.0");
  CHECK(percent_points_interval({0.01, -0.0021, 0.024, 9}) == "−0.2 to +2.4");
  CHECK(p_value(0.0316) == "0.032");
  CHECK(p_value(0.00099) == "< 0.001");
  CHECK(p_value(1) == "1.000");
  CHECK(p_value(NAN) == "–");
  CHECK(percent_interval({0.5, 0.528, 0.5671, 9}) == "52.8–56.7\u00A0%");
  CHECK(plain_number(45.21) == "45.2");
  CHECK(plain_number(-0.01324) == "−0.0132");
  CHECK(plain_number(12345.6) == "12,346");
  CHECK(plain_number(INFINITY) == "–");
  // Wilson's interval of 8 of 10: Agresti and Coull, Table 1 of The American Statistician 52 (1998)
  // gives its formula.
  const Estimate share = share_of(8, 10);
  CHECK(share.mean == Approx(0.8));
  CHECK(share.low == Approx(0.4902).margin(1e-4));
  CHECK(share.high == Approx(0.9433).margin(1e-4));
  CHECK(share_of(0, 10).low == Approx(0).margin(1e-12));
  CHECK(std::isnan(share_of(0, 0).mean));
  CHECK(median_of(std::vector<float>{3, kNaN, 1, 2, 10}) == Approx(2.5));
}

TEST_CASE("a thumbnail is a JPEG of the picture") {
  Image image(64, 32);
  for (std::size_t i = 0; i < image.pixels.size(); i += 3) image.pixels[i + 1] = 200;
  const std::vector<std::byte> file = vsearch::image::encode_jpeg(image, 90);
  const Image back = vsearch::decode_image(file, "thumbnail");
  REQUIRE(back.width_px == 64);
  REQUIRE(back.height_px == 32);
  for (std::size_t i = 0; i < back.pixels.size(); ++i) {
    CHECK(std::abs(int{back.pixels[i]} - int{image.pixels[i]}) < 6);
  }
  const auto thumbnail = vsearch::report::thumbnail_of(image, 16);
  CHECK(thumbnail.uri.starts_with("data:image/jpeg;base64,/9j/"));
  CHECK(thumbnail.width_px == 16);
  CHECK(thumbnail.height_px == 8);
  CHECK(thumbnail.uri.size() % 4 == std::string_view("data:image/jpeg;base64,").size() % 4);
  CHECK(has(
      error_message(ErrorCode::kInvalidArgument, [] { vsearch::image::encode_jpeg(Image{}, 90); }),
      "0 x 0 pixels"));
  CHECK(has(
      error_message(ErrorCode::kInvalidArgument, [&] { vsearch::image::encode_jpeg(image, 0); }),
      "1 to 100, not 0"));
}

TEST_CASE("first answers are put into buckets of as many each") {
  std::vector<float> first;
  std::vector<bool> right;
  for (int i = 0; i < 100; ++i) {
    first.push_back(static_cast<float>(99 - i) / 100);
    right.push_back(i < 50);
  }
  first.push_back(kNaN);
  right.push_back(true);
  const auto buckets = vsearch::report::buckets_of(first, right);
  REQUIRE(buckets.size() == 5);
  for (const auto& bucket : buckets) CHECK(bucket.right.count == 20);
  CHECK(buckets[0].low == Approx(0));
  CHECK(buckets[0].high == Approx(0.19));
  CHECK(buckets[0].mean == Approx(0.095));
  CHECK(buckets[0].right.mean == Approx(0));
  CHECK(buckets[2].right.mean == Approx(0.5));
  CHECK(buckets[4].right.mean == Approx(1));
  first.resize(39);
  CHECK(vsearch::report::buckets_of(first, right).empty());
}

TEST_CASE("names beside bars are cut where they would not fit, and stand whole in a title") {
  using namespace vsearch::report;
  const auto plot = [](const std::string& name) {
    const std::vector<BarGroup> groups{{"all", {{name, 0.5, ""}}}};
    return bar_plot(groups, 0.5, "mAP").html;
  };
  CHECK(has(plot("Golden Delicious"), ">Golden Delicious</text>"));
  CHECK_FALSE(has(plot("Golden Delicious"), "<title>Golden"));
  // As many narrow letters as have room, but not as many wide ones.
  CHECK(has(plot(std::string(22, 'i')), ">iiiiiiiiiiiiiiiiiiiiii</text>"));
  CHECK(has(plot(std::string(22, 'W')),
            "<title>" + std::string(22, 'W') + "</title>" + std::string(8, 'W') + "…</text>"));
  const std::string juice = "Juice/Bravo-Orange-Juice & pulp";
  CHECK(has(plot(juice), "<title>Juice/Bravo-Orange-Juice &amp; pulp</title>Juice/Bravo-"));
  CHECK(has(plot(juice), "…</text>"));
  // Characters are never cut apart.
  std::string cherries;
  for (int i = 0; i < 12; ++i) cherries += "桜";
  CHECK(has(plot(cherries), "</title>桜桜桜桜桜桜桜桜…</text>"));
  CHECK(has(plot("ten letters and"), ">ten letters and</text>"));
  CHECK(has(plot("aaaaaaaaaaaaa bbbbbbbbb"), ">aaaaaaaaaaaaa…</text>"));
}

TEST_CASE("systems are told apart by what they differ in") {
  Evaluation plain;
  plain.encoder_name = "deit";
  plain.precision = "fp32";
  plain.rerank = "none";
  plain.encoder_fingerprint = "0123456789";
  Evaluation half = plain;
  half.precision = "bf16";
  Evaluation expanded = plain;
  expanded.rerank = "qe:10";
  Evaluation tuned = expanded;
  tuned.encoder_fingerprint = "abcdef0123";
  const std::vector<Evaluation> all{plain, half, expanded, tuned};
  CHECK(vsearch::report::system_names(all) == std::vector<std::string>{"deit, fp32", "deit, bf16",
                                                                       "deit + qe:10, 01234567",
                                                                       "deit + qe:10, abcdef01"});
}

TEST_CASE("text in markup is escaped and well-formed") {
  using namespace vsearch::report;
  CHECK(escape("a<b>&\"'") == "a&lt;b&gt;&amp;&quot;&#39;");
  CHECK(escape("one\ntwo\tthree") == "one\ntwo\tthree");
  CHECK(escape("\xFFz\x01\xC3") == "?z??");
  CHECK(tag("p", {{"class", "a\"b"}, {"id", ""}}, "<i>", tag("img", {{"alt", "x"}})).html ==
        "<p class=\"a&quot;b\">&lt;i&gt;<img alt=\"x\"></p>");
}
