#include "vsearch/distillation.h"
#include "vsearch/error.h"
#include "vsearch/text_trainer.h"
#include "vsearch/trainer.h"

namespace vsearch {
namespace {

[[noreturn]] void fail_without_torch() {
  throw Error(ErrorCode::kUnavailable,
              "training needs torch, which this library was built without; build it with "
              "VSEARCH_WITH_TORCH=ON");
}

}  // namespace

TrainReport train(const std::filesystem::path&, const Dataset&, const std::filesystem::path&,
                  const TrainOptions&, const TrainProgress&) {
  fail_without_torch();
}

TextTrainReport train_text(const Catalog&, const std::filesystem::path&, const TextTrainOptions&,
                           const TextTrainProgress&) {
  fail_without_torch();
}

DistillReport distill(const std::filesystem::path&, std::string_view, const std::vector<Dataset>&,
                      const std::filesystem::path&, const DistillOptions&, const TrainProgress&) {
  fail_without_torch();
}

Dataset held_out_part(const Dataset&, const TrainOptions&) {
  fail_without_torch();
}

Dataset measured_part(const Dataset&, const TrainOptions&) {
  fail_without_torch();
}

}  // namespace vsearch
