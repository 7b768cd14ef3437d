// Figures of a data set from embeddings that are there already.
#include "vsearch/evaluator.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

namespace {

// A picture at each angle, of these classes and domains.
struct Circle {
  explicit Circle(const std::vector<double>& angles) {
    embeddings.rows = vsearch::Matrix(angles.size(), 2);
    for (std::size_t i = 0; i < angles.size(); ++i) {
      embeddings.rows.row(i)[0] = static_cast<float>(std::cos(angles[i]));
      embeddings.rows.row(i)[1] = static_cast<float>(std::sin(angles[i]));
    }
    dataset.name = "circle";
    dataset.classes = {"cup", "mug"};
    dataset.domains = {"photo", "sketch"};
  }

  vsearch::DatasetEmbeddings embeddings;
  vsearch::Dataset dataset;
};

}  // namespace

TEST_CASE("across domains a query looks among pictures of other domains alone", "[evaluator]") {
  // Two cups and a mug in photographs, the same as sketches.
  Circle circle({0.0, 0.1, 0.5, 0.2, 0.29, 0.45});
  const std::vector<std::int32_t> labels{0, 0, 1, 0, 1, 1};
  vsearch::Protocol protocol;
  protocol.name = "all";
  for (std::uint32_t i = 0; i < 6; ++i) {
    vsearch::DatasetPicture picture;
    picture.path = std::to_string(i) + ".jpg";
    picture.label = labels[i];
    picture.domain = i < 3 ? 0 : 1;
    circle.dataset.pictures.push_back(picture);
    protocol.queries.push_back(i);
    protocol.gallery.push_back(i);
  }
  circle.dataset.protocols = {protocol};
  const auto recall_across = [&] {
    const vsearch::Evaluation found =
        vsearch::evaluate(circle.embeddings, vsearch::EncoderInfo{}, circle.dataset);
    const vsearch::ProtocolResult& result = found.protocols.at(0);
    REQUIRE(result.across_domains.has_value());
    const auto column = result.scores.column("R@1");
    CHECK(result.across_domains->at(column).count == 6);
    return result.across_domains->at(column).mean;
  };
  // Photographs find 3, 3 and 5, all right; sketches 1, 1 (a mug finds a cup) and 2.
  CHECK(recall_across() == Approx(5.0 / 6));

  // What counts as neither right nor wrong does not count across domains either.
  circle.dataset.protocols[0].ignored.resize(6);
  circle.dataset.protocols[0].ignored[4] = {0, 1};
  CHECK(recall_across() == Approx(1));
}
