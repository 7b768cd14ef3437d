#include <algorithm>
#include <catch2/catch.hpp>
#include <iterator>
#include <limits>
#include <random>
#include <set>
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

TEST_CASE("an id is taken out") {
  IdFilter filter(std::vector<Id>{1, 2, Id{1} << 40});
  filter.erase(2);
  filter.erase(3);
  filter.erase(Id{2} << 40);
  CHECK(filter.ids() == std::vector<Id>{1, Id{1} << 40});
  filter.erase(Id{1} << 40);
  CHECK(filter.ids() == std::vector<Id>{1});
  CHECK(filter.size() == 1);
}

TEST_CASE("filters combine as sets do") {
  std::mt19937_64 random(1);
  // Ids that are close, far apart, and beyond 32 bits; few and many.
  const auto draw = [&](std::size_t count) {
    std::vector<Id> ids;
    for (std::size_t i = 0; i < count; ++i) {
      switch (random() % 3) {
        case 0:
          ids.push_back(random() % 3000);
          break;
        case 1:
          ids.push_back(random() % 1'000'000);
          break;
        default:
          ids.push_back((random() % 3 << 33) + random() % 1000);
      }
    }
    return ids;
  };
  for (int round = 0; round < 60; ++round) {
    const std::vector<Id> a = draw(random() % 3 == 0 ? 0 : random() % 5000);
    std::vector<Id> b = draw(random() % 5000);
    if (round % 3 == 0) std::erase_if(b, [](Id id) { return id > UINT32_MAX; });
    const std::set<Id> first(a.begin(), a.end());
    const std::set<Id> second(b.begin(), b.end());
    std::vector<Id> both;
    std::vector<Id> either;
    std::vector<Id> only_first;
    std::ranges::set_intersection(first, second, std::back_inserter(both));
    std::ranges::set_union(first, second, std::back_inserter(either));
    std::ranges::set_difference(first, second, std::back_inserter(only_first));

    IdFilter filter(a);
    filter &= IdFilter(b);
    CHECK(filter.ids() == both);
    CHECK(filter.size() == both.size());
    filter = IdFilter(a);
    filter |= IdFilter(b);
    CHECK(filter.ids() == either);
    filter = IdFilter(a);
    filter -= IdFilter(b);
    CHECK(filter.ids() == only_first);
    CHECK(std::ranges::none_of(b, [&](Id id) { return filter.contains(id); }));
    filter |= IdFilter(b);
    CHECK(filter.ids() == either);
  }
}

TEST_CASE("a filter combines with itself") {
  IdFilter filter(std::vector<Id>{1, Id{1} << 40});
  IdFilter& same = filter;
  filter &= same;
  filter |= same;
  CHECK(filter.size() == 2);
  filter -= same;
  CHECK(filter.size() == 0);
  CHECK(filter.ids().empty());
}
