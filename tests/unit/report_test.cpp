// The report: what stands on the page, and that nothing from outside gets out of its place there.
#include "vsearch/report.h"

#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "eval/markup.h"
#include "eval/report_numbers.h"
#include "support/bmp.h"
#include "support/errors.h"
#include "support/evaluations.h"
#include "support/temp_dir.h"
#include "util/utf8.h"
#include "vsearch/trainer.h"
#include "vsearch/version.h"

using namespace vsearch_test;
using vsearch::Audit;
using vsearch::AuditExample;
using vsearch::CatalogEvaluation;
using vsearch::Dataset;
using vsearch::ErrorCode;
using vsearch::Estimate;
using vsearch::Evaluation;
using vsearch::html_report;
using vsearch::Image;
using vsearch::ReportInput;
using vsearch::ReportOptions;
using vsearch::Verdict;

namespace {

std::size_t occurrences(std::string_view text, std::string_view word) {
  std::size_t count = 0;
  for (std::size_t at = text.find(word); at != std::string_view::npos;
       at = text.find(word, at + word.size())) {
    ++count;
  }
  return count;
}

bool has(std::string_view text, std::string_view word) {
  return text.find(word) != std::string_view::npos;
}

// What is wrong with the tags of `html`, or "": each that opens is closed, in order; values of
// attributes are quoted.
std::string fault_of_tags(std::string_view html) {
  std::vector<std::string> open;
  for (std::size_t at = html.find('<'); at != std::string_view::npos; at = html.find('<', at)) {
    if (html.substr(at).starts_with("<!doctype")) {
      ++at;
      continue;
    }
    std::size_t end = at + 1;
    for (bool quoted = false; end < html.size() && (quoted || html[end] != '>'); ++end) {
      if (html[end] == '"') quoted = !quoted;
      if (!quoted && html[end] == '<') return fmt::format("< inside a tag at {}", end);
    }
    if (end == html.size()) return fmt::format("the tag at {} does not end", at);
    const std::string_view inside = html.substr(at + 1, end - at - 1);
    const std::string name(inside.substr(0, inside.find(' ')));
    at = end + 1;
    if (name == "meta" || name == "img") continue;
    if (!name.starts_with("/")) {
      open.push_back(name);
      if (name == "style") at = html.find("</style>", at);
      continue;
    }
    if (open.empty() || open.back() != name.substr(1)) return fmt::format("{} at {}", name, at);
    open.pop_back();
  }
  return open.empty() ? "" : open.back() + " is not closed";
}

// A dozen pictures of each of `classes` classes, of two domains; class 0 is one that nobody can
// tell from class 1.
struct Fixture {
  TempDir dir;
  Dataset dataset;

  explicit Fixture(std::size_t classes = 4, std::uint32_t of_each = 12) {
    dataset.name = "toys";
    dataset.root = dir.path();
    dataset.domains = {"shelf", "studio"};
    for (std::size_t label = 0; label < classes; ++label) {
      dataset.classes.push_back(fmt::format("toy {}", label));
      for (std::uint32_t i = 0; i < of_each; ++i) {
        const auto shade = static_cast<std::uint8_t>(20 + 7 * i);
        vsearch::DatasetPicture picture;
        picture.path = fmt::format("{}-{}.bmp", label, i);
        picture.label = static_cast<std::int32_t>(label);
        picture.domain = static_cast<std::int32_t>(i % 2);
        write_file(dir / picture.path,
                   plain_bmp({shade, static_cast<std::uint8_t>(40 * label), 200}, 16));
        dataset.pictures.push_back(picture);
      }
    }
    vsearch::Protocol protocol;
    protocol.name = "leave one out";
    dataset.protocols.push_back(protocol);
  }

