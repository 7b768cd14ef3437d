#include "vsearch/encoder.h"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "encoder/golden.h"
#include "encoder/manifest.h"
#include "encoder/preprocessing.h"
#include "support/temp_dir.h"
#include "util/sha256.h"
#include "vsearch/error.h"

using nlohmann::json;
using vsearch::Error;
using vsearch::ErrorCode;
using vsearch::Preprocessing;
using vsearch::encoder::find_fault;
using vsearch::encoder::Manifest;
using vsearch::encoder::parse_manifest;
using vsearch::encoder::resized_size;
using vsearch::encoder::Size;

namespace {

namespace fs = std::filesystem;

json sound_manifest() {
  return json::parse(R"({
    "format_version": 1,
    "name": "tiny",
    "license": "MIT",
    "source": "a test",
    "architecture": "mean colour",
    "dim": 3,
    "metric": "l2",
    "input": {
      "width": 8, "height": 6,
      "resize": {"edge": "stretch", "size": [7, 9], "interpolation": "bilinear"},
      "crop": "center",
      "mean": [0.5, 0.25, 0], "std": [1, 0.5, 0.25],
      "colour_order": "bgr"
    },
    "outputs": {"embedding": 3},
    "text": false,
    "golden": [
      {"width": 4, "height": 3, "seed": 1, "embedding": [1, 2, 3]},
      {"width": 3, "height": 4, "seed": 2, "embedding": [0.5, 0, -1e-3]}
    ]
  })");
}

// The message for a manifest that is sound but for one change, without its beginning and its end.
std::string fault_after(const json& patch) {
  json changed = sound_manifest();
  changed.merge_patch(patch);
  try {
    parse_manifest(changed.dump(), "m.vsm.pt");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::kBadModel);
    const std::string message = error.what();
    const std::string before = "m.vsm.pt: a broken manifest (vsearch.json): ";
    const std::string after =
        "; make the package again with python -m vsearch.export, see docs/models.md";
    if (!message.starts_with(before) || !message.ends_with(after)) return message;
    return message.substr(before.size(), message.size() - before.size() - after.size());
  }
  return "no error";
}

std::string message_of(const std::function<void()>& call, ErrorCode code) {
  try {
    call();
  } catch (const Error& error) {
    CHECK(error.code() == code);
    return error.what();
  }
  return "no error";
}

class ModelPath {
 public:
  explicit ModelPath(const std::string& value) { setenv("VSEARCH_MODEL_PATH", value.c_str(), 1); }
  ~ModelPath() { unsetenv("VSEARCH_MODEL_PATH"); }
  ModelPath(const ModelPath&) = delete;
  ModelPath& operator=(const ModelPath&) = delete;
};

// An environment variable that has another value, or none, for a while.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) {
    if (const char* const before = std::getenv(name)) before_ = before;
    set(value);
  }
  ~Variable() { set(before_ ? before_->c_str() : nullptr); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  void set(const char* value) {
    if (value != nullptr) {
      setenv(name_, value, 1);
    } else {
      unsetenv(name_);
    }
  }

  const char* name_;
  std::optional<std::string> before_;
};

}  // namespace

TEST_CASE("a manifest becomes an EncoderInfo") {
  const Manifest manifest = parse_manifest(sound_manifest().dump(), "m.vsm.pt");
  CHECK(manifest.info.name == "tiny");
  CHECK(manifest.info.license == "MIT");
  CHECK(manifest.info.source == "a test");
  CHECK(manifest.info.dim == 3);
  CHECK(manifest.info.metric == vsearch::Metric::kL2);
  const Preprocessing& p = manifest.info.preprocessing;
  CHECK(p.width_px == 8);
  CHECK(p.height_px == 6);
  CHECK(p.resize_edge == vsearch::ResizeEdge::kStretch);
  CHECK(p.resize_width_px == 9);
  CHECK(p.resize_height_px == 7);
  CHECK(p.interpolation == vsearch::Interpolation::kBilinear);
  CHECK(p.centre_crop);
  CHECK(p.mean == std::array{0.5F, 0.25F, 0.0F});
  CHECK(p.stddev == std::array{1.0F, 0.5F, 0.25F});
  CHECK(p.colour_order == vsearch::ColourOrder::kBgr);
  REQUIRE(manifest.golden.size() == 2);
  CHECK(manifest.golden[1].height_px == 4);
  CHECK(manifest.golden[1].seed == 2);
  CHECK(manifest.golden[1].embedding == std::vector{0.5F, 0.0F, -1e-3F});
}

