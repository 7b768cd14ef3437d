#include <catch2/catch.hpp>
#include <limits>
#include <utility>
#include <vector>

#include "vsearch/index.h"

using vsearch::Id;
using vsearch::IdFilter;

TEST_CASE("a filter holds what was put in, in ascending order") {
  const std::vector<Id> given{7, 0, std::numeric_limits<Id>::max(), Id{1} << 40, 7};
  IdFilter filter(given);
  filter.insert(3);
  filter.insert(3);
  CHECK(filter.size() == 5);
  CHECK(filter.ids() == std::vector<Id>{0, 3, 7, Id{1} << 40, std::numeric_limits<Id>::max()});
  CHECK(filter.contains(0));
  CHECK(filter.contains(std::numeric_limits<Id>::max()));
  CHECK_FALSE(filter.contains(1));
  CHECK_FALSE(filter.contains((Id{1} << 40) + 1));
}

TEST_CASE("a new filter is empty") {
  const IdFilter filter;
  CHECK(filter.size() == 0);
  CHECK(filter.ids().empty());
  CHECK_FALSE(filter.contains(0));
}

TEST_CASE("a copy of a filter is deep") {
  IdFilter first(std::vector<Id>{1});
  IdFilter second(first);
  second.insert(2);
  CHECK(first.size() == 1);
  CHECK(second.size() == 2);
  first = second;
  second.insert(3);
  CHECK(first.ids() == std::vector<Id>{1, 2});
  const IdFilter& same = first;
  first = same;
  CHECK(first.ids() == std::vector<Id>{1, 2});
}

TEST_CASE("a filter moves") {
  IdFilter first(std::vector<Id>{1, 2});
  IdFilter second(std::move(first));
  CHECK(second.size() == 2);
  IdFilter third;
  third = std::move(second);
  CHECK(third.ids() == std::vector<Id>{1, 2});
}
