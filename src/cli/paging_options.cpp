#include "cli/paging_options.hpp"

#include <boost/json.hpp>
#include <fmt/format.h>

namespace scheduler::cli {

void add_paging(std::vector<Option>& options, PagingOptions& paging) {
  options.push_back(
      {.names = "--limit", .value = "N", .doc = "at most so many, 1 to 100; default 20", .into = &paging.limit});
  options.push_back({.names = "--page", .value = "N", .doc = "counted from 1", .into = &paging.page});
  options.push_back(
      {.names = "--cursor", .value = "CURSOR", .doc = "go on after the page that named it", .into = &paging.cursor});
}

void add_paging(Query& query, const PagingOptions& paging) {
  if (paging.cursor)
    query.add("cursor", paging.cursor).add("limit", paging.limit);
  else
    query.add("page", paging.page).add("page_size", paging.limit);
}

void hint_at_more(const Session& session, const json::value& page, std::string_view what) {
  if (session.format != "table") return;
  if (array_in(page, "items").empty()) return session.talk(fmt::format("no {}", what));
  if (const auto cursor = member_text(page, "next_cursor"); cursor != "-")
    session.talk(fmt::format("more {} follow; --cursor {} shows them", what, cursor));
}

}  // namespace scheduler::cli
