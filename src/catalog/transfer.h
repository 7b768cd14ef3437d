// Catalog::export_to and Catalog::import_from: a catalogue as files that other programs read.
// The format is described in docs/formats.md.
#pragma once

#include <filesystem>
#include <string_view>

#include "catalog/core.h"
#include "vsearch/catalog.h"

namespace vsearch::detail {

inline constexpr std::string_view kManifestFile = "manifest.json";
inline constexpr std::string_view kItemsFile = "items.jsonl";
inline constexpr std::string_view kEmbeddingsFile = "embeddings.npy";
inline constexpr std::string_view kTransferFormat = "libvsearch catalogue";
inline constexpr int kTransferVersion = 1;

// See Catalog. Hold some hundred items in memory.
ExportReport export_to(CatalogCore& core, const std::filesystem::path& path,
                       const Progress& progress);
AddReport import_from(CatalogCore& core, const std::filesystem::path& path,
                      const Progress& progress);

}  // namespace vsearch::detail