  // `noise`: how much chance decides.
  Evaluation evaluation(const std::string& encoder = "deit-tiny", float noise = 0.2F) const {
    Evaluation result;
    result.dataset = dataset.name;
    result.root = dataset.root.string();
    result.dataset_fingerprint = "da7a5e7";
    result.encoder_name = encoder;
    result.encoder_fingerprint = "f1n9e4";
    result.precision = "bf16";
    result.rerank = "none";
    result.pictures = dataset.pictures.size();
    const auto chance = [](std::uint32_t a, std::uint32_t b) {
      const std::uint32_t mixed = (a * 7919U + b * 104729U) * 2654435761U;
      return static_cast<float>(mixed >> 16) / 65536.0F;
    };
    const auto group = [&](std::uint32_t picture) {
      return std::max(1, dataset.pictures[picture].label);
    };
    result.protocols.push_back(
        rank_all(dataset, "leave one out", [&](std::uint32_t a, std::uint32_t b) {
          return (group(a) == group(b) ? 0.7F : 0.6F) + noise * chance(a, b);
        }));
    return result;
  }
};

Audit hand_made_audit() {
  Image red(30, 20);
  for (std::size_t i = 0; i < red.pixels.size(); i += 3) red.pixels[i] = 255;
  Audit audit;
  audit.dataset = "toys";
  audit.encoder_name = "deit-tiny";
  audit.encoder_fingerprint = "f1n9e4";
  audit.findings = {
      {"background",
       "Background leakage",
       Verdict::kFault,
       "R@1 falls by 23.6 points.",
       "Give items a crop.",
       {{"R@1, clean", {0.548, 0.52, 0.57, 400}, "As they are."},
        {"effective rank",
         {45.21, 43.1, 47.05, 400},
         "Directions in use.",
         vsearch::AuditUnit::kNumber}},
       {AuditExample{"Found by its background", {{red, "query"}, {Image{}, "lost"}}}}},
      {"colour", "Colour bias", Verdict::kSound, "None.", "", {}, {}},
      {"collapse", "Category collapse", Verdict::kNoteworthy, "Some.", "Fine-tune.", {}, {}},
      {"fairness", "Fairness of the index", Verdict::kNotMeasured, "No index.", "", {}, {}}};
  return audit;
}

CatalogEvaluation hand_made_catalog() {
  CatalogEvaluation catalog;
  catalog.catalog = "shop.vsearch";
  catalog.encoder_name = "deit-tiny";
  catalog.items = 20517;
  catalog.queries = 812;
  catalog.metrics = {"R@1", "R@5"};
  catalog.estimates = {{0.712, 0.68, 0.74, 812}, {0.861, 0.83, 0.89, 812}};
  catalog.exact_estimates = {{0.72, 0.69, 0.75, 812}, {0.861, 0.83, 0.89, 812}};
  catalog.failed = {{"gone.jpg", "no such picture"}};
  catalog.worst = {{"sku-1", 0, {"sku-2"}, {"sku-3"}}, {"sku-4", 97, {"sku-5"}, {"sku-6"}}};
  return catalog;
}

std::string report_of(const std::vector<Evaluation>& evaluations, const Dataset* dataset,
                      const ReportOptions& options = {}) {
  ReportInput input;
  input.evaluations = evaluations;
  input.dataset = dataset;
  return html_report(input, options);
}

void check_page(const std::string& html) {
  CHECK(fault_of_tags(html) == "");
  CHECK(vsearch::util::is_utf8(html));
  CHECK(html.starts_with("<!doctype html>\n<html lang=\"en-GB\">"));
  for (const char* const word :
       {"<script", "http:", "https:", "@import", "url(", "=\"nan", ">nan", "nan "}) {
    CAPTURE(word);
    CHECK_FALSE(has(html, word));
  }
}

}  // namespace

