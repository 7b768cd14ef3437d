// What an audit says beside its verdicts: duplicates, progress, what it cannot measure, bad input.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "support/errors.h"
#include "support/planted_encoders.h"
#include "support/sanitized.h"
#include "support/shapes.h"
#include "support/temp_dir.h"
#include "vsearch/audit.h"

using namespace vsearch_test;
using vsearch::Audit;
using vsearch::AuditFinding;
using vsearch::AuditOptions;
using vsearch::Dataset;
using vsearch::ErrorCode;
using vsearch::Verdict;

namespace {

AuditOptions quick(std::vector<std::string> only = {}) {
  AuditOptions options;
  options.sample = 40;
  options.bootstrap = 100;
  options.only = std::move(only);
  return options;
}

double number(const AuditFinding& finding, const std::string& name) {
  const auto found = std::ranges::find(finding.numbers, name, &vsearch::AuditNumber::name);
  REQUIRE(found != finding.numbers.end());
  return found->estimate.mean;
}

}  // namespace

TEST_CASE("an audit is the same each time, and counts what it encodes") {
  const TempDir folder;
  const Dataset dataset = write_shapes(folder.path(), 6);
  AuditOptions options = quick();
  if (kSanitized) options.sample = 24;
  std::uint64_t last = 0;
  std::uint64_t total = 0;
  options.progress = [&](std::uint64_t done, std::uint64_t of) {
    CHECK(done >= last);
    CHECK(done <= of);
    last = done;
    total = of;
    return true;
  };
  const Audit first = vsearch::audit(sound_encoder(), dataset, options);
  CHECK(last == total);
  CHECK(total == 72 + options.sample * 16);
  CHECK(first.dataset == "shapes");
  CHECK(first.encoder_name == "silhouettes");
  last = 0;
  const Audit second = vsearch::audit(sound_encoder(), dataset, options);
  CHECK(to_json(first) == to_json(second));
  last = 0;
  options.seed = 2;
  CHECK(to_json(vsearch::audit(sound_encoder(), dataset, options)) != to_json(first));

  const auto json = nlohmann::json::parse(to_json(first));
  CHECK(json["findings"].size() == 6);
  CHECK(json["findings"][0]["id"] == "background");
  CHECK(json["findings"][0]["numbers"][0]["unit"] == "share");
  CHECK(json["findings"][0]["numbers"].back()["unit"] == "number");
  for (const AuditFinding& finding : first.findings) {
    CHECK_FALSE(finding.summary.empty());
    CHECK(finding.remedy.empty() ==
          (finding.verdict == Verdict::kSound || finding.verdict == Verdict::kNotMeasured));
    CHECK(finding.examples.size() <= options.examples);
    for (const vsearch::AuditNumber& one : finding.numbers) {
      CHECK(one.estimate.low <= one.estimate.mean);
      CHECK(one.estimate.mean <= one.estimate.high);
      CHECK_FALSE(one.meaning.empty());
    }
    for (const vsearch::AuditExample& example : finding.examples) {
      CHECK_FALSE(example.caption.empty());
      for (const auto& shown : example.pictures) {
        CHECK(shown.image.width_px > 0);
        CHECK(std::max(shown.image.width_px, shown.image.height_px) <= 160);
      }
    }
  }
}

TEST_CASE("an audit can be cancelled while it embeds and while it changes pictures") {
  const TempDir folder;
  const Dataset dataset = write_shapes(folder.path(), 4);
  for (const std::uint64_t after : {10, 60, 200}) {
    AuditOptions options = quick();
    options.progress = [&](std::uint64_t done, std::uint64_t) { return done < after; };
    error_message(ErrorCode::kCancelled,
                  [&] { vsearch::audit(sound_encoder(), dataset, options); });
  }
}

TEST_CASE("queries that find themselves flatter no score") {
  const TempDir folder;
  Dataset dataset = write_shapes(folder.path(), 6);
  const AuditFinding none =
      *vsearch::audit(sound_encoder(), dataset, quick({"duplicates"})).find("duplicates");
  CHECK(none.verdict == Verdict::kSound);
  CHECK(number(none, "right by a near-duplicate") == 0);

  // An encoder that is no better than chance, and a gallery with every query once more.
  const PlantedEncoder colours("colours", 64, colour_histogram);
  vsearch::Protocol& protocol = dataset.protocols.front();
  for (const std::uint32_t query : protocol.queries) {
    dataset.pictures.push_back(dataset.pictures[query]);
    protocol.gallery.push_back(static_cast<std::uint32_t>(dataset.pictures.size() - 1));
  }
  const Audit audit = vsearch::audit(colours, dataset, quick({"duplicates"}));
  const AuditFinding& found = *audit.find("duplicates");
  CHECK(audit.findings.size() == 1);
  CHECK(found.verdict == Verdict::kFault);
  CHECK(number(found, "right by a near-duplicate") == 1);
  CHECK(number(found, "R@1, clean") == 1);
  CHECK(number(found, "R@1, without near-duplicates") < 0.5);
  CHECK(found.examples.size() == 6);
  CHECK(found.remedy.find("vsx duplicates") != std::string::npos);
}

