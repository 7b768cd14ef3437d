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

}  // namespace

PictureColour colour_of(const Image& picture, const Mask& subject) {
  const Mask mask = resize(subject, picture.width_px, picture.height_px);
  MeanColour whole;
  MeanColour inside;
  for (std::size_t i = 0; i < mask.values.size(); ++i) {
    const Lab lab = to_lab(picture.pixels.data() + i * 3);
    whole.add(lab, 1.0);
    inside.add(lab, mask.values[i]);
  }
  return {whole.mean(), is_usable(subject) ? inside.mean() : whole.mean()};
}

std::vector<PictureColour> pool_colours(const AuditRun& run) {
  std::vector<PictureColour> result(run.pool().size());
  util::share(
      result.size(), std::max(1U, std::thread::hardware_concurrency()), [&](const auto& next) {
        while (const auto i = next()) {
          const std::uint32_t number = run.pool()[*i];
          const Image picture = run.small_picture(number, kColourPx);
          const DatasetPicture& about = run.part().pictures[number];
          result[*i] =
              colour_of(picture, about.mask.empty() ? subject_by_colour(picture)
                                                    : subject_by_mask(about, run.part().root));
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
