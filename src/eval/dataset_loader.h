// What load_dataset() is made of: one function for each published layout.
#pragma once

#include <filesystem>

#include "vsearch/dataset.h"

namespace vsearch::eval {

// Each reads the data set whose folder is `root`, or lies in `root` under the name its archive
// gives it. They throw as load_dataset() does.
using LoadDataset = Dataset(const std::filesystem::path& root, const DatasetOptions& options);
LoadDataset load_gpr1200;
LoadDataset load_sop;
LoadDataset load_inshop;
LoadDataset load_cub200;
LoadDataset load_cars196;
LoadDataset load_inaturalist;
LoadDataset load_roxford5k;
LoadDataset load_rparis6k;
LoadDataset load_gldv2;
LoadDataset load_instre;
LoadDataset load_grocery;
LoadDataset load_caltech101;
LoadDataset load_fashion;
LoadDataset load_csv;
LoadDataset load_folder;

// Whether `root` looks as if that function could read it, told by the names of a few files. None
// throws.
using FitsDataset = bool(const std::filesystem::path& root);
FitsDataset fits_gpr1200;
FitsDataset fits_sop;
FitsDataset fits_inshop;
FitsDataset fits_cub200;
FitsDataset fits_cars196;
FitsDataset fits_inaturalist;
FitsDataset fits_roxford5k;
FitsDataset fits_rparis6k;
FitsDataset fits_gldv2;
FitsDataset fits_instre;
FitsDataset fits_grocery;
FitsDataset fits_caltech101;
FitsDataset fits_fashion;
FitsDataset fits_csv;
FitsDataset fits_folder;

}  // namespace vsearch::eval
