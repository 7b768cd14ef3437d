#include "encoder/torch_encoder.h"

#include <c10/core/InferenceMode.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "encoder/torch_archive.h"
#include "encoder/torch_batches.h"
#include "encoder/torch_error.h"
#include "util/utf8.h"
#include "vsearch/error.h"

namespace vsearch::encoder {
namespace {

// More than models read. Scripts of tokenizers read a text to its end before it is cut.
constexpr std::size_t kMostTextBytes = std::size_t{16} << 10;

void check_views(std::span<const ImageView> images) {
  for (std::size_t i = 0; i < images.size(); ++i) {
    const ImageView& image = images[i];
    if (image.data == nullptr || image.width_px == 0 || image.height_px == 0) {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("picture {} of {} is empty; leave it out", i + 1, images.size()));
    }
    if (image.stride_bytes < std::size_t{image.width_px} * bytes_per_pixel(image.format)) {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("picture {} of {}: a stride of {} bytes is less than a row of {} "
                              "pixels of {} bytes; set ImageView::stride_bytes",
                              i + 1, images.size(), image.stride_bytes, image.width_px,
                              bytes_per_pixel(image.format)));
    }
  }
}

}  // namespace

TorchEncoder::TorchEncoder(TorchModel model)
    : model_(std::move(model)), process_(::getpid()), preparer_(model_.info.preprocessing) {}

Matrix TorchEncoder::encode(std::span<const ImageView> images, const Progress& progress) const {
  check_views(images);
  check_process();
  Matrix result(images.size(), model_.info.dim);
  if (model_.image->device().is_cpu()) {
    encode_on_cpu(images, progress, result);
  } else {
    encode_on_device(images, progress, result);
  }
  return result;
}

void TorchEncoder::encode_on_cpu(std::span<const ImageView> images, const Progress& progress,
                                 Matrix& result) const {
  const auto encode_batch = [&](std::size_t first, std::size_t count) {
    const TensorPool::Use pool(pool_);
    const at::Tensor pixels = prepare(*model_.image, images.subspan(first, count), first);
    take(model_.image->run(pixels, count, 2, model_.path), first, result, "picture");
  };
  for_each_batch(images.size(), model_.batch_size, encode_batch, progress);
}

// The device computes a batch while the next one is prepared here.
void TorchEncoder::encode_on_device(std::span<const ImageView> images, const Progress& progress,
                                    Matrix& result) const {
  at::Tensor running;
  std::size_t running_first = 0;
  const auto finish_running = [&] {
    if (running.defined()) take(running, running_first, result, "picture");
  };
  const auto encode_batch = [&](std::size_t first, std::size_t count) {
    const at::Tensor pixels = prepare(*model_.image, images.subspan(first, count), first);
    at::Tensor output = model_.image->run(pixels, count, 2, model_.path);
    finish_running();
    running = std::move(output);
    running_first = first;
  };
  for (std::size_t first = 0; first < images.size(); first += model_.batch_size) {
    const std::size_t count = std::min(model_.batch_size, images.size() - first);
    encode_batch(first, count);
    if (progress && !progress(first, images.size())) {
      throw Error(
          ErrorCode::kCancelled,
          fmt::format("encoding was cancelled after {} of {} pictures", first, images.size()));
    }
  }
  finish_running();
  if (progress) progress(images.size(), images.size());
}

// A forked child has none of the threads that torch computes with, and would wait for them for
// ever.
void TorchEncoder::check_process() const {
  if (::getpid() == process_) return;
  throw Error(ErrorCode::kUnavailable,
              fmt::format("{}: loaded by process {}, it cannot encode in a child forked from that; "
                          "load it in the child, or start processes without fork (in Python "
                          "multiprocessing.set_start_method(\"spawn\"))",
                          model_.path, process_));
}

