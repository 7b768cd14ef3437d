#include "encoder/manifest.h"

#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <utility>

#include "encoder/preprocessing.h"
#include "vsearch/error.h"

namespace vsearch::encoder {
namespace {

using Json = nlohmann::json;

constexpr std::int64_t kFormatVersion = 1;
constexpr std::int64_t kMaxDim = 65536;
constexpr std::int64_t kMaxSidePx = 16384;

[[noreturn]] void throw_broken(const std::string& path, std::string_view fault) {
  throw Error(ErrorCode::kBadModel,
              fmt::format("{}: a broken manifest ({}): {}; make the package again with "
                          "python -m vsearch.export, see docs/models.md",
                          path, kManifestFile, fault));
}

// A value of the manifest that knows where it stands, so that every message can say it.
class Field {
 public:
  Field(const Json& value, std::string where, const std::string& path)
      : value_(value), where_(std::move(where)), path_(path) {}

  bool has(const char* key) const { return value_.is_object() && value_.contains(key); }

  Field at(const char* key) const {
    const std::string where = where_.empty() ? key : where_ + "." + key;
    if (!value_.is_object()) wrong("is not an object");
    const auto found = value_.find(key);
    if (found == value_.end()) throw_broken(path_, where + " is missing");
    return {*found, where, path_};
  }

  std::vector<Field> list() const {
    if (!value_.is_array()) wrong("is not a list");
    std::vector<Field> items;
    for (std::size_t i = 0; i < value_.size(); ++i) {
      items.emplace_back(value_[i], fmt::format("{}[{}]", where_, i), path_);
    }
    return items;
  }

  std::string text() const {
    if (!value_.is_string()) wrong("is not a text");
    return value_.get<std::string>();
  }

  std::int64_t integer(std::int64_t low, std::int64_t high) const {
    if (!value_.is_number_integer()) wrong("is not a whole number");
    // Values beyond an int64 would wrap around when read as one.
    const bool huge = value_.is_number_unsigned() && value_.get<std::uint64_t>() > INT64_MAX;
    const std::int64_t value = huge ? INT64_MAX : value_.get<std::int64_t>();
    if (huge || value < low || value > high) {
      wrong(fmt::format("is {}, not within {} to {}", value_.dump(), low, high));
    }
    return value;
  }
  std::uint32_t size(std::int64_t high) const {
    return static_cast<std::uint32_t>(integer(1, high));
  }

  float number() const {
    if (!value_.is_number()) wrong("is not a number");
    const float value = value_.get<float>();
    if (!std::isfinite(value)) wrong("is not a finite number");
    return value;
  }

  bool boolean() const {
    if (!value_.is_boolean()) wrong("is neither true nor false");
    return value_.get<bool>();
  }

  // The value that stands for this text.
  template <class Value>
  Value one_of(std::initializer_list<std::pair<const char*, Value>> choices) const {
    const std::string given = text();
    std::string allowed;
    for (const auto& [name, value] : choices) {
      if (given == name) return value;
      allowed += (allowed.empty() ? "\"" : ", \"") + std::string(name) + "\"";
    }
    wrong(fmt::format("is \"{}\", not one of {}", given, allowed));
  }

  [[noreturn]] void wrong(std::string_view fault) const {
    throw_broken(path_, (where_.empty() ? "the manifest" : where_) + " " + std::string(fault));
  }

