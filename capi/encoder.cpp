// The C interface to Encoder.
#include "vsearch/encoder.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "boundary.h"
#include "handles.h"
#include "vsearch/error.h"
#include "vsearch/image.h"

namespace capi = vsearch::capi;

struct vsearch_encode_report {
  std::vector<std::filesystem::path> files;
  std::vector<vsearch::EncodeFailure> found;
  std::vector<vsearch_encode_failure> failures;  // pointing into files and found
};

namespace {

void check_capacity(const vsearch::Encoder& encoder, std::size_t count, std::size_t capacity) {
  const std::size_t dim = encoder.info().dim;
  if (count > std::numeric_limits<std::size_t>::max() / dim || capacity < count * dim) {
    throw vsearch::Error(
        vsearch::ErrorCode::kInvalidArgument,
        fmt::format("embeddings holds {} floats, but {} embeddings of {} dimensions need more",
                    capacity, count, dim));
  }
}

vsearch::EncodeOptions to_options(const vsearch_encode_options& given) {
  vsearch::EncodeOptions options;
  options.exact = given.exact != 0;
  options.lenient = given.lenient != 0;
  if (given.max_bytes != 0) options.limits.max_bytes = given.max_bytes;
  if (given.max_pixels != 0) options.limits.max_pixels = given.max_pixels;
  if (given.max_scans != 0) options.limits.max_scans = given.max_scans;
  if (given.max_time_ms != 0) options.limits.max_time_ms = given.max_time_ms;
  return options;
}

}  // namespace

vsearch_status vsearch_encoder_load(const char* name_or_path,
                                    const vsearch_encoder_options* options, vsearch_encoder** out,
                                    vsearch_error* error) {
  return capi::make_handle(out, error, [&] {
    const auto wanted = capi::to_encoder_options(options, "options");
    const std::string_view name = name_or_path != nullptr ? name_or_path : vsearch::kDefaultEncoder;
    return std::make_unique<vsearch_encoder>(
        vsearch_encoder{vsearch::load_encoder(vsearch::find_encoder(name), wanted),
                        vsearch::encoder_reference(name)});
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

vsearch_precision vsearch_encoder_precision(const vsearch_encoder* encoder) {
  return encoder != nullptr ? static_cast<vsearch_precision>(encoder->encoder->info().precision)
                            : VSEARCH_PRECISION_AUTO;
}

int32_t vsearch_encoder_has_text(const vsearch_encoder* encoder) {
  return encoder != nullptr && encoder->encoder->info().has_text ? 1 : 0;
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
    std::ranges::copy(encoder->encoder->encode(views).data, embeddings);
  });
}

vsearch_status vsearch_encoder_encode_text(const vsearch_encoder* encoder, const char* const* texts,
                                           size_t count, float* embeddings, size_t capacity,
                                           vsearch_error* error) {
  return capi::entry(error, [&] {
    capi::require(encoder, "encoder");
    if (count == 0) return;
    capi::require(texts, "texts");
    capi::require(embeddings, "embeddings");
    check_capacity(*encoder->encoder, count, capacity);
    const auto wanted = capi::to_texts<std::string>(texts, count, "texts");
    std::ranges::copy(encoder->encoder->encode_text(wanted).data, embeddings);
  });
}

vsearch_status vsearch_encoder_encode_files(const vsearch_encoder* encoder,
                                            const char* const* paths, size_t count,
                                            const vsearch_encode_options* options,
                                            float* embeddings, size_t capacity,
                                            vsearch_encode_report** report, vsearch_error* error) {
  if (report != nullptr) *report = nullptr;
  return capi::entry(error, [&] {
    capi::require(encoder, "encoder");
    const auto given = capi::read_options(options, "options");
    auto result = std::make_unique<vsearch_encode_report>();
    if (count > 0) {
      capi::require(paths, "paths");
      capi::require(embeddings, "embeddings");
      check_capacity(*encoder->encoder, count, capacity);
      result->files = capi::to_texts<std::filesystem::path>(paths, count, "paths");
      vsearch::EncodedFiles encoded =
          vsearch::encode_files(*encoder->encoder, result->files, to_options(given),
                                capi::to_progress(given.progress, given.progress_user));
      result->found = std::move(encoded.failures);
      for (const vsearch::EncodeFailure& failure : result->found) {
        result->failures.push_back({failure.index, result->files[failure.index].c_str(),
                                    static_cast<vsearch_status>(failure.error.code()),
                                    failure.error.what()});
      }
      std::ranges::copy(encoded.embeddings.data, embeddings);
    }
    if (report != nullptr) *report = result.release();
  });
}

size_t vsearch_encode_report_failure_count(const vsearch_encode_report* report) {
  return report != nullptr ? report->failures.size() : 0;
}

const vsearch_encode_failure* vsearch_encode_report_failure(const vsearch_encode_report* report,
                                                            size_t i) {
  return i < vsearch_encode_report_failure_count(report) ? &report->failures[i] : nullptr;
}

void vsearch_encode_report_free(vsearch_encode_report* report) {
  delete report;
}
