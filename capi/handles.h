// What lies behind the opaque handles of the C interface.
#pragma once

#include <memory>

#include "vsearch/catalog.h"
#include "vsearch/encoder.h"

struct vsearch_encoder {
  std::shared_ptr<vsearch::Encoder> encoder;
};

struct vsearch_catalog {
  vsearch::Catalog catalog;
};
