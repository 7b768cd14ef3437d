#include "encoder/torch_autocast.h"

#include <ATen/autocast_mode.h>

namespace vsearch::encoder {

HalfPrecision::HalfPrecision(bool is_on, at::Device device)
    : is_on_(is_on),
      type_(device.type()),
      was_enabled_(at::autocast::is_autocast_enabled(type_)),
      old_dtype_(at::autocast::get_autocast_dtype(type_)) {
  if (!is_on_) return;
  at::autocast::set_autocast_enabled(type_, true);
  at::autocast::set_autocast_dtype(type_, at::kBFloat16);
  at::autocast::increment_nesting();
}

HalfPrecision::~HalfPrecision() {
  if (!is_on_) return;
  at::autocast::decrement_nesting();
  at::autocast::clear_cache();
  at::autocast::set_autocast_dtype(type_, old_dtype_);
  at::autocast::set_autocast_enabled(type_, was_enabled_);
}

}  // namespace vsearch::encoder
