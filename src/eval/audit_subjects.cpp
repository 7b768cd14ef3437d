#include <fmt/format.h>

#include <algorithm>
#include <thread>

#include "eval/audit_findings.h"
#include "eval/saliency.h"
#include "util/parallel.h"

namespace vsearch::eval {
namespace {

constexpr std::uint32_t kMaskPx = 96;  // masks are kept in this size

}  // namespace

std::optional<Mask> Subjects::of(std::size_t query, const Image& picture) const {
  if (masks[query].values.empty()) return std::nullopt;
  return resize(masks[query], picture.width_px, picture.height_px);
}

std::string Subjects::how() const {
  const std::string others =
      by_tokens ? "the encoder's own local tokens (first principal component)"
                : "what stands out from the colours at the border (the encoder has no tokens)";
  if (own == 0) return others;
  if (own == masks.size()) return "the data set's own masks";
  return fmt::format("the data set's own masks where there are any ({} of {} queries), else by {}",
                     own, masks.size(), others);
}

Subjects find_subjects(AuditRun& run) {
  Subjects subjects;
  const std::size_t count = run.queries().size();
  subjects.masks.resize(count);
  const auto picture_of = [&](std::size_t query) -> const DatasetPicture& {
    return run.part().pictures[run.queries()[query]];
  };
  const auto has_own = [&](std::size_t query) { return !picture_of(query).mask.empty(); };
  const auto each = [&](const auto& find) {  // on several threads
    util::share(count, std::max(1U, std::thread::hardware_concurrency()), [&](const auto& next) {
      while (const auto query = next()) find(*query);
    });
  };
  each([&](std::size_t query) {
    if (has_own(query)) {
      subjects.masks[query] = subject_by_mask(picture_of(query), run.part().root);
    }
  });
  for (std::size_t query = 0; query < count; ++query) subjects.own += has_own(query) ? 1 : 0;
  const bool has_tokens = run.encoder().info().token_dim > 0;
  if (has_tokens && subjects.own == count) run.skip_forms(1);
  if (has_tokens && subjects.own < count) {
    run.each_tokens([&](std::size_t query, const Image& picture, std::span<const float> tokens,
                        std::uint32_t dim) {
      if (has_own(query)) return;
      const auto mask = subject_by_tokens(tokens, dim, run.encoder().info().preprocessing,
                                          picture.width_px, picture.height_px);
      if (!mask) return;
      const Image small = shrink(picture.view(), kMaskPx);
      subjects.masks[query] = resize(*mask, small.width_px, small.height_px);
      subjects.by_tokens = true;  // else tokens form no grid, and say nothing of where they are
    });
  }
  if (!subjects.by_tokens) {
    each([&](std::size_t query) {
      if (has_own(query)) return;
      subjects.masks[query] = subject_by_colour(run.small_picture(run.queries()[query], kMaskPx));
    });
  }
  for (Mask& mask : subjects.masks) {
    if (!mask.values.empty() && is_usable(mask)) {
      ++subjects.found;
    } else {
      mask = {};
    }
  }
  return subjects;
}

}  // namespace vsearch::eval
