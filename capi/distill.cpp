// The C interface to distillation.
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "boundary.h"
#include "handles.h"
#include "training_options.h"
#include "vsearch/distillation.h"
#include "vsearch/encoder.h"

namespace capi = vsearch::capi;

namespace {

vsearch::DistillOptions read_distill_options(const char* text) {
  vsearch::DistillOptions how;
  const nlohmann::json json = capi::parse_options(text);
  capi::OptionReader reader(json, "options");
  reader.take("cosine", how.cosine);
  reader.take("relational", how.relational);
  reader.take("held_out", how.held_out);
  reader.take("epochs", how.epochs);
  reader.take("batch_size", how.batch_size);
  reader.take("rate", how.rate);
  reader.take("weight_decay", how.weight_decay);
  reader.take("warm_up", how.warm_up);
  reader.take("clip_gradients", how.clip_gradients);
  capi::take_augmentation(reader, how.augmentation);
  capi::take_device(reader, how.precision, how.device, how.device_index);
  reader.take("seed", how.seed);
  reader.take("work", how.work);
  reader.finish();
  return how;
}

}  // namespace

vsearch_status vsearch_distill(const char* teacher, const char* student,
                               const char* const* pictures, size_t picture_count,
                               const char* output, const char* options,
                               vsearch_train_progress progress, void* progress_user,
                               vsearch_text** json, vsearch_error* error) {
  return capi::make_handle(json, error, [&] {
    capi::require(teacher, "teacher");
    capi::require(output, "output");
    const vsearch::DistillOptions how = read_distill_options(options);
    const auto paths = capi::to_texts<std::filesystem::path>(pictures, picture_count, "pictures");
    const vsearch::DistillReport report =
        vsearch::distill(vsearch::find_encoder(teacher), student == nullptr ? "vit" : student,
                         {vsearch::pictures_at(paths)}, output, how,
                         capi::to_train_progress(progress, progress_user));
    return std::make_unique<vsearch_text>(vsearch::to_json(report));
  });
}
