// What is done with embeddings before they are ranked.
#pragma once

#include <cstdint>
#include <span>

#include "vsearch/evaluator.h"
#include "vsearch/types.h"

namespace vsearch::eval {

// The sum of each row of `rows` and its nearest `count` rows of `gallery`, weighted by their
// similarity to the power `alpha`; rows of both are unit vectors, and those of the result are.
// `self`: of each row its place in `gallery`, or -1; it is not its own neighbour. `progress` as of
// score_retrieval().
Matrix expanded(MatrixView rows, MatrixView gallery, std::span<const std::int64_t> self,
                std::uint32_t count, double alpha, std::uint32_t threads, const Progress& progress);

// In place; rows that are zero or not finite stay as they are.
void normalise_rows(Matrix& rows);

}  // namespace vsearch::eval