 private:
  const Json& value_;
  std::string where_;
  const std::string& path_;
};

Json parse_json(std::string_view text, const std::string& path) {
  // Writing a value out again is recursive, so its depth is bounded; a manifest has 4 levels.
  constexpr int kMaxDepth = 32;
  const auto check_depth = [&path](int depth, Json::parse_event_t, Json&) {
    if (depth > kMaxDepth) throw_broken(path, "its values are nested too deeply");
    return true;
  };
  try {
    return Json::parse(text, check_depth);
  } catch (const Json::exception&) {
    throw_broken(path, "it is not JSON");
  }
}

// Every number with a fraction or an exponent becomes a text of its bits: libraries do not agree on
// how to print a double.
void make_exact(Json& value) {
  if (value.is_number_float()) {
    value = fmt::format("f64:{:016x}", std::bit_cast<std::uint64_t>(value.get<double>()));
  } else if (value.is_structured()) {
    for (Json& inner : value) make_exact(inner);
  }
}

void read_resize(const Field& resize, Preprocessing& preprocessing) {
  preprocessing.resize_edge =
      resize.at("edge").one_of<ResizeEdge>({{"shortest", ResizeEdge::kShortest},
                                            {"stretch", ResizeEdge::kStretch},
                                            {"none", ResizeEdge::kNone}});
  if (preprocessing.resize_edge == ResizeEdge::kNone) {
    preprocessing.resize_width_px = preprocessing.width_px;
    preprocessing.resize_height_px = preprocessing.height_px;
    return;
  }
  preprocessing.interpolation =
      resize.at("interpolation")
          .one_of<Interpolation>(
              {{"bicubic", Interpolation::kBicubic}, {"bilinear", Interpolation::kBilinear}});
  const Field size = resize.at("size");
  if (preprocessing.resize_edge == ResizeEdge::kShortest) {
    preprocessing.resize_height_px = size.size(kMaxSidePx);
    preprocessing.resize_width_px = preprocessing.resize_height_px;
    return;
  }
  const std::vector<Field> sides = size.list();
  if (sides.size() != 2) size.wrong("is not [height, width]");
  preprocessing.resize_height_px = sides[0].size(kMaxSidePx);
  preprocessing.resize_width_px = sides[1].size(kMaxSidePx);
}

std::array<float, 3> read_channels(const Field& field) {
  const std::vector<Field> items = field.list();
  if (items.size() != 3) field.wrong(fmt::format("has {} numbers, not 3", items.size()));
  return {items[0].number(), items[1].number(), items[2].number()};
}

Preprocessing read_input(const Field& input) {
  Preprocessing result;
  result.width_px = input.at("width").size(kMaxSidePx);
  result.height_px = input.at("height").size(kMaxSidePx);
  read_resize(input.at("resize"), result);
  result.centre_crop = input.at("crop").one_of<bool>({{"center", true}, {"none", false}});
  result.mean = read_channels(input.at("mean"));
  result.stddev = read_channels(input.at("std"));
  result.colour_order =
      input.at("colour_order")
          .one_of<ColourOrder>({{"rgb", ColourOrder::kRgb}, {"bgr", ColourOrder::kBgr}});
  const std::string fault = find_fault(result);
  if (!fault.empty()) input.wrong("cannot be followed: " + fault);
  return result;
}

std::vector<float> read_embedding(const Field& field, std::uint32_t dim) {
  std::vector<float> embedding;
  double squares = 0;
  for (const Field& number : field.list()) {
    embedding.push_back(number.number());
    squares += double{embedding.back()} * double{embedding.back()};
  }
  if (embedding.size() != dim) {
    field.wrong(fmt::format("has {} numbers, but dim is {}", embedding.size(), dim));
  }
  if (squares == 0) field.wrong("is a zero vector");
  return embedding;
}

std::vector<GoldenPair> read_golden(const Field& golden, const EncoderInfo& info) {
  constexpr std::size_t kMinPairs = 2;
  constexpr std::int64_t kMaxGoldenSidePx = 4096;
  std::vector<GoldenPair> pairs;
  for (const Field& item : golden.list()) {
    GoldenPair pair;
    pair.width_px = item.at("width").size(kMaxGoldenSidePx);
    pair.height_px = item.at("height").size(kMaxGoldenSidePx);
    try {
      resized_size(info.preprocessing, {pair.width_px, pair.height_px}, "its picture");
    } catch (const Error& error) {
      item.wrong(std::string("cannot be computed: ") + error.what());
    }
    pair.seed = static_cast<std::uint64_t>(item.at("seed").integer(0, INT32_MAX));
    pair.embedding = read_embedding(item.at("embedding"), info.dim);
    pairs.push_back(std::move(pair));
  }
  if (pairs.size() < kMinPairs) golden.wrong("has fewer than 2 golden pairs");
  return pairs;
}

std::vector<GoldenText> read_golden_text(const Field& golden, const EncoderInfo& info) {
  std::vector<GoldenText> texts;
  for (const Field& item : golden.list()) {
    texts.push_back({item.at("text").text(), read_embedding(item.at("embedding"), info.dim)});
  }
  if (texts.empty()) golden.wrong("has no text");
  return texts;
}

std::vector<FastForm> read_fast(const Field& fast) {
  std::vector<FastForm> forms;
  for (const Precision precision : {Precision::kFloat32, Precision::kBFloat16, Precision::kInt8}) {
    const std::string name(precision_name(precision));
    if (!fast.has(name.c_str())) continue;
    const Field min_cosine = fast.at(name.c_str()).at("min_cosine");
    const float value = min_cosine.number();
    if (value < 0 || value > 1) min_cosine.wrong(fmt::format("is {}, not within 0 to 1", value));
    forms.push_back({precision, value});
  }
  return forms;
}

}  // namespace

Manifest parse_manifest(std::string_view text, const std::string& path) {
  Json json = parse_json(text, path);
  const Field root(json, "", path);
  const Field version = root.at("format_version");
  if (version.integer(0, INT32_MAX) != kFormatVersion) {
    throw Error(
        ErrorCode::kBadModel,
        fmt::format("{}: a package of format version {}, but this library reads version {}; "
                    "update the library or make the package again with "
                    "python -m vsearch.export",
                    path, version.integer(0, INT32_MAX), kFormatVersion));
  }
  Manifest manifest;
  EncoderInfo& info = manifest.info;
  info.name = root.at("name").text();
  info.license = root.at("license").text();
  info.source = root.at("source").text();
  root.at("architecture").text();
  info.dim = root.at("dim").size(kMaxDim);
  info.metric = root.at("metric").one_of<Metric>(
      {{"cosine", Metric::kCosine}, {"inner_product", Metric::kInnerProduct}, {"l2", Metric::kL2}});
  info.preprocessing = read_input(root.at("input"));
  const Field outputs = root.at("outputs");
  const Field embedding = outputs.at("embedding");
  if (embedding.size(kMaxDim) != info.dim) {
    embedding.wrong(fmt::format("is {}, but dim is {}", embedding.size(kMaxDim), info.dim));
  }
  if (outputs.has("tokens")) info.token_dim = outputs.at("tokens").size(kMaxDim);
  info.has_text = root.at("text").boolean();
  if (root.has("image_of")) info.image_of = root.at("image_of").text();
  manifest.golden = read_golden(root.at("golden"), info);
  if (info.has_text) manifest.golden_text = read_golden_text(root.at("golden_text"), info);
  if (root.has("fast")) manifest.fast = read_fast(root.at("fast"));
  for (const FastForm& form : manifest.fast) info.fast_forms.push_back(form.precision);

  // What is derived from the rest.
  for (const char* const key : {"golden", "golden_text", "fast"}) json.erase(key);
  make_exact(json);
  manifest.canonical = json.dump();
  return manifest;
}

std::string canonical_text(const Preprocessing& p) {
  const char* const edges[] = {"shortest", "stretch", "none"};
  Json json = {{"width", p.width_px},
               {"height", p.height_px},
               {"edge", edges[static_cast<int>(p.resize_edge)]},
               {"crop", p.centre_crop},
               {"mean", p.mean},
               {"std", p.stddev},
               {"bgr", p.colour_order == ColourOrder::kBgr}};
  // Only what has a meaning: two descriptions of the same steps have the same fingerprint.
  if (p.resize_edge != ResizeEdge::kNone) {
    json["bicubic"] = p.interpolation == Interpolation::kBicubic;
    json["resize_height"] = p.resize_height_px;
  }
  if (p.resize_edge == ResizeEdge::kStretch) json["resize_width"] = p.resize_width_px;
  make_exact(json);
  return json.dump();
}

}  // namespace vsearch::encoder
