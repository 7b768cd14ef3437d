// Everything of the C++ interface.
#pragma once

#include "vsearch/catalog.h"
#include "vsearch/encoder.h"
#include "vsearch/error.h"
#include "vsearch/exact_searcher.h"
#include "vsearch/filter.h"
#include "vsearch/image.h"
#include "vsearch/index.h"
#include "vsearch/searcher.h"
#include "vsearch/types.h"
#include "vsearch/vector_file.h"
#include "vsearch/version.h"
