// api/paging_json.hpp — one page of a list as JSON: {"items": […], "page", "page_size", "total"} when asked by page,
// {"items": […], "limit"} when asked by cursor; both with "next_cursor", null on the last page.
#pragma once

#include "api/json_writer.hpp"
#include "api/query.hpp"

#include <string>

namespace scheduler::api {

template <class T>
[[nodiscard]] std::string page_json(const application::Page<T>& page, const QueryReader::PageRequest& asked,
                                    void (*write_item)(JsonWriter&, const T&)) {
  JsonWriter json;
  json.begin_object().key("items").array(page.items, write_item);
  if (asked.page)
    json.member("page", *asked.page).member("page_size", asked.paging.limit);
  else
    json.member("limit", asked.paging.limit);
  if (page.total) json.member("total", *page.total);
  return json.member("next_cursor", page.next_cursor).end_object().take();
}

}  // namespace scheduler::api
