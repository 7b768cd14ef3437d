// How the commands that train change pictures.
#pragma once

#include <CLI/CLI.hpp>

#include "vsearch/trainer.h"

namespace vsx {

struct AugmentationOptions {
  vsearch::Augmentation change;
  bool no_crop = false;
  bool no_flip = false;
};

// Declares --no-crop, --no-flip, --colour-jitter, --greyscale, --new-background and --erase.
void add_augmentation_options(CLI::App* app, AugmentationOptions& options);

vsearch::Augmentation augmentation_of(const AugmentationOptions& options);

}  // namespace vsx