TEST_CASE("an unknown key is ignored but counts for the fingerprint") {
  json more = sound_manifest();
  more["made_on"] = "a Tuesday";
  const Manifest manifest = parse_manifest(more.dump(), "m.vsm.pt");
  CHECK(manifest.info.dim == 3);
  CHECK(manifest.canonical != parse_manifest(sound_manifest().dump(), "m.vsm.pt").canonical);
}

TEST_CASE("the canonical manifest has its floats by their bits and no golden pairs") {
  const std::string canonical = parse_manifest(sound_manifest().dump(2), "m.vsm.pt").canonical;
  CHECK(canonical ==
        R"({"architecture":"mean colour","dim":3,"format_version":1,"input":{"colour_order":"bgr",)"
        R"("crop":"center","height":6,"mean":["f64:3fe0000000000000","f64:3fd0000000000000",0],)"
        R"("resize":{"edge":"stretch","interpolation":"bilinear","size":[7,9]},)"
        R"("std":[1,"f64:3fe0000000000000","f64:3fd0000000000000"],"width":8},"license":"MIT",)"
        R"("metric":"l2","name":"tiny","outputs":{"embedding":3},"source":"a test","text":false})");
}

TEST_CASE("a broken manifest is refused with the place and the fault") {
  CHECK(fault_after(json::object()) == "no error");
  CHECK(fault_after({{"name", nullptr}}) == "name is missing");
  CHECK(fault_after({{"name", 7}}) == "name is not a text");
  CHECK(fault_after({{"dim", 0}}) == "dim is 0, not within 1 to 65536");
  CHECK(fault_after({{"dim", 3.5}}) == "dim is not a whole number");
  CHECK(fault_after({{"dim", 18446744073709551615U}}) ==
        "dim is 18446744073709551615, not within 1 to 65536");
  CHECK(fault_after({{"dim", 4}}) == "outputs.embedding is 3, but dim is 4");
  CHECK(fault_after({{"metric", "hamming"}}) ==
        R"(metric is "hamming", not one of "cosine", "inner_product", "l2")");
  CHECK(fault_after({{"text", "no"}}) == "text is neither true nor false");
  CHECK(fault_after({{"input", 3}}) == "input is not an object");
  CHECK(fault_after({{"input", {{"width", 99999}}}}) ==
        "input.width is 99999, not within 1 to 16384");
  CHECK(fault_after({{"input", {{"mean", {1, 2}}}}}) == "input.mean has 2 numbers, not 3");
  CHECK(fault_after({{"input", {{"mean", {1, "x", 3}}}}}) == "input.mean[1] is not a number");
  CHECK(fault_after({{"input", {{"std", {1, 0, 1}}}}}) == "input cannot be followed: std[1] is 0");
  CHECK(fault_after({{"input", {{"std", {1, 1e300, 1}}}}}) ==
        "input.std[1] is not a finite number");
  CHECK(fault_after({{"input", {{"crop", "corner"}}}}) ==
        R"(input.crop is "corner", not one of "center", "none")");
  CHECK(fault_after({{"input", {{"crop", "none"}}}}) ==
        "input cannot be followed: the resize to 9 x 7 pixels differs from the input of 8 x 6 and "
        "there is no crop");
  CHECK(fault_after({{"input", {{"resize", {{"size", {5, 9}}}}}}}) ==
        "input cannot be followed: the crop of 8 x 6 pixels is larger than the resize to 9 x 5");
  CHECK(fault_after({{"input", {{"resize", {{"edge", "shortest"}}}}}}) ==
        "input.resize.size is not a whole number");
  CHECK(fault_after({{"input", {{"resize", {{"edge", "shortest"}, {"size", 7}}}}}}) ==
        "input cannot be followed: the crop of 8 x 6 pixels is larger than the resize to 7 x 7");
  CHECK(fault_after({{"input", {{"resize", {{"interpolation", "lanczos"}}}}}}) ==
        R"(input.resize.interpolation is "lanczos", not one of "bicubic", "bilinear")");
  CHECK(fault_after({{"golden", json::array()}}) == "golden has fewer than 2 golden pairs");
  json golden = sound_manifest()["golden"];
  golden[1]["embedding"] = {1, 2};
  CHECK(fault_after({{"golden", golden}}) == "golden[1].embedding has 2 numbers, but dim is 3");
  golden[1]["embedding"] = {0, 0, 0};
  CHECK(fault_after({{"golden", golden}}) == "golden[1].embedding is a zero vector");
  golden[1]["width"] = 100000;
  CHECK(fault_after({{"golden", golden}}) == "golden[1].width is 100000, not within 1 to 4096");
  golden[1]["width"] = 1;
  golden[1]["height"] = 4096;
  CHECK(fault_after(
            {{"golden", golden}, {"input", {{"resize", {{"edge", "shortest"}, {"size", 256}}}}}}) ==
        "golden[1] cannot be computed: its picture: 1 x 4096 pixels are too long and narrow to "
        "resize; cut the picture");
  CHECK(fault_after({{"format_version", 2}}) ==
        "m.vsm.pt: a package of format version 2, but this library reads version 1; update the "
        "library or make the package again with python -m vsearch.export");
}

