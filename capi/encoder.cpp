// The C interface to Encoder.
#include "vsearch/encoder.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "boundary.h"
#include "handles.h"
#include "vsearch/error.h"
#include "vsearch/image.h"

namespace capi = vsearch::capi;

namespace {

// How many decoded pictures encode_files() holds at a time.
constexpr std::size_t kFilesAtATime = 64;

void check_capacity(const vsearch::Encoder& encoder, std::size_t count, std::size_t capacity) {
  const std::size_t dim = encoder.info().dim;
  if (count > std::numeric_limits<std::size_t>::max() / dim || capacity < count * dim) {
    throw vsearch::Error(
        vsearch::ErrorCode::kInvalidArgument,
        fmt::format("embeddings holds {} floats, but {} embeddings of {} dimensions need more",
                    capacity, count, dim));
  }
}

void encode_into(const vsearch::Encoder& encoder, std::span<const vsearch::ImageView> images,
                 float* to) {
  const vsearch::Matrix rows = encoder.encode(images);
  std::copy(rows.data.begin(), rows.data.end(), to);
}

}  // namespace

vsearch_status vsearch_encoder_load(const char* name_or_path,
                                    const vsearch_encoder_options* options, vsearch_encoder** out,
                                    vsearch_error* error) {
  return capi::make_handle(out, error, [&] {
    const auto given = capi::read_options(options, "options");
    vsearch::EncoderOptions wanted;
    if (given.use_cuda != 0) wanted.device = vsearch::Device::kCuda;
    wanted.device_index = given.device_index;
    if (given.batch_size != 0) wanted.batch_size = given.batch_size;
    wanted.verify = given.skip_verify == 0;
    const auto path =
        vsearch::find_encoder(name_or_path != nullptr ? name_or_path : vsearch::kDefaultEncoder);
    return std::make_unique<vsearch_encoder>(vsearch_encoder{vsearch::load_encoder(path, wanted)});
  });
}

void vsearch_encoder_free(vsearch_encoder* encoder) {
  delete encoder;
}

uint32_t vsearch_encoder_dim(const vsearch_encoder* encoder) {
  return encoder != nullptr ? encoder->encoder->info().dim : 0;
}

const char* vsearch_encoder_name(const vsearch_encoder* encoder) {
  return encoder != nullptr ? encoder->encoder->info().name.c_str() : "";
}

const char* vsearch_encoder_fingerprint(const vsearch_encoder* encoder) {
  return encoder != nullptr ? encoder->encoder->info().fingerprint.c_str() : "";
}

vsearch_status vsearch_encoder_encode(const vsearch_encoder* encoder, const vsearch_image* images,
                                      size_t count, float* embeddings, size_t capacity,
                                      vsearch_error* error) {
  return capi::entry(error, [&] {
    capi::require(encoder, "encoder");
    if (count == 0) return;
    capi::require(images, "images");
    capi::require(embeddings, "embeddings");
    check_capacity(*encoder->encoder, count, capacity);
    std::vector<vsearch::ImageView> views;
    views.reserve(count);
    for (std::size_t i = 0; i < count; ++i) {
      views.push_back(capi::to_view(images[i], fmt::format("images[{}]", i)));
    }
    encode_into(*encoder->encoder, views, embeddings);
  });
}

vsearch_status vsearch_encoder_encode_files(const vsearch_encoder* encoder,
                                            const char* const* paths, size_t count,
                                            float* embeddings, size_t capacity,
                                            vsearch_error* error) {
  return capi::entry(error, [&] {
    capi::require(encoder, "encoder");
    if (count == 0) return;
    capi::require(paths, "paths");
    capi::require(embeddings, "embeddings");
    check_capacity(*encoder->encoder, count, capacity);
    for (std::size_t begin = 0; begin < count; begin += kFilesAtATime) {
      const std::size_t end = std::min(count, begin + kFilesAtATime);
      std::vector<vsearch::Image> images;
      std::vector<vsearch::ImageView> views;
      for (std::size_t i = begin; i < end; ++i) {
        capi::require(paths[i], fmt::format("paths[{}]", i));
        images.push_back(vsearch::read_image(paths[i]));
        views.push_back(images.back().view());  // points to pixels on the heap, which stay
      }
      encode_into(*encoder->encoder, views, embeddings + begin * encoder->encoder->info().dim);
    }
  });
}
