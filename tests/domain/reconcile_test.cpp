#include "domain/reconcile.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

using namespace scheduler;
using namespace scheduler::domain;

namespace {

std::string text(const Reconciliation& it) {
  std::string all;
  for (const auto run : it.missing) all += "missing " + std::to_string(run.value) + ", ";
  for (const auto run : it.found) all += "found " + std::to_string(run.value) + ", ";
  for (const auto& held : it.to_cancel)
    all += "cancel " + std::to_string(held.run.value) + "/" + std::to_string(held.token) + " " +
           std::string(name_of(held.why)) + ", ";
  return all.substr(0, all.empty() ? 0 : all.size() - 2);
}

constexpr bool kMissing = true;
constexpr auto kCancel = Reason::overlap;

}  // namespace

TEST(Reconcile, StoreAgainstInventory_ShowsWhatGotLost) {
  const RunId a{1}, b{2}, c{3};
  const struct {
    std::string_view name;
    std::vector<Expected> expected;
    std::vector<Held> held;
    std::string_view result;
  } rows[] = {
      {"nothing here, nothing there", {}, {}, ""},
      {"all is as it should be", {{a, 1}, {b, 4}}, {{a, 1}, {b, 4}}, ""},
      {"the message got lost", {{a, 1}, {b, 4}}, {{a, 1}}, "missing 2"},
      {"all of them did", {{a, 1}, {b, 4}}, {}, "missing 1, missing 2"},
      {"it holds an older token of it", {{a, 2}}, {{a, 1}}, "missing 1"},
      {"it was missing and still is", {{a, 1, kMissing}}, {}, ""},
      {"it was missing and came late", {{a, 1, kMissing}}, {{a, 1}}, "found 1"},
      {"it holds more than it should", {{b, 4}}, {{a, 1}, {b, 4}, {c, 9}}, ""},
      {"the cancel got lost", {{a, 3, false, kCancel}}, {{a, 3}}, "cancel 1/3 overlap"},
      {"what it does not hold needs no cancel", {{a, 3, false, kCancel}}, {}, "missing 1"},
      {"found and to be cancelled", {{a, 3, kMissing, kCancel}}, {{a, 3}}, "found 1, cancel 1/3 overlap"},
      {"an older token is not what was cancelled", {{a, 3, false, kCancel}}, {{a, 2}}, "missing 1"},
  };
  for (const auto& row : rows) EXPECT_EQ(text(reconcile(row.expected, row.held)), row.result) << row.name;
}