TEST_CASE("what is not JSON is refused") {
  const auto fault = [](const std::string& text) {
    return message_of([&] { parse_manifest(text, "m"); }, ErrorCode::kBadModel);
  };
  CHECK_THAT(fault(""), Catch::Contains("it is not JSON"));
  CHECK_THAT(fault("{\"dim\": "), Catch::Contains("it is not JSON"));
  CHECK_THAT(fault("{\"name\": \"\xFF\"}"), Catch::Contains("it is not JSON"));
  CHECK_THAT(fault("[]"), Catch::Contains("the manifest is not an object"));
  // Deep enough to exhaust the stack of anything recursive.
  CHECK_THAT(fault(std::string(1000000, '[')), Catch::Contains("nested too deeply"));
}

TEST_CASE("golden pictures follow the formula") {
  // Of numpy: docs/models.md's formula for 320 x 240, seed 1, as bindings/python computes
  // it.
  const vsearch::Image picture = vsearch::encoder::golden_picture(320, 240, 1);
  CHECK(vsearch::util::sha256_hex(std::as_bytes(std::span(picture.pixels))) ==
        "32e301111b73f9d8a1e5798b070cb863fde30666ed41fd39ef568651daeada6f");
}

TEST_CASE("a golden pair matches by direction and length") {
  const std::vector<float> golden{3.0F, 0.0F, 4.0F};
  const auto check = [&golden](std::vector<float> computed,
                               const vsearch::encoder::GoldenTolerance& tolerance = {}) {
    vsearch::encoder::check_golden("m.vsm.pt", "golden pair 1 of 2", golden, computed, tolerance);
  };
  CHECK_NOTHROW(check({3.0F, 0.0F, 4.0F}));
  CHECK_NOTHROW(check({3.02F, 0.0F, 4.02F}));
  CHECK_NOTHROW(check({3.3F, 0.1F, 4.4F}, {0.99, 0.2}));
  CHECK(
      message_of(
          [&] {
            check({4.0F, 0.0F, 3.0F});
          },
          ErrorCode::kBadModel) ==
      "m.vsm.pt: golden pair 1 of 2 does not match: cosine 0.96000 (at least 0.99990 is "
      "needed), "
      "1.000 times as long. The preprocessing in the manifest, the weights or a numeric library is "
      "not what the package was made with; make the package again, or load it with "
      "EncoderOptions::verify = false to use it as it is");
  CHECK_THAT(message_of(
                 [&] {
                   check({3.3F, 0.0F, 4.4F});
                 },
                 ErrorCode::kBadModel),
             Catch::Contains("1.100 times as long"));
  CHECK_THAT(message_of(
                 [&] {
                   check({0.0F, 0.0F, 0.0F});
                 },
                 ErrorCode::kBadModel),
             Catch::Contains("cosine 0.00000"));
}

TEST_CASE("the resize step rounds as the format says") {
  Preprocessing p;  // shortest edge to 256
  CHECK(resized_size(p, {640, 480}, "a") == Size{341, 256});
  CHECK(resized_size(p, {480, 640}, "a") == Size{256, 341});
  CHECK(resized_size(p, {100, 100}, "a") == Size{256, 256});
  p.resize_edge = vsearch::ResizeEdge::kStretch;
  p.resize_width_px = 300;
  CHECK(resized_size(p, {10, 5000}, "a") == Size{300, 256});
  p.resize_edge = vsearch::ResizeEdge::kNone;
  CHECK(resized_size(p, {300, 5000}, "a") == Size{300, 5000});
}

TEST_CASE("a model that does not resize takes pictures of the right size only") {
  Preprocessing p;  // 224 x 224
  p.resize_edge = vsearch::ResizeEdge::kNone;
  const auto message = [&p](Size size) {
    return message_of([&] { resized_size(p, size, "a.jpg"); }, ErrorCode::kBadImage);
  };
  CHECK(message({224, 223}) ==
        "a.jpg: 224 x 223 pixels, but the model takes 224 x 224 and does not resize; scale the "
        "picture first");
  CHECK(message({225, 224}) == "no error");
  p.centre_crop = false;
  CHECK_THAT(message({225, 224}), Catch::StartsWith("a.jpg: 225 x 224 pixels, but"));
  CHECK(message({224, 224}) == "no error");
}

