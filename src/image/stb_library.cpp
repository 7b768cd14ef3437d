// Compiled without warnings, and with uninitialised variables filled with zeros (CMakeLists.txt): a
// palette index beyond the palette then gives black, the same every time.
#include "image/stb_library.h"

#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_GIF
#define STBI_ONLY_BMP
#define STBI_NO_STDIO
#define STBI_NO_LINEAR
#define STBI_NO_HDR
#define STBI_ASSERT(condition) ((void)0)  // a library must not abort its host
#include <stb/stb_image.h>

namespace vsearch::image {

void FreeStbPixels::operator()(std::uint8_t* pixels) const {
  stbi_image_free(pixels);
}

StbPicture stb_decode(std::span<const std::byte> encoded) {
  StbPicture picture;
  picture.pixels.reset(stbi_load_from_memory(reinterpret_cast<const stbi_uc*>(encoded.data()),
                                             static_cast<int>(encoded.size()), &picture.width_px,
                                             &picture.height_px, &picture.channels, 0));
  if (!picture.pixels) picture.failure = stbi_failure_reason();
  return picture;
}

}  // namespace vsearch::image
