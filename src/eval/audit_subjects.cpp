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
  return by_tokens ? "the encoder's own local tokens (first principal component)"
                   : "what stands out from the colours at the border (the encoder has no tokens)";
}

Subjects find_subjects(AuditRun& run) {
  Subjects subjects;
  subjects.masks.resize(run.queries().size());
  subjects.by_tokens = run.encoder().info().token_dim > 0;
  if (subjects.by_tokens) {
    run.each_tokens([&](std::size_t query, const Image& picture, std::span<const float> tokens,
                        std::uint32_t dim) {
      const auto mask = subject_by_tokens(tokens, dim, run.encoder().info().preprocessing,
                                          picture.width_px, picture.height_px);
      if (!mask) return;
      const Image small = shrink(picture.view(), kMaskPx);
      subjects.masks[query] = resize(*mask, small.width_px, small.height_px);
    });
    // Tokens that form no grid say nothing of where they are.
    subjects.by_tokens =
        std::ranges::any_of(subjects.masks, [](const Mask& mask) { return !mask.values.empty(); });
  }
  if (!subjects.by_tokens) {
    util::share(subjects.masks.size(), std::max(1U, std::thread::hardware_concurrency()),
                [&](const auto& next) {
                  while (const auto query = next()) {
                    subjects.masks[*query] =
                        subject_by_colour(run.small_picture(run.queries()[*query], kMaskPx));
                  }
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
