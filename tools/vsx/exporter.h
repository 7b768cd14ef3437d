// The exporter, a Python program: python3 -m vsearch.export.
#pragma once

#include <string>
#include <vector>

namespace vsx {

// Runs the exporter with `arguments` on the terminal of vsx and returns its exit code. The Python
// is $VSEARCH_PYTHON, else that of .venv beside the installation or in the source tree vsx was
// built from, else python3. Throws vsearch::Error: kUnavailable (no such Python, or one that lacks
// modules that this needs).
int run_exporter(const std::vector<std::string>& arguments);

}  // namespace vsx