TEST_CASE("the page has a section for all that was measured") {
  const Fixture fixture;
  const std::vector<Evaluation> evaluations{fixture.evaluation()};
  const Audit audit = hand_made_audit();
  const CatalogEvaluation catalog = hand_made_catalog();
  ReportInput input{evaluations, &fixture.dataset, &audit, &catalog};
  ReportOptions options;
  options.command = "vsx eval deit.vsm.pt --root 'a & b'";
  const std::string html = html_report(input, options);
  check_page(html);
  for (const char* const part :
       {"<title>deit-tiny on toys</title>", "id=\"trial-1\"", "id=\"audit\"", "id=\"catalog\"",
        "id=\"provenance\"", "toys: leave one out", "Good finds", "Worst misses",
        "First right answer: rank ", "mAP by class", "By domain",
        "vsx eval deit.vsm.pt --root "
        "&#39;a &amp; b&#39;",
        "f1n9e4", "da7a5e7", "libvsearch " VSEARCH_VERSION, "viewport", "prefers-color-scheme",
        "@media print"}) {
    CAPTURE(part);
    CHECK(has(html, part));
  }
  // Recall, classes, similarity, calibration.
  CHECK(occurrences(html, "<svg class=\"chart\"") == 4);
  CHECK(occurrences(html, "role=\"img\"><title>") == 4);
  CHECK(occurrences(html, "<img ") == occurrences(html, " alt=\""));
  CHECK(occurrences(html, "<table") == occurrences(html, "<caption>"));
  for (const char* const id : {"trial-1", "audit", "catalog", "provenance", "finding-1"}) {
    CAPTURE(id);
    CHECK(has(html, fmt::format("href=\"#{}\"", id)));
  }
}

TEST_CASE("verdicts are told in words, with numbers and remedies") {
  const Audit audit = hand_made_audit();
  ReportInput input;
  input.audit = &audit;
  const std::string html = html_report(input);
  check_page(html);
  CHECK(has(html, "<title>Audit of deit-tiny on toys</title>"));
  for (const char* const word :
       {">fault</span>", ">sound</span>", ">noteworthy</span>", ">not measured</span>"}) {
    // At the head of the page and at the finding.
    CAPTURE(word);
    CHECK(occurrences(html, std::string(word + 1).insert(0, ">")) == 2);
  }
  CHECK(has(html, "<td>54.8\u00A0%</td><td>52.0–57.0\u00A0%</td><td>As they are.</td>"));
  CHECK(has(html, "<td>45.2</td><td>43.1 to 47</td>"));
  CHECK(occurrences(html, "Remedy. ") == 2);
  CHECK(occurrences(html, "<img ") == 1);
  CHECK(has(html, "<div class=\"no-picture\">lost</div>"));
}

TEST_CASE("a catalogue stands beside its exact answers") {
  const CatalogEvaluation catalog = hand_made_catalog();
  ReportInput input;
  input.catalog = &catalog;
  const std::string html = html_report(input);
  check_page(html);
  CHECK(has(html, "<title>What shop.vsearch finds</title>"));
  CHECK(has(html, "812 queries with known answers, asked of 20,517 items"));
  CHECK(has(html, "<td>−0.8</td>"));
  CHECK(has(html, "<td>0.0</td>"));
  CHECK(has(html, "<td>not found</td>"));
  CHECK(has(html, "<td>97</td>"));
  CHECK(has(html, "no such picture"));
}