TEST_CASE("an encoder that gives noise is accused of collapse") {
  const TempDir folder;
  const Dataset dataset = write_shapes(folder.path(), 8);
  const PlantedEncoder noise("noise", 32, [](const vsearch::ImageView& image) {
    std::uint64_t seed = 0;
    for (std::uint32_t y = 0; y < image.height_px; ++y) {
      for (std::uint32_t x = 0; x < image.width_px * 3; ++x) seed = seed * 31 + image.row(y)[x];
    }
    Random random(seed);
    std::vector<float> values(32);
    for (float& value : values) value = random.normal();
    return values;
  });
  const Audit audit = vsearch::audit(noise, dataset, quick());
  CHECK(audit.find("collapse")->verdict == Verdict::kFault);
  CHECK(audit.find("colour")->verdict != Verdict::kFault);
  CHECK(number(*audit.find("collapse"), "purity of neighbourhoods") == Approx(0).margin(0.05));
  CHECK(number(*audit.find("collapse"), "effective rank") > 15);
}

TEST_CASE("robustness tells which change costs most") {
  const TempDir folder;
  const Dataset dataset = write_shapes(folder.path(), 6);
  const AuditFinding finding =
      *vsearch::audit(sound_encoder(), dataset, quick({"robustness"})).find("robustness");
  CHECK(finding.numbers.size() == 9);
  // Bars lie down and pillars stand: a quarter turn makes the one the other.
  CHECK(number(finding, "R@1, rotated 90 degrees") < number(finding, "R@1, clean"));
  CHECK(number(finding, "R@1, JPEG of quality 10") > 0.8);
  // Black letters are darker than everything: the encoder sees a band alone.
  CHECK(number(finding, "R@1, text overlay") < 0.5);
  CHECK(finding.verdict == Verdict::kFault);
  CHECK(finding.summary.find("\"text overlay\"") != std::string::npos);
}

TEST_CASE("what cannot be compared is said not to be measured") {
  const TempDir folder;
  Dataset dataset = write_shapes(folder.path(), 3);
  // Plain grey pictures: no subject, no colour.
  for (std::size_t i = 0; i < dataset.pictures.size(); ++i) {
    const auto grey = static_cast<std::uint8_t>(100 + i * 3);
    write_file(folder / dataset.pictures[i].path, plain_bmp({grey, grey, grey}, 32));
  }
  const PlantedEncoder colours("colours", 4, mean_colour);
  const Audit audit = vsearch::audit(colours, dataset, quick());
  for (const char* id : {"background", "colour", "collapse"}) {
    CHECK(audit.find(id)->verdict == Verdict::kNotMeasured);
    CHECK(audit.find(id)->summary.starts_with("Not measured: "));
    CHECK(audit.find(id)->numbers.empty());
  }
  CHECK(audit.find("no such") == nullptr);
  CHECK(vsearch::verdict_name(Verdict::kNotMeasured) == "not measured");
  CHECK(vsearch::verdict_name(Verdict::kSound) == "sound");
  CHECK(vsearch::verdict_name(Verdict::kNoteworthy) == "noteworthy");
  CHECK(vsearch::verdict_name(Verdict::kFault) == "fault");
}

TEST_CASE("a colour field tells which triplets are in conflict") {
  const TempDir folder;
  Dataset dataset = write_shapes(folder.path(), 8);
  vsearch::DatasetField& field = dataset.fields.emplace_back();
  field.name = "tint";
  field.values = {"red", "blue"};
  for (std::size_t i = 0; i < dataset.pictures.size(); ++i) {
    field.of_picture.push_back(static_cast<std::int32_t>(i % 2));
  }
  AuditOptions options = quick({"colour"});
  options.colour_field = "tint";
  const Audit audit = vsearch::audit(sound_encoder(), dataset, options);
  CHECK(number(*audit.find("colour"), "conflicts that colour wins, by the field \"tint\"") < 0.1);

  options.colour_field = "shade";
  const std::string message = error_message(
      ErrorCode::kInvalidArgument, [&] { vsearch::audit(sound_encoder(), dataset, options); });
  CHECK(message.find("'shade'") != std::string::npos);
  CHECK(message.find("tint") != std::string::npos);
}

