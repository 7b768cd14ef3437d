// A picture of an item: where its file comes from, which part of it counts, and how one tells that
// it is the same.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/store.h"
#include "vsearch/catalog.h"
#include "vsearch/crop.h"
#include "vsearch/image.h"

namespace vsearch::detail {

// Whether a picture's path is a URI: "https://...".
bool is_uri(std::string_view path);

// The size and time of the file; nothing if it is a URI or there is no such file.
std::optional<db::FileStamp> stamp_of(const std::string& path);

// The file at `path`, or what `fetch` brings for a URI. Throws kFileNotFound, kIo, kBadImage (too
// large), kUnavailable (a URI, and nothing to fetch it with).
std::vector<std::byte> read_picture_file(const std::string& path, const Fetch& fetch);

// As the store keeps it: empty for the whole picture.
std::string crop_text(const CropBox& crop);
// Throws kCorrupt for what crop_text() does not write.
CropBox parse_crop(std::string_view text, const std::filesystem::path& store);

// Why a crop makes no sense, or an empty text.
std::string crop_problem(const CropBox& crop);

// How to decode a picture of which only a part is wanted: the part is to be as large as the whole
// would have been.
DecodeOptions for_crop(DecodeOptions options, const CropBox& crop);

// The part, of at least a pixel; borrows from `image`.
ImageView cropped(const Image& image, const CropBox& crop);

}  // namespace vsearch::detail
