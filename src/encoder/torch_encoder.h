// The Encoder that libtorch runs.
#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>

#include "encoder/torch_network.h"
#include "encoder/torch_pool.h"
#include "encoder/torch_preprocess.h"
#include "vsearch/encoder.h"

namespace vsearch::encoder {

// The methods of a model as it runs.
struct TorchModel {
  std::string path;  // names it in errors
  EncoderInfo info;
  std::shared_ptr<const Network> image;
  std::optional<Network> tokens;  // if and only if info.token_dim > 0
  std::optional<Network> text;    // if and only if info.has_text
  std::size_t batch_size = 1;
};

class TorchEncoder final : public Encoder {
 public:
  explicit TorchEncoder(TorchModel model);

  const EncoderInfo& info() const override { return model_.info; }
  Matrix encode(std::span<const ImageView> images, const Progress& progress) const override;
  Tokens encode_tokens(std::span<const ImageView> images) const override;
  Matrix encode_text(std::span<const std::string> texts) const override;

 private:
  void encode_on_cpu(std::span<const ImageView> images, const Progress& progress,
                     Matrix& result) const;
  void encode_on_device(std::span<const ImageView> images, const Progress& progress,
                        Matrix& result) const;
  at::Tensor prepare(const Network& network, std::span<const ImageView> images,
                     std::size_t first) const;
  void take(const at::Tensor& output, std::size_t first, Matrix& result, const char* what) const;
  void check_finite(std::span<const float> row, std::size_t index, const char* what) const;

  void check_process() const;

  TorchModel model_;
  const pid_t process_;
  PixelPreparer preparer_;
  TensorPool pool_;
};

}  // namespace vsearch::encoder
