// What of the data set itself training keeps apart.
#pragma once

#include "vsearch/dataset.h"
#include "vsearch/trainer.h"

namespace vsearch::training {

// The pictures of measured_part() that are not learned from, to be encoded: without classes, fields
// and protocols. Throws what choose_pictures() throws about splits.
Dataset kept_apart_part(const Dataset& dataset, const TrainOptions& options);

}  // namespace vsearch::training
