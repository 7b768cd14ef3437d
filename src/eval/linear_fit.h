// What can be read off embeddings by straight lines, and how many dimensions they use.
#pragma once

#include <cstdint>
#include <vector>

#include "vsearch/types.h"

namespace vsearch::eval {

// How well ridge regression predicts `targets` [rows x t] from `features` [rows x f], each row by a
// fit to the other four fifths: of each row 1 - squared error / variance, so that the mean over
// rows is R^2. Of several strengths of the penalty the one that does best. At least ten rows.
std::vector<float> cross_validated_fit(MatrixView features, MatrixView targets, std::uint64_t seed);

// The exponential of the entropy of the shares that the principal components have of the variance
// (Roy and Vetterli, EUSIPCO 2007): 1 on a line, the dimension for a sphere.
double effective_rank(MatrixView rows);

}  // namespace vsearch::eval
