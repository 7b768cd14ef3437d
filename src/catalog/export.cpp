#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "catalog/new_folder.h"
#include "catalog/output_file.h"
#include "catalog/picture_file.h"
#include "catalog/transfer.h"
#include "util/utf8.h"

namespace vsearch::detail {
namespace {

using nlohmann::json;

// The header of a .npy file of version 1.0, of 128 bytes whatever it says:
// https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
std::string npy_header(std::uint64_t rows, std::uint32_t dim) {
  constexpr std::size_t kBytes = 128;
  std::string header("\x93NUMPY\x01\x00", 8);
  header += static_cast<char>(kBytes - 10);
  header += '\0';
  header +=
      fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}", rows, dim);
  header.resize(kBytes - 1, ' ');
  header += '\n';
  return header;
}

class Exporting {
 public:
  Exporting(CatalogCore& core, const std::filesystem::path& folder, const Progress& progress)
      : core_(core),
        folder_(folder),
        progress_(progress),
        edition_(core.in_store([](db::Store& store) { return store.serving(); })),
        items_(folder / kItemsFile),
        embeddings_(folder / kEmbeddingsFile) {}

  // Nothing if another edition has begun to serve meanwhile: then all must be done again.
  std::optional<ExportReport> run() {
    embeddings_.write(npy_header(0, edition_.dim));
    std::string after;
    while (true) {
      std::vector<db::StoredItem> items;
      std::vector<std::vector<float>> embeddings;  // of all their pictures
      bool still_serving = false;
      core_.in_store([&](db::Store& store) {
        still_serving = store.serving().id == edition_.id;
        if (!still_serving) return;
        total_ = store.item_count();
        items = store.items_after(after);
        for (const db::StoredItem& item : items) {
          for (const db::StoredPicture& picture : item.pictures) {
            embeddings.push_back(store.find_embedding(edition_, picture.id));
          }
        }
      });
      if (!still_serving) return std::nullopt;
      if (items.empty()) break;
      write(items, embeddings);
      after = items.back().key;
      go_on();
    }
    embeddings_.overwrite_begin(npy_header(rows_, edition_.dim));
    embeddings_.close();
    items_.close();
    write_manifest();
    return report_;
  }

 private:
  void write(std::span<const db::StoredItem> items,
             std::span<const std::vector<float>> embeddings) {
    for (const db::StoredItem& item : items) {
      const auto own = embeddings.first(item.pictures.size());
      embeddings = embeddings.subspan(item.pictures.size());
      items_.write(line_of(item, own));
      for (const std::vector<float>& embedding : own) {
        embeddings_.write(std::as_bytes(std::span(embedding)));
        if (!embedding.empty()) ++rows_;
      }
      ++report_.items;
      report_.pictures += own.size();
    }
  }

  std::string line_of(const db::StoredItem& item, std::span<const std::vector<float>> embeddings) {
    try {
      json pictures = json::array();
      for (std::size_t i = 0; i < item.pictures.size(); ++i) {
        pictures.push_back(picture_of(item.pictures[i], embeddings[i].empty()));
      }
      // json::parse() of what a tampered store holds throws.
      return json({{"key", item.key},
                   {"metadata", json::parse(item.metadata)},
                   {"pictures", std::move(pictures)}})
                 .dump() +
             "\n";
    } catch (const json::exception& e) {
      throw Error(ErrorCode::kCorrupt,
                  fmt::format("item {} of the catalogue {} is damaged ({}); remove it and add it "
                              "again",
                              util::shorten(item.key), core_.path().string(), e.what()));
    }
  }

  // What is not said is as in a picture that was given as an embedding alone.
  json picture_of(const db::StoredPicture& picture, bool without_embedding) const {
    json result = json::object();
    if (!picture.path.empty()) result["path"] = picture.path;
    if (!picture.role.empty()) result["role"] = picture.role;
    if (!picture.crop.empty()) {
      const CropBox crop = parse_crop(picture.crop, core_.path() / "catalog.db");
      result["crop"] = {crop.left, crop.top, crop.right, crop.bottom};
    }
    if (!picture.content_hash.empty()) result["content_hash"] = picture.content_hash;
    if (picture.stamp != db::FileStamp{}) {
      result["file_bytes"] = picture.stamp.bytes;
      result["file_mtime_ns"] = picture.stamp.mtime_ns;
    }
    if (without_embedding) result["embedding"] = false;
    return result;
  }

  void write_manifest() {
    const json manifest = {{"format", kTransferFormat},
                           {"version", kTransferVersion},
                           {"encoder", edition_.encoder_ref},
                           {"encoder_name", edition_.encoder_name},
                           {"encoder_fingerprint", edition_.encoder_fingerprint},
                           {"dim", edition_.dim},
                           {"metric", static_cast<std::uint32_t>(edition_.metric)},
                           {"items", report_.items},
                           {"pictures", report_.pictures},
                           {"embeddings", rows_}};
    OutputFile file(folder_ / kManifestFile);
    file.write(manifest.dump(2, ' ', false, json::error_handler_t::replace) + "\n");
    file.close();
  }

  void go_on() const {
    if (!progress_ || progress_(report_.items, std::max(total_, report_.items))) return;
    throw Error(ErrorCode::kCancelled, "the export was cancelled; nothing of it is left");
  }

  CatalogCore& core_;
  const std::filesystem::path& folder_;
  const Progress& progress_;
  const db::EditionHeader edition_;
  OutputFile items_;
  OutputFile embeddings_;
  ExportReport report_;
  std::uint64_t rows_ = 0;
  std::uint64_t total_ = 0;  // items
};

}  // namespace

ExportReport export_to(CatalogCore& core, const std::filesystem::path& path,
                       const Progress& progress) {
  std::optional<ExportReport> report;
  make_folder(path, "export to", [&](const std::filesystem::path& scratch) {
    while (!report) report = Exporting(core, scratch, progress).run();
  });
  return *report;
}

}  // namespace vsearch::detail
