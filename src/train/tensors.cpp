#include "train/tensors.h"

#include <algorithm>

namespace vsearch::training {

at::Tensor borrowed(MatrixView rows) {
  // from_blob() knows no constant memory.
  return at::from_blob(const_cast<float*>(rows.data), {static_cast<std::int64_t>(rows.rows),
                                                       static_cast<std::int64_t>(rows.cols)});
}

MatrixView view_of_rows(const at::Tensor& rows) {
  return {rows.const_data_ptr<float>(), static_cast<std::size_t>(rows.size(0)),
          static_cast<std::size_t>(rows.size(1))};
}

at::Tensor rows_of(const Matrix& embeddings, const std::vector<std::uint32_t>& pictures) {
  const auto dim = static_cast<std::int64_t>(embeddings.cols);
  at::Tensor rows = at::empty({static_cast<std::int64_t>(pictures.size()), dim}, at::kFloat);
  for (std::size_t i = 0; i < pictures.size(); ++i) {
    std::ranges::copy(embeddings.row(pictures[i]),
                      rows.data_ptr<float>() + static_cast<std::int64_t>(i) * dim);
  }
  return rows;
}

at::Tensor tensor_of(const std::vector<std::int32_t>& labels) {
  at::Tensor result = at::empty({static_cast<std::int64_t>(labels.size())}, at::kLong);
  std::ranges::copy(labels, result.data_ptr<std::int64_t>());
  return result;
}

std::vector<at::Tensor> class_masks(const std::vector<std::vector<std::int32_t>>& sets,
                                    std::int64_t count, at::Device device) {
  std::vector<at::Tensor> masks;
  for (const std::vector<std::int32_t>& classes : sets) {
    at::Tensor mask = at::zeros({count}, at::kBool);
    for (const std::int32_t number : classes) mask.data_ptr<bool>()[number] = true;
    masks.push_back(mask.to(device));
  }
  return masks;
}

}  // namespace vsearch::training
