// What was measured to be best on this machine, kept from one process to the next.
#pragma once

#include <optional>
#include <string>

namespace vsearch::encoder {

// The processor's model name, as far as it can be known.
std::string cpu_name();

// What was remembered under `key`: a short name. In this process, or in the user's cache folder:
// $XDG_CACHE_HOME/vsearch, else ~/.cache/vsearch. Never throws for want of a file.
// Threads: both may be called from many.
std::optional<std::string> find_choice(const std::string& key);
void remember_choice(const std::string& key, const std::string& choice);

}  // namespace vsearch::encoder
