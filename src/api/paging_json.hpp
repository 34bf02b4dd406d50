// api/paging_json.hpp — one page of a list as JSON: {"items": […], "page", "page_size", "total"} when asked by page,
// {"items": […], "limit"} when asked by cursor; both with "next_cursor", null on the last page.
#pragma once

#include "api/json_writer.hpp"
#include "api/query.hpp"

#include <string>

namespace scheduler::api {

// More would hold up everybody else while it is written.
inline constexpr std::size_t kPageBytesMax = 8 << 20;

// PayloadTooLarge: items with parameters of a megabyte each are asked for a few at a time.
template <class T>
[[nodiscard]] SchedulerResult<std::string> page_json(const application::Page<T>& page,
                                                     const QueryReader::PageRequest& asked,
                                                     void (*write_item)(JsonWriter&, const T&)) {
  JsonWriter json;
  json.begin_object().key("items").begin_array();
  for (const auto& item : page.items) {
    write_item(json, item);
    if (json.size() > kPageBytesMax && page.items.size() > 1)
      return fail(ErrorKind::PayloadTooLarge,
                  "the page would hold more than 8 MiB, because its items have large parameters; ask for fewer with "
                  "page_size or limit");
  }
  json.end_array();
  if (asked.page)
    json.member("page", *asked.page).member("page_size", asked.paging.limit);
  else
    json.member("limit", asked.paging.limit);
  if (page.total) json.member("total", *page.total);
  return json.member("next_cursor", page.next_cursor).end_object().take();
}

}  // namespace scheduler::api
