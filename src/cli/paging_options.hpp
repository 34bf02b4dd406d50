// cli/paging_options.hpp — lists come a page at a time: by number, or after the cursor that the page before named.
#pragma once

#include "cli/session.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace scheduler::cli {

struct PagingOptions {
  std::optional<int> limit, page;
  std::optional<std::string> cursor;
};

void add_paging(std::vector<Option>& options, PagingOptions& paging);
void add_paging(Query& query, const PagingOptions& paging);

// Says beside a table that it is empty, or how to see what follows.
void hint_at_more(const Session& session, const json::value& page, std::string_view what);

}  // namespace scheduler::cli
