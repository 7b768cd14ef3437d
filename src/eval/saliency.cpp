#include "eval/saliency.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <vector>

#include "catalog/picture_file.h"
#include "encoder/preprocessing.h"
#include "eval/lab.h"
#include "eval/picture_size.h"
#include "vsearch/error.h"

namespace vsearch::eval {
namespace {

constexpr std::uint32_t kSide = 96;        // what subjects are looked for in
constexpr std::size_t kBorderColours = 4;  // a shelf, a floor, a shadow, a wall
constexpr double kLeastShare = 0.02;       // of the picture: below, what was found may be a speck
constexpr double kGreatestShare = 0.85;    // above, there is no background to speak of

// The threshold that splits values in [0, 1] best into two groups (Otsu, IEEE SMC 1979).
float split_of(std::span<const float> values) {
  constexpr std::size_t kBins = 64;
  std::array<double, kBins> counts{};
  for (const float value : values) {
    const auto bin = static_cast<std::size_t>(std::clamp(value, 0.0F, 1.0F) * (kBins - 1));
    counts[bin] += 1.0;
  }
  double sum = 0;
  for (std::size_t i = 0; i < kBins; ++i) sum += static_cast<double>(i) * counts[i];
  const auto total = static_cast<double>(values.size());
  double below = 0;
  double below_sum = 0;
  double best = -1;
  std::size_t split = 0;
  for (std::size_t i = 0; i + 1 < kBins; ++i) {
    below += counts[i];
    below_sum += static_cast<double>(i) * counts[i];
    if (below == 0 || below == total) continue;
    const double difference = below_sum / below - (sum - below_sum) / (total - below);
    const double between = below * (total - below) * difference * difference;
    if (between > best) {
      best = between;
      split = i;
    }
  }
  return (static_cast<float>(split) + 1.0F) / (kBins - 1);
}

void scale_to_one(std::vector<float>& values) {
  const auto [low, high] = std::ranges::minmax(values);
  const float range = high > low ? high - low : 1.0F;
  for (float& value : values) value = (value - low) / range;
}

// The k-means of the colours at the border, from starts that are spread over them.
std::vector<Lab> main_colours(const std::vector<Lab>& colours) {
  std::vector<Lab> centres{colours.front()};
  const auto nearest = [&](const Lab& colour) {
    return std::ranges::min_element(centres, {},
                                    [&](const Lab& centre) { return distance(centre, colour); });
  };
  while (centres.size() < kBorderColours) {
    const auto farthest = std::ranges::max_element(
        colours, {}, [&](const Lab& colour) { return distance(*nearest(colour), colour); });
    centres.push_back(*farthest);
  }
  for (int round = 0; round < 8; ++round) {
    std::vector<Lab> sums(centres.size());
    std::vector<float> counts(centres.size());
    for (const Lab& colour : colours) {
      const auto i = static_cast<std::size_t>(nearest(colour) - centres.begin());
      sums[i].lightness += colour.lightness;
      sums[i].a += colour.a;
      sums[i].b += colour.b;
      counts[i] += 1.0F;
    }
    for (std::size_t i = 0; i < centres.size(); ++i) {
      if (counts[i] == 0) continue;
      centres[i] = {sums[i].lightness / counts[i], sums[i].a / counts[i], sums[i].b / counts[i]};
    }
  }
  return centres;
}

// Takes out parts that do not hang together with the largest and are much smaller.
void drop_specks(std::vector<char>& inside, std::uint32_t width, std::uint32_t height) {
  constexpr double kSpeck = 0.2;  // of the largest part
  std::vector<std::uint32_t> part_of(inside.size(), 0);
  std::vector<std::size_t> sizes{0};
  std::vector<std::size_t> open;
  for (std::size_t start = 0; start < inside.size(); ++start) {
    if (inside[start] == 0 || part_of[start] != 0) continue;
    const auto part = static_cast<std::uint32_t>(sizes.size());
    sizes.push_back(0);
    open.push_back(start);
    part_of[start] = part;
    while (!open.empty()) {
      const std::size_t at = open.back();
      open.pop_back();
      ++sizes[part];
      const auto visit = [&](std::size_t next) {
        if (inside[next] == 0 || part_of[next] != 0) return;
        part_of[next] = part;
        open.push_back(next);
      };
      if (at % width > 0) visit(at - 1);
      if (at % width + 1 < width) visit(at + 1);
      if (at >= width) visit(at - width);
      if (at / width + 1 < height) visit(at + width);
    }
  }
  const auto largest = static_cast<double>(std::ranges::max(sizes));
  for (std::size_t i = 0; i < inside.size(); ++i) {
    if (static_cast<double>(sizes[part_of[i]]) < kSpeck * largest) inside[i] = 0;
  }
}

// 0 and 1 with a rim of a pixel between.
Mask soft_mask(const std::vector<char>& inside, std::uint32_t width, std::uint32_t height) {
  Mask result(width, height);
  const auto at = [&](std::int64_t x, std::int64_t y) {
    const auto cx = static_cast<std::size_t>(std::clamp<std::int64_t>(x, 0, width - 1));
    const auto cy = static_cast<std::size_t>(std::clamp<std::int64_t>(y, 0, height - 1));
    return static_cast<float>(inside[cy * width + cx]);
  };
  for (std::int64_t y = 0; y < height; ++y) {
    for (std::int64_t x = 0; x < width; ++x) {
      // The pixel itself counts as much as its neighbours, so that nothing thin is lost.
      const float around = (at(x - 1, y) + at(x + 1, y) + at(x, y - 1) + at(x, y + 1)) / 4;
      result.values[static_cast<std::size_t>(y * width + x)] = std::max(at(x, y), around * 0.5F);
    }
  }
  return result;
}

// The part of a picture that a network sees, in shares of its sides.
std::array<double, 2> seen_shares(const Preprocessing& p, std::uint32_t width_px,
                                  std::uint32_t height_px) {
  if (!p.centre_crop) return {1.0, 1.0};
  const encoder::Size resized = encoder::resized_size(p, {width_px, height_px}, "a picture");
  return {static_cast<double>(p.width_px) / resized.width_px,
          static_cast<double>(p.height_px) / resized.height_px};
}

// The first principal component of rows, by power iteration: the score of each row.
std::vector<float> first_component(std::span<const float> rows, std::size_t count,
                                   std::size_t dim) {
  std::vector<float> mean(dim);
  for (std::size_t i = 0; i < rows.size(); ++i)
    mean[i % dim] += rows[i] / static_cast<float>(count);
  std::vector<float> centred(rows.begin(), rows.end());
  for (std::size_t i = 0; i < centred.size(); ++i) centred[i] -= mean[i % dim];
  // A start that is hardly ever at right angles to the answer: the row farthest from the mean.
  std::size_t farthest = 0;
  double longest = -1;
  for (std::size_t r = 0; r < count; ++r) {
    const auto row = std::span(centred).subspan(r * dim, dim);
    const double length = std::inner_product(row.begin(), row.end(), row.begin(), 0.0);
    if (length > longest) {
      longest = length;
      farthest = r;
    }
  }
  std::vector<float> axis(centred.begin() + static_cast<std::ptrdiff_t>(farthest * dim),
                          centred.begin() + static_cast<std::ptrdiff_t>((farthest + 1) * dim));
  std::vector<float> scores(count);
  for (int round = 0; round < 20; ++round) {
    const float length =
        std::sqrt(std::inner_product(axis.begin(), axis.end(), axis.begin(), 0.0F));
    if (length == 0) break;  // all rows are the same
    for (float& value : axis) value /= length;
    for (std::size_t r = 0; r < count; ++r) {
      scores[r] = std::inner_product(axis.begin(), axis.end(), &centred[r * dim], 0.0F);
    }
    std::ranges::fill(axis, 0.0F);
    for (std::size_t i = 0; i < centred.size(); ++i) axis[i % dim] += scores[i / dim] * centred[i];
  }
  return scores;
}

}  // namespace

Mask subject_by_mask(const DatasetPicture& picture, const std::filesystem::path& root) {
  const std::filesystem::path file = root / picture.mask;
  DecodeOptions options;
  options.background = {0, 0, 0};  // nothing is transparent within a subject
  Image mask = read_image(file, options);
  const PictureSize size = picture_size(root / picture.path);
  if (mask.width_px != size.width_px || mask.height_px != size.height_px) {
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format("the mask '{}' has {} x {} pixels, and its picture '{}' has {} x {} when "
                    "it stands upright: both must be of one size; make it again from the "
                    "picture, or take it out",
                    file.string(), mask.width_px, mask.height_px, picture.path, size.width_px,
                    size.height_px));
  }
  for (std::size_t i = 0; i < mask.pixels.size(); i += 3) {
    const std::uint8_t* const rgb = mask.pixels.data() + i;
    const int grey = (299 * rgb[0] + 587 * rgb[1] + 114 * rgb[2] + 500) / 1000;  // ITU-R BT.601
    const std::uint8_t value = grey >= 128 ? 255 : 0;
    std::fill_n(mask.pixels.begin() + static_cast<std::ptrdiff_t>(i), 3, value);
  }
  const Image small = shrink(detail::cropped(mask, picture.crop), kSide);
  Mask subject(small.width_px, small.height_px);
  for (std::size_t i = 0; i < subject.values.size(); ++i) {
    subject.values[i] = static_cast<float>(small.pixels[i * 3]) / 255.0F;
  }
  return subject;
}