TEST_CASE("a picture too long to resize is an error and takes no memory") {
  CHECK(message_of(
            [] {
              resized_size(Preprocessing{}, {1, 65535}, "picture 3");
            },
            ErrorCode::kBadImage) ==
        "picture 3: 1 x 65535 pixels are too long and narrow to resize; cut the picture");
}

TEST_CASE("preprocessing that cannot be followed is found") {
  CHECK(find_fault(Preprocessing{}).empty());
  Preprocessing p;
  p.width_px = 0;
  CHECK_THAT(find_fault(p), Catch::StartsWith("the input of 0 x 224 pixels"));
  p = {};
  p.centre_crop = false;
  CHECK_THAT(find_fault(p), Catch::Contains("there is no crop"));
  p = {};
  p.stddev[2] = 0;
  CHECK(find_fault(p) == "std[2] is 0");
  p = {};
  p.mean[0] = std::numeric_limits<float>::quiet_NaN();
  CHECK(find_fault(p) == "mean[0] is not a finite number");
}

TEST_CASE("find_encoder looks for a path, then in the folders") {
  vsearch_test::TempDir dir;
  fs::create_directories(dir / "a");
  fs::create_directories(dir / "b");
  std::ofstream(dir / "b/shoes.vsm.pt") << "x";
  std::ofstream(dir / "direct.pt") << "x";
  CHECK(vsearch::find_encoder((dir / "direct.pt").string()) == dir / "direct.pt");
  const ModelPath path((dir / "a").string() + "::" + (dir / "b").string());
  CHECK(vsearch::find_encoder("shoes") == dir / "b/shoes.vsm.pt");
  std::ofstream(dir / "a/shoes.vsm.pt") << "x";
  CHECK(vsearch::find_encoder("shoes") == dir / "a/shoes.vsm.pt");
}

TEST_CASE("find_encoder looks in the user's own folder") {
  vsearch_test::TempDir dir;
  const std::string home = (dir / "home").string();
  const Variable home_variable("HOME", home.c_str());
  const fs::path own = dir / "home/.local/share/vsearch/models";
  fs::create_directories(own);
  std::ofstream(own / "shoes.vsm.pt") << "x";
  {
    const Variable data("XDG_DATA_HOME", nullptr);
    CHECK(vsearch::find_encoder("shoes") == own / "shoes.vsm.pt");
    CHECK(vsearch::user_model_folder() == own);
    const Variable no_home("HOME", nullptr);
    CHECK(vsearch::user_model_folder().empty());
  }
  {
    const Variable relative("XDG_DATA_HOME", "data");
    CHECK(vsearch::user_model_folder() == own);
  }
  const std::string data_home = (dir / "data").string();
  const Variable data("XDG_DATA_HOME", data_home.c_str());
  CHECK(vsearch::user_model_folder() == dir / "data/vsearch/models");
  CHECK_THROWS_AS(vsearch::find_encoder("shoes"), vsearch::Error);
  const ModelPath path(":" + (dir / "a").string() + ":b");
  CHECK(vsearch::user_model_folder() == dir / "a");
}

TEST_CASE("encoder_reference keeps a name and makes a path absolute") {
  vsearch_test::TempDir dir;
  const fs::path path = dir / "shoes.vsm.pt";
  std::ofstream(path) << "x";
  const ModelPath folder(dir.path().string());
  CHECK(vsearch::encoder_reference("shoes") == "shoes");
  const fs::path reference = vsearch::encoder_reference(fs::relative(path).string());
  CHECK(reference.is_absolute());
  CHECK(fs::equivalent(reference, path));
}

TEST_CASE("find_encoder says where it looked and what to do") {
  vsearch_test::TempDir dir;
  const ModelPath path(dir.path().string());
  const auto message = [](const std::string& name) {
    return message_of([&] { vsearch::find_encoder(name); }, ErrorCode::kFileNotFound);
  };
  CHECK_THAT(message("nonesuch"),
             Catch::StartsWith("nonesuch: no file of this name and no nonesuch.vsm.pt in " +
                               dir.path().string() + ", ") &&
                 Catch::Contains("share/vsearch/models, ") &&
                 Catch::EndsWith("models; check the name, name a package file, or use the default "
                                 "encoder, efficientnet-lite0"));
  CHECK(message("no/such.vsm.pt") ==
        "no/such.vsm.pt: no such model file; check the path, or name the default encoder, "
        "efficientnet-lite0");
  CHECK_THAT(message(""), Catch::StartsWith("(an empty name): no such model file"));
  CHECK_THAT(message(dir.path().string()),
             Catch::StartsWith(dir.path().string() + ": a folder, not a model package"));
}
