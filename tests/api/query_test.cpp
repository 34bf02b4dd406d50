#include "api/query.hpp"

#include "domain/task.hpp"

#include <gtest/gtest.h>

using namespace scheduler;
using namespace scheduler::api;

namespace {

std::vector<FieldError> faults_of(QueryReader& query) {
  const auto result = query.finish();
  return result ? std::vector<FieldError>{} : result.error().fields;
}

}  // namespace

TEST(QueryReader, GoodParameters_AreRead) {
  QueryReader query("count=7&from=2026-01-02T03:04:05Z&status=paused&label=team:a:b&q=caf%C3%A9+bar&&");
  EXPECT_EQ(query.integer("count", 1, 10), 7);
  EXPECT_EQ(format_rfc3339(query.instant("from").value()), "2026-01-02T03:04:05Z");
  EXPECT_EQ(query.word<domain::TaskStatus>("status"), domain::TaskStatus::paused);
  EXPECT_EQ(query.label("label"), std::pair(std::string("team"), std::string("a:b")));
  EXPECT_EQ(query.text("q"), "café bar");
  EXPECT_EQ(query.text("absent"), std::nullopt);
  EXPECT_TRUE(query.finish());
}

TEST(QueryReader, EveryFault_IsReportedAtOnce) {
  QueryReader query("count=11&from=yesterday&status=activ&label=nocolon&q=&twice=1&twice=2&bad=%zz&pagee=1");
  query.integer("count", 1, 10);
  query.instant("from");
  query.word<domain::TaskStatus>("status");
  query.label("label");
  query.text("q");
  query.text("twice");
  query.integer("page", 1, 10);
  const auto faults = faults_of(query);
  std::vector<std::string> names;
  for (const auto& fault : faults) names.push_back(fault.pointer);
  EXPECT_EQ(names, (std::vector<std::string>{"bad", "count", "from", "status", "label", "q", "twice", "pagee"}));
  EXPECT_EQ(faults[3].message, "must be active or paused; did you mean 'active'?");
  EXPECT_EQ(faults[7].message, "is not a parameter of this endpoint; did you mean 'page'?");
}

TEST(QueryReader, NumbersThatAreNoNumbers_AreRefused) {
  for (const auto* text : {"+1", "1.0", "0x1", "1e3", " 1", "1 ", "", "99999999999999999999", "-"})
    EXPECT_EQ(parse_integer(text, 0, kIdMax), std::nullopt) << text;
  EXPECT_EQ(parse_integer("9007199254740991", 0, kIdMax), kIdMax);
  EXPECT_EQ(parse_integer("9007199254740992", 0, kIdMax), std::nullopt);
}

TEST(QueryReader, Page_CountsEntriesFromItsNumber) {
  QueryReader first(""), third("page=3&page_size=50"), cursor("cursor=77&limit=5"), begin("limit=5");
  EXPECT_EQ(first.page().paging.limit, 20);
  EXPECT_EQ(third.page().paging.offset, 100);
  const auto by_cursor = cursor.page();
  EXPECT_EQ(by_cursor.paging.before, 77);
  EXPECT_EQ(by_cursor.paging.limit, 5);
  EXPECT_EQ(by_cursor.page, std::nullopt);
  EXPECT_EQ(begin.page().paging.before, std::nullopt);
  for (auto* query : {&first, &third, &cursor, &begin}) EXPECT_TRUE(query->finish());
}

TEST(QueryReader, PageThatIsTooDeepOrMixed_IsRefused) {
  for (const auto* text : {"page=502&page_size=20", "page=9007199254740991", "page=0", "page_size=101", "limit=0",
                           "cursor=5&page=1", "limit=5&page_size=5", "cursor=abc"}) {
    QueryReader query(text);
    query.page();
    EXPECT_EQ(faults_of(query).size(), 1U) << text;
  }
}