TEST_CASE("several systems are compared, the best in bold") {
  const Fixture fixture;
  std::vector<Evaluation> evaluations{fixture.evaluation("deit-tiny", 0.4F),
                                      fixture.evaluation("lite0", 0.0F),
                                      fixture.evaluation("deit-tiny", 0.3F)};
  evaluations[2].rerank = "qe:10";
  // lite0 was measured on a second data set too.
  evaluations.push_back(evaluations[1]);
  evaluations.back().dataset = "groceries";
  for (Estimate& estimate : evaluations.back().protocols[0].estimates) estimate.mean = 0.25;
  const std::string html = report_of(evaluations, &fixture.dataset);
  check_page(html);
  CHECK(has(html, "<title>3 systems on 2 data sets</title>"));
  CHECK(has(html, "Side by side"));
  CHECK(has(html, "deit-tiny + qe:10"));
  CHECK(has(html, "groceries: leave one out"));
  const std::size_t table = html.find("mAP; the best of each column is bold");
  REQUIRE(table != std::string::npos);
  const std::string rows = html.substr(table, html.find("</table>", table) - table);
  const std::size_t lite0 = rows.find("<th scope=\"row\">lite0</th>");
  REQUIRE(lite0 != std::string::npos);
  const double mean = evaluations[1].protocols[0].estimates[5].mean;
  const std::string average = vsearch::report::percent((mean + 0.25) / 2);
  CHECK(has(rows.substr(lite0, rows.find("</tr>", lite0) - lite0),
            "<strong>" + vsearch::report::percent(mean) + "</strong>"));
  CHECK(has(rows, "<strong>25.0\u00A0%</strong>"));
  CHECK(has(rows, "<td><strong>" + average + "</strong></td>"));
  // The others have no average, since they lack a column.
  CHECK(occurrences(rows, "<td>–</td><td>–</td>") == 2);
  CHECK(has(html, "is of lite0, the best of them by mAP"));
  // Two of them against the first, on the same queries; alone on the second data set is one.
  const std::size_t pairs = html.find("mAP against deit-tiny, on the same queries");
  REQUIRE(pairs != std::string::npos);
  const std::string compared = html.substr(pairs, html.find("</table>", pairs) - pairs);
  CHECK(occurrences(compared, "<tr>") == 3);
  const auto values = [&](std::size_t system) {
    const vsearch::Matrix& all = evaluations[system].protocols[0].scores.values;
    std::vector<float> column;
    for (std::size_t query = 0; query < all.rows; ++query) column.push_back(all.row(query)[5]);
    return column;
  };
  const vsearch::PairedComparison pair = vsearch::compare_paired(values(0), values(1));
  CHECK(pair.p_value < 0.05);
  const std::size_t row =
      compared.find("<th scope=\"row\">lite0<span class=\"note\">toys: leave one out</span>");
  REQUIRE(row != std::string::npos);
  const std::string cells = compared.substr(row, compared.find("</tr>", row) - row);
  CHECK(has(cells, ">" + vsearch::report::percent_points(pair.difference.mean) + "<span"));
  CHECK(has(cells, vsearch::report::tag("td", {}, vsearch::report::p_value(pair.p_value)).html));
  CHECK(has(cells, fmt::format("<td>{}</td><td>{}</td>", pair.better, pair.worse)));
  CHECK(has(html, "a permutation test with sign flips"));

  // Other queries were asked of it: they make no pairs.
  evaluations[1].protocols[0].pictures[0] = 1000;
  evaluations[2].protocols[0].scores.values = {};
  CHECK_FALSE(has(report_of(evaluations, nullptr), "on the same queries"));
}

TEST_CASE("names from strangers stay text") {
  Fixture fixture(12, 4);
  const std::string attack = "</title><script>alert(1)</script>\"'><img src=x onerror=alert(2)>";
  fixture.dataset.name = attack;
  fixture.dataset.classes[0] = "<script>alert(1)</script>";
  fixture.dataset.classes[1] = "broken \xFF\xC3 utf-8 \x01";
  fixture.dataset.classes[2] = std::string(50000, 'x');
  fixture.dataset.domains[0] = attack;
  fixture.dataset.pictures[0].path = attack + ".jpg";
  std::vector<Evaluation> evaluations{fixture.evaluation(attack), fixture.evaluation("\xFE\xFE")};
  evaluations[0].root = attack;
  evaluations[0].skipped.push_back({0, attack});
  evaluations[1].rerank = attack;
  evaluations[1].precision = attack;
  evaluations[1].encoder_fingerprint = attack;
  Audit audit = hand_made_audit();
  audit.encoder_name = attack;
  for (vsearch::AuditFinding& finding : audit.findings) {
    finding.id = finding.title = finding.summary = finding.remedy = attack;
    for (auto& number : finding.numbers) number.name = number.meaning = attack;
    for (AuditExample& example : finding.examples) {
      example.caption = attack;
      for (auto& shown : example.pictures) shown.caption = attack;
    }
  }
  CatalogEvaluation catalog = hand_made_catalog();
  catalog.catalog = catalog.metrics[0] = attack;
  catalog.failed[0] = {attack, attack};
  catalog.worst[0] = {attack, 0, {attack, "\x80"}, {attack}};
  ReportOptions options;
  options.title = attack;
  options.command = attack + "\n\xFF";
  const std::string html = html_report({evaluations, &fixture.dataset, &audit, &catalog}, options);
  check_page(html);
  CHECK(has(html, "&lt;script&gt;alert(1)&lt;/script&gt;"));
  CHECK_FALSE(has(html, "<img src=x"));
  CHECK_FALSE(has(html, std::string(300, 'x')));
}

