// Losses of a student's embeddings beside a teacher's.
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>

#include "train/losses.h"
#include "train/losses_common.h"

namespace vsearch::training {
namespace {

constexpr std::int64_t kAnglePictures = 64;
constexpr double kAngleWeight = 2;
constexpr double kHuberDelta = 1;

struct StudentAndTeacher {
  at::Tensor student;
  at::Tensor teacher;
};

// Of length 1 and one type. With autocast off.
StudentAndTeacher to_unit_pair(const at::Tensor& student, const at::Tensor& teacher) {
  if (student.dim() != 2 || teacher.dim() != 2 || student.size(0) == 0 ||
      student.size(0) != teacher.size(0) || !student.is_floating_point() ||
      !teacher.is_floating_point()) {
    refuse_loss(
        fmt::format("distillation takes embeddings of floating point [batch, dim] of as many "
                    "pictures from student and teacher, not {} and {}",
                    shape_text(student), shape_text(teacher)));
  }
  const at::ScalarType dtype = student.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  return {to_unit(student.to(dtype)), to_unit(teacher.detach().to(dtype))};
}

// The distances of all pairs i < j, in their mean.
at::Tensor relative_distances(const at::Tensor& unit) {
  const at::Tensor distances = at::pdist(unit);
  const auto pairs = static_cast<double>(std::max<std::int64_t>(distances.numel(), 1));
  return distances / (distances.sum() / pairs).clamp_min(1e-6);
}

// The cosine of the angle at j between i and k, at [j, i, k]; 0 where two are the same.
at::Tensor angle_cosines(const at::Tensor& unit) {
  const at::Tensor sides = to_unit(unit.unsqueeze(0) - unit.unsqueeze(1), 1e-6);
  return at::bmm(sides, sides.transpose(1, 2));
}

}  // namespace

at::Tensor cosine_distillation(const at::Tensor& student, const at::Tensor& teacher) {
  const WithoutAutocast no_autocast;
  const StudentAndTeacher unit = to_unit_pair(student, teacher);
  if (student.size(1) != teacher.size(1)) {
    refuse_loss(
        fmt::format("cosines between a student's embeddings of {} dimensions and a teacher's of "
                    "{} do not exist; relational distillation takes both",
                    student.size(1), teacher.size(1)));
  }
  return (1 - (unit.student * unit.teacher).sum(1)).mean();
}

at::Tensor relational_distillation(const at::Tensor& student, const at::Tensor& teacher) {
  const WithoutAutocast no_autocast;
  const StudentAndTeacher unit = to_unit_pair(student, teacher);
  const auto sum_of_huber = [](const at::Tensor& a, const at::Tensor& b) {
    return at::huber_loss(a, b, at::Reduction::Sum, kHuberDelta);
  };
  const auto at_least_one = [](std::int64_t n) {
    return static_cast<double>(std::max<std::int64_t>(n, 1));
  };
  const std::int64_t batch = student.size(0);
  const at::Tensor of_distances =
      sum_of_huber(relative_distances(unit.student), relative_distances(unit.teacher)) /
      at_least_one(batch * (batch - 1) / 2);
  const std::int64_t few = std::min(batch, kAnglePictures);
  const at::Tensor of_angles = sum_of_huber(angle_cosines(unit.student.narrow(0, 0, few)),
                                            angle_cosines(unit.teacher.narrow(0, 0, few))) /
                               at_least_one(few * (few - 1) * (few - 2));
  return of_distances + kAngleWeight * of_angles;
}

}  // namespace vsearch::training