TEST_CASE("the masks of a data set say what its subjects are") {
  // One half has a hue of its class, the other one at random; the encoder sees the left one.
  constexpr std::uint32_t kSide = 64;
  constexpr std::uint32_t kHalf = kSide / 2;
  const TempDir folder;
  Dataset dataset = write_shapes(folder.path(), 4);
  Random random(3);
  const auto angle = [&] { return 0.001 * static_cast<double>(random.below(6283)); };
  for (vsearch::DatasetPicture& picture : dataset.pictures) {
    const Rgb left = vivid(picture.label * 0.52 + 0.02 * angle(), 30, 220);
    const Rgb right = vivid(angle(), 30, 220);
    write_file(folder / picture.path, bmp(kSide, kSide, [&](std::uint32_t x, std::uint32_t) {
                 return x < kHalf ? left : right;
               }));
    picture.mask = "mask of " + picture.path;
  }
  const auto write_masks = [&](bool left, std::uint32_t width) {
    for (const vsearch::DatasetPicture& picture : dataset.pictures) {
      write_file(folder / picture.mask, bmp(width, kSide, [&](std::uint32_t x, std::uint32_t) {
                   const std::uint8_t grey = (x < kHalf) == left ? 153 : 102;
                   return Rgb{grey, grey, grey};
                 }));
    }
  };
  const PlantedEncoder seer("left half", 4, [](const vsearch::ImageView& image) {
    vsearch::ImageView half = image;
    half.width_px /= 2;
    return mean_colour(half);
  });
  const auto background = [&] {
    return *vsearch::audit(seer, dataset, quick({"background"})).find("background");
  };

  write_masks(true, kSide);
  const AuditFinding sees_subjects = background();
  CHECK(sees_subjects.verdict != Verdict::kFault);
  CHECK(number(sees_subjects, "share of the background") < 0.3);
  CHECK(sees_subjects.summary.find("by the data set's own masks, in 40 of 40 queries") !=
        std::string::npos);
  write_masks(false, kSide);
  const AuditFinding sees_background = background();
  CHECK(sees_background.verdict == Verdict::kFault);
  CHECK(number(sees_background, "share of the background") > 0.7);

  SECTION("those without are looked for by other means") {
    for (std::size_t i = 0; i < dataset.pictures.size(); i += 2) dataset.pictures[i].mask.clear();
    const std::string summary = background().summary;
    CHECK(summary.find("own masks where there are any (") != std::string::npos);
    CHECK(summary.find("else by what stands out") != std::string::npos);
  }
  SECTION("a mask of another size") {
    write_masks(true, kSide + 1);
    const std::string message = error_message(ErrorCode::kInvalidArgument, background);
    CHECK(message.find("mask of ") != std::string::npos);
    CHECK(message.find("has 65 x 64 pixels") != std::string::npos);
    CHECK(message.find("has 64 x 64") != std::string::npos);
  }
  SECTION("a mask that is not there") {
    for (vsearch::DatasetPicture& picture : dataset.pictures) picture.mask = "gone.png";
    CHECK(error_message(ErrorCode::kFileNotFound, background).find("gone.png") !=
          std::string::npos);
  }
}

TEST_CASE("an audit of a part finds the right answers of its queries there") {
  const TempDir folder;
  const Dataset dataset = write_shapes(folder.path(), 12);
  AuditOptions options = quick({"robustness"});
  options.sample = 20;
  options.gallery = 60;  // of 144
  const Audit audit = vsearch::audit(sound_encoder(), dataset, options);
  const auto& clean = audit.find("robustness")->numbers[0].estimate;
  CHECK(clean.count == 20);
  CHECK(clean.mean > 0.8);
}

TEST_CASE("an audit refuses what it cannot look at") {
  const TempDir folder;
  const Dataset dataset = write_shapes(folder.path(), 3);
  const auto refusal = [&](const Dataset& what, const AuditOptions& options) {
    return error_message(ErrorCode::kInvalidArgument,
                         [&] { vsearch::audit(sound_encoder(), what, options); });
  };
  const std::string unknown = refusal(dataset, quick({"colour", "smell"}));
  CHECK(unknown.find("'smell'") != std::string::npos);
  CHECK(unknown.find("background, colour, collapse, robustness, fairness, duplicates") !=
        std::string::npos);

  Dataset one_label = dataset;
  for (auto& picture : one_label.pictures) picture.label = 0;
  CHECK(refusal(one_label, quick()).find("1 label;") != std::string::npos);
  Dataset alone = dataset;
  for (std::size_t i = 0; i < alone.pictures.size(); ++i) {
    alone.pictures[i].label = static_cast<std::int32_t>(i);
    alone.classes.push_back("another");
  }
  CHECK(refusal(alone, quick()).find("no query") != std::string::npos);
  Dataset nobody_asks = dataset;
  nobody_asks.protocols.clear();
  CHECK(refusal(nobody_asks, quick()).find("without a protocol") != std::string::npos);

  AuditOptions empty = quick();
  empty.sample = 0;
  CHECK(refusal(dataset, empty).find("not 0, 4000 and 100") != std::string::npos);

  // One that cannot be read is passed over.
  Dataset broken = dataset;
  write_file(folder / "broken.bmp", std::vector<std::byte>(7));
  broken.pictures[5].path = "broken.bmp";
  const Audit audit = vsearch::audit(sound_encoder(), broken, quick({"fairness"}));
  CHECK(audit.find("fairness")->numbers[0].estimate.count == 35);
}