TEST_CASE("pictures that are missing are shown by name") {
  Fixture fixture;
  const std::vector<Evaluation> evaluations{fixture.evaluation()};
  ReportOptions options;
  options.galleries = 48;
  CHECK_FALSE(has(report_of(evaluations, &fixture.dataset, options), "<div class=\"no-picture\""));
  std::filesystem::remove(fixture.dir / "0-0.bmp");
  write_file(fixture.dir / "0-1.bmp", std::vector<std::byte>(10));
  const std::string html = report_of(evaluations, &fixture.dataset, options);
  check_page(html);
  CHECK(has(html, "<div class=\"no-picture\">0-0.bmp</div>"));
  CHECK(has(html, "<div class=\"no-picture\">0-1.bmp</div>"));

  SECTION("without the data set there is none") {
    const std::string names = report_of(evaluations, nullptr);
    check_page(names);
    CHECK_FALSE(has(names, "<img "));
    CHECK(has(names, "<div class=\"no-picture\">picture 1</div>"));
  }
  SECTION("those of another data set are not taken") {
    Dataset other = fixture.dataset;
    other.name = "other";
    CHECK_FALSE(has(report_of(evaluations, &other), "<img "));
  }
}

TEST_CASE("galleries show what was asked for, and no more") {
  const Fixture fixture(4, 20);
  const std::vector<Evaluation> evaluations{fixture.evaluation("deit-tiny", 0.12F)};
  ReportOptions options;
  options.galleries = 3;
  const std::string html = report_of(evaluations, &fixture.dataset, options);
  CHECK(occurrences(html, "<div class=\"row\">") == 6);
  CHECK(has(html, "3 queries drawn evenly from the "));
  // The miss that comes first is the one that stands furthest behind.
  const auto& scores = evaluations[0].protocols[0].scores;
  const std::uint32_t worst = std::ranges::max(scores.first_right);
  REQUIRE(worst > 1);
  const std::size_t first = html.find("First right answer: rank ");
  CHECK(html.substr(first).starts_with(fmt::format("First right answer: rank {} of 80", worst)));
  options.galleries = 0;
  CHECK_FALSE(has(report_of(evaluations, &fixture.dataset, options), "<img "));

  std::vector<Evaluation> without = evaluations;
  without[0].protocols[0].scores.answers.clear();
  options.galleries = 3;
  CHECK(has(report_of(without, &fixture.dataset, options), "No answers were kept"));
}

TEST_CASE("a query that counts as an answer to itself is not shown as one") {
  const Fixture fixture;
  std::vector<Evaluation> evaluations{fixture.evaluation()};
  auto& result = evaluations[0].protocols[0];
  for (std::uint32_t query = 0; query < result.queries; ++query) {
    result.scores.first_right[query] = 1;
    result.scores.nearest_right[query] = 1;
    auto& answers = result.scores.answers[query];
    answers.insert(answers.begin(), {query, 1.0F, true});
  }
  const std::string html = report_of(evaluations, &fixture.dataset);
  check_page(html);
  CHECK_FALSE(has(html, ">1.000<"));
  CHECK(has(html, "nearly every query finds itself first"));
  CHECK(has(html, "Worst misses"));
}

