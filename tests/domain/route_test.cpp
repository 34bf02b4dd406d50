#include "domain/route.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

using namespace scheduler;
using namespace scheduler::domain;

TEST(RouteOf, TypeAndLabels_MakeOneText) {
  EXPECT_EQ(route_of("shell", {}), "shell");
  EXPECT_EQ(route_of("shell", {{"gpu", "yes"}}), "shell|gpu=yes");
  EXPECT_EQ(route_of("shell", {{"region", "eu"}, {"gpu", "yes"}, {"a", ""}}), "shell|a=,gpu=yes,region=eu");
  TaskSpec spec;
  spec.task_type = "http";
  spec.labels = {{"team", "reports"}};
  spec.worker_labels = {{"zone", "1"}};
  EXPECT_EQ(route_of(spec), "http|zone=1") << "labels for people are no demand";
}

TEST(Serves, TypesAndLabels_MustMatchExactly) {
  WorkerInfo worker;
  worker.task_types = {"http", "shell"};
  worker.labels = {{"a", ""}, {"gpu", "yes"}, {"region", "eu"}};
  const struct {
    std::string_view route;
    bool expected;
  } rows[] = {
      {"shell", true},
      {"http", true},
      {"python", false},
      {"she", false},
      {"shell2", false},
      {"", false},
      {"shell|gpu=yes", true},
      {"shell|gpu=no", false},
      {"shell|gpu=", false},
      {"shell|gpu=yes,region=eu", true},
      {"shell|gpu=yes,region=us", false},
      {"shell|a=", true},
      {"shell|a=,gpu=yes,region=eu", true},
      {"shell|b=", false},
      {"python|gpu=yes", false},
  };
  for (const auto& row : rows) EXPECT_EQ(serves(worker, row.route), row.expected) << row.route;
}

TEST(Serves, RouteOfATask_IsServedByWhoeverBearsItsLabels) {
  const std::vector<Labels> sets{{},           {{"a", "1"}}, {{"a", "1"}, {"b", ""}},
                                 {{"a", "2"}}, {{"b", ""}},  {{"a", "1"}, {"b", ""}, {"c", "x/y"}}};
  for (const auto& wanted : sets)
    for (const auto& borne : sets) {
      WorkerInfo worker;
      worker.task_types = {"shell"};
      worker.labels = borne;
      EXPECT_EQ(serves(worker, route_of("shell", wanted)), std::ranges::includes(borne, wanted))
          << route_of("shell", wanted);
    }
}