Mask subject_by_colour(const Image& image) {
  const Image small = shrink(image.view(), kSide);
  const std::uint32_t width = small.width_px;
  const std::uint32_t height = small.height_px;
  const std::uint32_t rim = std::max(1U, std::min(width, height) / 16);
  const auto is_border = [&](std::uint32_t x, std::uint32_t y) {
    return x < rim || y < rim || x + rim >= width || y + rim >= height;
  };
  std::vector<Lab> colours;
  std::vector<Lab> border;
  for (std::uint32_t y = 0; y < height; ++y) {
    for (std::uint32_t x = 0; x < width; ++x) {
      colours.push_back(to_lab(small.pixels.data() + (std::size_t{y} * width + x) * 3));
      if (is_border(x, y)) border.push_back(colours.back());
    }
  }
  const std::vector<Lab> background = main_colours(border);

  std::vector<float> salience(colours.size());
  for (std::uint32_t y = 0; y < height; ++y) {
    for (std::uint32_t x = 0; x < width; ++x) {
      if (is_border(x, y)) continue;
      const std::size_t i = std::size_t{y} * width + x;
      float nearest = distance(background[0], colours[i]);
      for (const Lab& colour : background)
        nearest = std::min(nearest, distance(colour, colours[i]));
      const float dx = (static_cast<float>(x) + 0.5F) / static_cast<float>(width) - 0.5F;
      const float dy = (static_cast<float>(y) + 0.5F) / static_cast<float>(height) - 0.5F;
      constexpr float kPriorWidth = 0.4F;  // of a side: the corners count for a fifth
      salience[i] = nearest * std::exp(-(dx * dx + dy * dy) / (2 * kPriorWidth * kPriorWidth));
    }
  }
  constexpr float kNoticeable = 6.0F;  // of L*a*b*: what is less different is not seen as a subject
  const bool is_plain = std::ranges::max(salience) < kNoticeable;
  scale_to_one(salience);
  const float split = split_of(salience);
  std::vector<char> inside(salience.size());
  for (std::size_t i = 0; i < salience.size(); ++i) inside[i] = !is_plain && salience[i] > split;
  drop_specks(inside, width, height);
  return soft_mask(inside, width, height);
}

