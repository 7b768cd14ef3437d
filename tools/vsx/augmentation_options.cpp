#include "augmentation_options.h"

namespace vsx {

void add_augmentation_options(CLI::App* app, AugmentationOptions& options) {
  vsearch::Augmentation& change = options.change;
  app->add_flag("--no-crop", options.no_crop, "Pictures whole, not a random part of each");
  app->add_flag("--no-flip", options.no_flip, "Left and right as they are, as for writing");
  app->add_option("--colour-jitter", change.colour_jitter,
                  "Largest change of brightness, contrast and saturation; 0: none")
      ->type_name("X")
      ->capture_default_str();
  app->add_option("--greyscale", change.greyscale, "How often without colour")
      ->type_name("SHARE")
      ->capture_default_str();
  app->add_option("--new-background", change.new_background,
                  "How often the background becomes another picture's")
      ->type_name("SHARE")
      ->capture_default_str();
  app->add_option("--erase", change.erase, "How often a rectangle becomes grey")
      ->type_name("SHARE")
      ->capture_default_str();
}

vsearch::Augmentation augmentation_of(const AugmentationOptions& options) {
  vsearch::Augmentation change = options.change;
  change.random_crop = !options.no_crop;
  change.flip = !options.no_flip;
  return change;
}

}  // namespace vsx
