// Compiled without warnings, and with uninitialised variables filled with zeros (CMakeLists.txt): a
// palette index beyond the palette then gives black, the same every time.
#include "image/stb_library.h"

#include <cstdlib>

namespace {

struct BlockLimit {
  std::size_t largest_bytes = 0;
  bool exceeded = false;
};
thread_local BlockLimit block_limit;

bool allowed(std::size_t bytes) {
  if (bytes > block_limit.largest_bytes) block_limit.exceeded = true;
  return bytes <= block_limit.largest_bytes;
}
void* limited_malloc(std::size_t bytes) {
  return allowed(bytes) ? std::malloc(bytes) : nullptr;
}
void* limited_realloc(void* block, std::size_t bytes) {
  return allowed(bytes) ? std::realloc(block, bytes) : nullptr;
}

}  // namespace

#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_PNG
#define STBI_ONLY_GIF
#define STBI_ONLY_BMP
#define STBI_NO_STDIO
#define STBI_NO_LINEAR
#define STBI_NO_HDR
#define STBI_ASSERT(condition) ((void)0)  // a library must not abort its host
#define STBI_MALLOC(bytes) limited_malloc(bytes)
#define STBI_REALLOC(block, bytes) limited_realloc(block, bytes)
#define STBI_FREE(block) std::free(block)
#include <stb/stb_image.h>

namespace vsearch::image {

void FreeStbPixels::operator()(std::uint8_t* pixels) const {
  stbi_image_free(pixels);
}

StbPicture stb_decode(std::span<const std::byte> encoded, std::size_t largest_block_bytes) {
  block_limit = {largest_block_bytes, false};
  StbPicture picture;
  picture.pixels.reset(stbi_load_from_memory(reinterpret_cast<const stbi_uc*>(encoded.data()),
                                             static_cast<int>(encoded.size()), &picture.width_px,
                                             &picture.height_px, &picture.channels, 0));
  if (!picture.pixels) picture.failure = stbi_failure_reason();
  picture.needs_larger_block = block_limit.exceeded;
  return picture;
}

}  // namespace vsearch::image
