#include "known_models.h"

#include <algorithm>
#include <array>

#include "vsearch/encoder.h"

namespace vsx {
namespace {

constexpr std::array kModels{
    KnownModel{vsearch::kDefaultEncoder, "", 384, 224, 3.8, "Apache-2.0", false},
    KnownModel{"dinov2-small", "facebook/dinov2-small", 384, 224, 22, "Apache-2.0", false},
    KnownModel{"dinov2-base", "facebook/dinov2-base", 768, 224, 86, "Apache-2.0", false},
    KnownModel{"dinov2-with-registers-small", "facebook/dinov2-with-registers-small", 384, 224, 22,
               "Apache-2.0", false},
    KnownModel{"dinov2-with-registers-base", "facebook/dinov2-with-registers-base", 768, 224, 86,
               "Apache-2.0", false},
    KnownModel{"clip-vit-base-patch32", "openai/clip-vit-base-patch32", 512, 224, 151, "MIT", true},
    KnownModel{"clip-vit-base-patch16", "openai/clip-vit-base-patch16", 512, 224, 150, "MIT", true},
    KnownModel{"clip-vit-large-patch14", "openai/clip-vit-large-patch14", 768, 224, 428, "MIT",
               true},
    KnownModel{"siglip-base-patch16-224", "google/siglip-base-patch16-224", 768, 224, 203,
               "Apache-2.0", true},
    KnownModel{"deit-tiny-patch16-224", "facebook/deit-tiny-patch16-224", 192, 224, 5.5,
               "Apache-2.0", false},
    KnownModel{"deit-small-patch16-224", "facebook/deit-small-patch16-224", 384, 224, 22,
               "Apache-2.0", false},
    KnownModel{"vit-base-patch16-224", "google/vit-base-patch16-224", 768, 224, 86, "Apache-2.0",
               false},
    KnownModel{"convnext-tiny-224", "facebook/convnext-tiny-224", 768, 224, 28, "Apache-2.0",
               false},
};

}  // namespace

std::span<const KnownModel> known_models() {
  return kModels;
}

const KnownModel* find_known_model(std::string_view name) {
  const auto* const found = std::ranges::find(kModels, name, &KnownModel::name);
  return found == kModels.end() ? nullptr : found;
}

}  // namespace vsx
