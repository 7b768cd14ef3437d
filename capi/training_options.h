// What the entries that train have in common.
#pragma once

#include <cstdint>

#include "options.h"
#include "vsearch/encoder.h"
#include "vsearch/trainer.h"
#include "vsearch_c.h"

namespace vsearch::capi {

// "augmentation" of the options. Throws as OptionReader does; so does the next.
void take_augmentation(OptionReader& options, Augmentation& augmentation);
// "precision", "device" and "device_index".
void take_device(OptionReader& options, Precision& precision, Device& device,
                 std::uint32_t& device_index);

TrainProgress to_train_progress(vsearch_train_progress callback, void* user);

}  // namespace vsearch::capi
