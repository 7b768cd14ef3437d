// Numbers as the report writes them. What is not a number is written as a dash.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "util/with_commas.h"
#include "vsearch/metrics.h"

namespace vsearch::report {

using util::with_commas;
std::string count_of(std::uint64_t count, std::string_view one,
                     std::string_view several);   // "1 query", "2,485 queries"
std::string percent(double share);                // "54.8 %"
std::string percent_points(double difference);    // "+1.3"; a true minus sign below zero
std::string percent_interval(const Estimate& e);  // "52.8–56.7 %"
std::string percent_points_interval(const Estimate& difference);  // "+0.2 to +2.4"
std::string p_value(double p);                                    // "0.032", "< 0.001"
std::string similarity(double cosine);                            // "0.873"
std::string plain_number(double value);  // three digits that count: "45.2", "0.0132"
std::string plain_interval(const Estimate& e);

// The share of `count` that are `right`, with its 95 % interval (Wilson's, which holds for few and
// for shares near 0 and 1 too).
Estimate share_of(std::uint64_t right, std::uint64_t count);

// NaN among `values` is left out; of no values NaN.
double mean_of(std::span<const float> values);
double median_of(std::span<const float> values);

}  // namespace vsearch::report
