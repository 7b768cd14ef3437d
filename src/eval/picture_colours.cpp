#include "eval/picture_colours.h"

#include <algorithm>
#include <array>
#include <thread>

#include "eval/saliency.h"
#include "util/parallel.h"

namespace vsearch::eval {
namespace {

constexpr std::uint32_t kColourPx = 96;  // the means of a small picture are those of the large one

class MeanColour {
 public:
  void add(const Lab& lab, double weight) {
    sum_[0] += weight * lab.lightness;
    sum_[1] += weight * lab.a;
    sum_[2] += weight * lab.b;
    weight_ += weight;
  }
  Lab mean() const {
    return {static_cast<float>(sum_[0] / weight_), static_cast<float>(sum_[1] / weight_),
            static_cast<float>(sum_[2] / weight_)};
  }

 private:
  std::array<double, 3> sum_{};
  double weight_ = 0;
};

PictureColour colour_of(const Image& picture) {
  const Mask mask = subject_by_colour(picture);
  const Mask subject = resize(mask, picture.width_px, picture.height_px);
  MeanColour whole;
  MeanColour inside;
  for (std::size_t i = 0; i < subject.values.size(); ++i) {
    const Lab lab = to_lab(picture.pixels.data() + i * 3);
    whole.add(lab, 1.0);
    inside.add(lab, subject.values[i]);
  }
  return {whole.mean(), is_usable(mask) ? inside.mean() : whole.mean()};
}

}  // namespace

std::vector<PictureColour> pool_colours(const AuditRun& run) {
  std::vector<PictureColour> result(run.pool().size());
  util::share(result.size(), std::max(1U, std::thread::hardware_concurrency()),
              [&](const auto& next) {
                while (const auto i = next()) {
                  result[*i] = colour_of(run.small_picture(run.pool()[*i], kColourPx));
                }
              });
  return result;
}

Matrix colour_features(const std::vector<PictureColour>& colours) {
  Matrix features(colours.size(), 18);
  for (std::size_t i = 0; i < colours.size(); ++i) {
    auto out = features.row(i).begin();
    for (const Lab& lab : {colours[i].whole, colours[i].subject}) {
      // About as large as each other, so that one penalty suits all.
      const std::array<float, 3> channels{lab.lightness / 50.0F - 1.0F, lab.a / 50.0F,
                                          lab.b / 50.0F};
      out = std::ranges::copy(channels, out).out;
      for (std::size_t a = 0; a < 3; ++a) {
        for (std::size_t b = a; b < 3; ++b) *out++ = channels[a] * channels[b];
      }
    }
  }
  return features;
}

Matrix whole_colours(const std::vector<PictureColour>& colours) {
  Matrix result(colours.size(), 3);
  for (std::size_t i = 0; i < colours.size(); ++i) {
    const Lab& lab = colours[i].whole;
    std::ranges::copy(std::array{lab.lightness, lab.a, lab.b}, result.row(i).begin());
  }
  return result;
}

}  // namespace vsearch::eval