std::optional<Mask> subject_by_tokens(std::span<const float> tokens, std::uint32_t dim,
                                      const Preprocessing& preprocessing, std::uint32_t width_px,
                                      std::uint32_t height_px) {
  const std::size_t count = tokens.size() / dim;
  const double aspect =
      static_cast<double>(preprocessing.width_px) / std::max(1U, preprocessing.height_px);
  const auto columns =
      static_cast<std::uint32_t>(std::lround(std::sqrt(static_cast<double>(count) * aspect)));
  if (columns < 3 || count % columns != 0 || count / columns < 3) return std::nullopt;
  const auto rows = static_cast<std::uint32_t>(count / columns);

  std::vector<float> scores = first_component(tokens, count, dim);
  double border = 0;
  double middle = 0;
  std::size_t border_count = 0;
  for (std::uint32_t y = 0; y < rows; ++y) {
    for (std::uint32_t x = 0; x < columns; ++x) {
      const bool at_border = x == 0 || y == 0 || x + 1 == columns || y + 1 == rows;
      (at_border ? border : middle) += scores[std::size_t{y} * columns + x];
      border_count += at_border ? 1 : 0;
    }
  }
  if (border / static_cast<double>(border_count) >
      middle / static_cast<double>(count - border_count)) {
    for (float& score : scores) score = -score;
  }
  scale_to_one(scores);
  const float split = split_of(scores);
  std::vector<char> inside(scores.size());
  for (std::size_t i = 0; i < scores.size(); ++i) inside[i] = scores[i] > split;
  drop_specks(inside, columns, rows);
  Mask grid(columns, rows);
  std::ranges::copy(inside, grid.values.begin());

  const auto [across, down] = seen_shares(preprocessing, width_px, height_px);
  const auto seen = [](double share, std::uint32_t pixels) {
    return std::clamp(static_cast<std::uint32_t>(std::lround(share * pixels)), 1U, pixels);
  };
  const std::uint32_t seen_width = seen(across, width_px);
  const std::uint32_t seen_height = seen(down, height_px);
  const Mask part = resize(grid, seen_width, seen_height);
  Mask result(width_px, height_px);
  for (std::uint32_t y = 0; y < seen_height; ++y) {
    std::copy_n(part.values.begin() + std::ptrdiff_t{y} * seen_width, seen_width,
                result.values.begin() +
                    std::ptrdiff_t{y + (height_px - seen_height) / 2} * width_px +
                    (width_px - seen_width) / 2);
  }
  return result;
}

double subject_share(const Mask& mask) {
  return std::accumulate(mask.values.begin(), mask.values.end(), 0.0) /
         static_cast<double>(mask.values.size());
}

bool is_usable(const Mask& mask) {
  const double share = subject_share(mask);
  return share >= kLeastShare && share <= kGreatestShare;
}

}  // namespace vsearch::eval
