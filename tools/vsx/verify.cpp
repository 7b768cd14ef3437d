#include "verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "commands.h"
#include "console.h"
#include "table.h"
#include "vsearch/encoder.h"
#include "vsearch/error.h"

namespace vsx {
namespace {

using vsearch::Precision;

// The picture of a golden pair: the formula of docs/models.md.
vsearch::Image golden_picture(std::uint32_t width, std::uint32_t height, std::uint64_t seed) {
  vsearch::Image image(width, height);
  auto pixel = image.pixels.begin();
  for (std::uint64_t y = 0; y < height; ++y) {
    for (std::uint64_t x = 0; x < width; ++x) {
      for (std::uint64_t c = 0; c < 3; ++c) {
        std::uint64_t v = ((x * x * (3 + c) + y * y * (5 + seed) + x * y * (2 + c * seed)) / 64 +
                           37 * c + 11 * seed) %
                          256;
        if (v > 127) v = 255 - v;
        *pixel++ = static_cast<std::uint8_t>(2 * v);
      }
    }
  }
  return image;
}

double cosine(std::span<const float> a, std::span<const float> b) {
  double ab = 0;
  double aa = 0;
  double bb = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    ab += double{a[i]} * b[i];
    aa += double{a[i]} * a[i];
    bb += double{b[i]} * b[i];
  }
  return ab / std::sqrt(aa * bb);
}

double median_ms(const vsearch::Encoder& encoder, const vsearch::Image& picture) {
  using Clock = std::chrono::steady_clock;
  constexpr std::size_t kLeast = 5;
  constexpr auto kEnough = std::chrono::milliseconds(500);
  const vsearch::ImageView view = picture.view();
  std::vector<double> passes;
  encoder.encode({&view, 1});  // the first is slow
  const Clock::time_point begin = Clock::now();
  while (passes.size() < kLeast || Clock::now() - begin < kEnough) {
    const Clock::time_point start = Clock::now();
    encoder.encode({&view, 1});
    passes.push_back(std::chrono::duration<double, std::milli>(Clock::now() - start).count());
  }
  std::ranges::nth_element(passes, passes.begin() + static_cast<std::ptrdiff_t>(passes.size() / 2));
  return passes[passes.size() / 2];
}

// What is to be verified: those that the package has special code for, and those that any has.
std::vector<Precision> precisions(const vsearch::EncoderInfo& info,
                                  const vsearch::EncoderOptions& options) {
  if (options.precision != Precision::kAuto) return {options.precision};
  if (options.device == vsearch::Device::kCuda) {
    return {Precision::kFloat32, Precision::kBFloat16, Precision::kFloat16};
  }
  std::vector<Precision> result{Precision::kFloat32};
  for (const Precision form : info.fast_forms) {
    if (form != Precision::kFloat32) result.push_back(form);
  }
  return result;
}

class Verification {
 public:
  Verification(std::filesystem::path path, const vsearch::EncoderOptions& options)
      : path_(std::move(path)), options_(options) {}

  int run() {
    vsearch::EncoderOptions plain = options_;
    plain.precision = Precision::kFloat32;
    plain.verify = false;
    const std::shared_ptr<vsearch::Encoder> reference = vsearch::load_encoder(path_, plain);
    draw_pictures(reference->info().preprocessing);
    reference_ = encode(*reference);
    for (const Precision precision : precisions(reference->info(), options_)) check(precision);
    print(table_.text());
    print(passed_ ? "PASS\n" : "FAIL\n");
    return passed_ ? kDone : kFailed;
  }

 private:
  void draw_pictures(const vsearch::Preprocessing& input) {
    const bool as_they_are = input.resize_edge == vsearch::ResizeEdge::kNone;
    for (const auto& [width, height, seed] : {std::tuple{320U, 240U, 1U}, {240U, 320U, 2U}}) {
      pictures_.push_back(as_they_are ? golden_picture(input.width_px, input.height_px, seed)
                                      : golden_picture(width, height, seed));
    }
  }

  vsearch::Matrix encode(const vsearch::Encoder& encoder) const {
    std::vector<vsearch::ImageView> views;
    for (const vsearch::Image& picture : pictures_) views.push_back(picture.view());
    return encoder.encode(views);
  }

  void check(Precision precision) {
    const std::string name(vsearch::precision_name(precision));
    vsearch::EncoderOptions wanted = options_;
    wanted.precision = precision;
    wanted.verify = true;
    try {
      const std::shared_ptr<vsearch::Encoder> encoder = vsearch::load_encoder(path_, wanted);
      const vsearch::Matrix embeddings = encode(*encoder);
      double least = 1;
      for (std::size_t i = 0; i < pictures_.size(); ++i) {
        least = std::min(least, cosine(embeddings.row(i), reference_.row(i)));
      }
      const double ms = median_ms(*encoder, pictures_.front());
      table_.add_row({name, fmt::format("{:.5f}", least), fmt::format("{:.1f}", ms),
                      rate_text(1000 / ms), "pass"});
    } catch (const vsearch::Error& error) {
      if (error.code() != vsearch::ErrorCode::kBadModel &&
          error.code() != vsearch::ErrorCode::kUnavailable) {
        throw;
      }
      say(error.what());
      table_.add_row({name, "-", "-", "-", "FAIL"});
      passed_ = false;
    }
  }

  std::filesystem::path path_;
  vsearch::EncoderOptions options_;
  std::vector<vsearch::Image> pictures_;
  vsearch::Matrix reference_;
  Table table_{{{"precision"}, {"cosine to fp32"}, {"ms a picture"}, {"at batch 1"}, {"golden"}}};
  bool passed_ = true;
};

}  // namespace

int verify_model(const std::string& name_or_path, const ModelOptions& options) {
  const vsearch::EncoderOptions wanted = encoder_options(options);
  return Verification(vsearch::find_encoder(name_or_path), wanted).run();
}

}  // namespace vsx