Tokens TorchEncoder::encode_tokens(std::span<const ImageView> images) const {
  if (!model_.tokens) return Encoder::encode_tokens(images);
  check_process();
  check_views(images);
  Tokens result;
  result.dim = model_.info.token_dim;
  for (std::size_t first = 0; first < images.size(); first += model_.batch_size) {
    const std::size_t count = std::min(model_.batch_size, images.size() - first);
    const TensorPool::Use pool(pool_);
    const at::Tensor pixels = prepare(*model_.tokens, images.subspan(first, count), first);
    const at::Tensor output = model_.tokens->run(pixels, count, 3, model_.path);
    if (output.size(2) != result.dim) {
      throw Error(
          ErrorCode::kBadModel,
          fmt::format("{}: the model gave tokens of {} dimensions, its manifest says {}; {}",
                      model_.path, output.size(2), result.dim, kExportRemedy));
    }
    if (first > 0 && output.size(1) != result.per_picture) {
      throw Error(ErrorCode::kBadModel,
                  fmt::format("{}: the model gave {} tokens of a picture, and {} of another; {}",
                              model_.path, result.per_picture, output.size(1), kExportRemedy));
    }
    result.per_picture = static_cast<std::uint32_t>(output.size(1));
    const at::Tensor values = output.to(at::kCPU, at::kFloat).contiguous();
    const float* const data = values.const_data_ptr<float>();
    result.values.insert(result.values.end(), data, data + values.numel());
    for (std::size_t i = first; i < first + count; ++i) {
      check_finite(result.of_picture(i), i, "picture");
    }
  }
  return result;
}

Matrix TorchEncoder::encode_text(std::span<const std::string> texts) const {
  if (!model_.text) return Encoder::encode_text(texts);
  check_process();
  Matrix result(texts.size(), model_.info.dim);
  for (std::size_t i = 0; i < texts.size(); ++i) {
    if (util::is_utf8(texts[i])) continue;
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("text {} of {} is not UTF-8; convert it", i + 1, texts.size()));
  }
  const auto encode_batch = [&](std::size_t first, std::size_t count) {
    const TensorPool::Use pool(pool_);
    c10::List<std::string> batch;
    for (const std::string& text : texts.subspan(first, count)) {
      batch.push_back(std::string(util::beginning(text, kMostTextBytes)));
    }
    take(model_.text->run(std::move(batch), count, 2, model_.path), first, result, "text");
  };
  for_each_batch(texts.size(), model_.batch_size, encode_batch, {});
  return result;
}

at::Tensor TorchEncoder::prepare(const Network& network, std::span<const ImageView> images,
                                 std::size_t first) const {
  return run_torch(ErrorCode::kInternal, model_.path, "this is a defect of the library", [&] {
    const c10::InferenceMode inference;
    if (network.device().is_cpu()) return preparer_.prepare(images, first).to(network.type());
    constexpr bool kPinned = true;
    constexpr bool kNonBlocking = true;
    const at::Tensor pixels =
        preparer_.resize(images, first, kPinned).to(network.device(), kNonBlocking);
    return preparer_.normalise(pixels).to(network.type());
  });
}

// Puts the embeddings of a batch into their rows.
void TorchEncoder::take(const at::Tensor& output, std::size_t first, Matrix& result,
                        const char* what) const {
  if (output.size(1) != model_.info.dim) {
    throw Error(ErrorCode::kBadModel,
                fmt::format("{}: the model gave embeddings of {} dimensions, its manifest says {}; "
                            "{}",
                            model_.path, output.size(1), model_.info.dim, kExportRemedy));
  }
  run_torch(ErrorCode::kBadModel, model_.path, kExportRemedy, [&] {
    const c10::InferenceMode inference;
    const at::Tensor values = output.to(at::kCPU, at::kFloat).contiguous();
    std::copy_n(values.const_data_ptr<float>(), values.numel(), result.row(first).data());
  });
  const auto count = static_cast<std::size_t>(output.size(0));
  for (std::size_t i = first; i < first + count; ++i) check_finite(result.row(i), i, what);
}

void TorchEncoder::check_finite(std::span<const float> row, std::size_t index,
                                const char* what) const {
  for (const float value : row) {
    if (std::isfinite(value)) continue;
    throw Error(
        ErrorCode::kBadModel,
        fmt::format("{}: the model gave {} for {} {}; its weights are damaged or overflow in "
                    "their precision: {}",
                    model_.path, std::isnan(value) ? "NaN" : "an infinite value", what, index + 1,
                    kExportRemedy));
  }
}

}  // namespace vsearch::encoder
