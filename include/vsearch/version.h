// The library's version, for the compiler and at run time.
#pragma once

#define VSEARCH_VERSION_MAJOR 0
#define VSEARCH_VERSION_MINOR 1
#define VSEARCH_VERSION_PATCH 0
#define VSEARCH_VERSION "0.1.0"
