// How far a student's embeddings agree with its teacher's.
#pragma once

#include "vsearch/types.h"

namespace vsearch::training {

struct Agreement {
  double cosine = 0;  // mean over the pictures; NaN where the dimensions differ
  // Of the teacher's 10 nearest neighbours of a picture, by their cosines, the share that the
  // student has among its 10 too; mean. Of fewer than 21 pictures half of the others are the
  // neighbours, since with all of them everyone agrees; NaN if there are fewer than 3.
  double overlap_at_10 = 0;
};

// Row i of both is of one picture; those that are NaN in either are left out. NaN if fewer than two
// are left. Takes memory of their number squared.
Agreement agreement_of(MatrixView teacher, MatrixView student);

}  // namespace vsearch::training