TEST_CASE("the page stays small") {
  const Fixture fixture(60, 6);
  std::vector<Evaluation> evaluations{fixture.evaluation()};
  evaluations[0].skipped.resize(5000, {1, std::string(100, 'm')});
  auto& groups = evaluations[0].protocols[0].by_field["sku"];
  groups.resize(5000, {"one", 1, std::vector<double>(8, 0.5)});
  const std::string html = report_of(evaluations, &fixture.dataset);
  check_page(html);
  CHECK(html.size() < 600000);
  CHECK(has(html, "Shown are 20 of 5,000 rows."));
  CHECK(has(html, "Shown are 40 of 5,000 rows."));
  CHECK(has(html, "the worst tenth, 6 classes: mean "));
  CHECK(has(html, "the best 5; 40 between are not shown"));
}

TEST_CASE("numbers that are not there become dashes") {
  const Fixture fixture(1, 4);
  std::vector<Evaluation> evaluations{fixture.evaluation()};
  evaluations[0].encode_seconds = NAN;
  auto& result = evaluations[0].protocols[0];
  result.estimates[0] = {NAN, NAN, NAN, 0};
  result.across_domains = std::vector<Estimate>(8, Estimate{NAN, NAN, NAN, 0});
  for (auto& group : result.by_class) group.means.assign(8, NAN);
  check_page(report_of(evaluations, &fixture.dataset));

  evaluations[0].protocols.clear();
  check_page(report_of(evaluations, &fixture.dataset));
  evaluations[0].protocols.resize(1);  // nothing in it at all
  check_page(report_of(evaluations, nullptr));
}

TEST_CASE("what was learned is shown, with what is odd about it") {
  const Fixture fixture;
  vsearch::TrainReport training;
  training.package = "tuned.vsm.pt";
  training.data.pictures = 40;
  training.data.classes = 2;
  training.data.held_out = 8;
  training.data.held_out_classes_are_new = true;
  for (std::uint32_t epoch = 0; epoch <= 12; ++epoch) {
    training.epochs.push_back({epoch, 3.0 / (epoch + 1), 0.1, 1, 100, 0.4 + 0.02 * epoch, 0.5});
  }
  training.best_epoch = 9;
  training.mixture = 0.75;
  training.held_out_map = 0.597;
  training.data.rare = {{"<b>", 2}};
  training.data.rare_count = 1;
  training.data.suspects = {{1, "cup", "mug & jug", 0.214}, {4'000'000, "cup", "mug", 0.1}};
  training.data.suspect_count = 2;
  training.data.leaks = {{2, "test/9.jpg"}};
  training.data.leak_count = 1;
  ReportInput input;
  input.training = &training;
  input.learned = &fixture.dataset;
  const std::string html = html_report(input);
  check_page(html);
  for (const char* const part :
       {"<title>How tuned was tuned</title>", "id=\"training\"", "href=\"#training\"",
        "Learned from 40 pictures of 2 classes, by arcface, at the depth head. Epoch 9 of 12",
        "25.0\u00A0% of the start&#39;s", "8 pictures were held out",
        "40 pictures of 2 classes were learned from.", "with mAP 59.7\u00A0%", "written: 9",
        "mAP: from 40.0\u00A0% to 64.0\u00A0%", "loss: from 1.5 to 0.231",
        "1 class of fewer than 4", "&lt;b&gt;", "2 pictures are nearer",
        "cup: looks like mug &amp; jug", "0.21 nearer", "picture 4000000", "as test/9.jpg"}) {
    CAPTURE(part);
    CHECK(has(html, part));
  }
  CHECK(occurrences(html, "<svg class=\"chart\"") == 2);
  CHECK(occurrences(html, "<img ") == 2);

  training.epochs.resize(1);  // no plot has two points
  CHECK_FALSE(has(html_report(input), "<svg class=\"chart\""));
}

TEST_CASE("nothing to report is an error") {
  const std::string message =
      error_message(ErrorCode::kInvalidArgument, [] { html_report(ReportInput{}); });
  CHECK(message ==
        "there is nothing to report; give evaluations, an audit, the evaluation of a catalogue or "
        "what training did");
}
