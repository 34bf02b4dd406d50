// cli/api_client.hpp — the REST API as the commands use it: `data` out of a reply, or a Failure with the server's
// words.
#pragma once

#include "cli/http_client.hpp"
#include "cli/json_text.hpp"
#include "cli/sse.hpp"

#include <boost/json/fwd.hpp>

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace scheduler::cli {

// "?a=1&b=x", without the parameters that are absent; "" when all are.
class Query {
 public:
  Query& add(std::string_view name, const std::optional<std::string>& value);
  Query& add(std::string_view name, const std::optional<int>& value);
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  std::string text_;
};

class ApiClient {
 public:
  // Asked before each request: a login has to be refreshed while a command waits for hours. "": no key.
  using Credential = std::function<Outcome<std::string>()>;
  ApiClient(std::string base_url, Credential key) : base_url_(std::move(base_url)), key_(std::move(key)) {}
  ApiClient(std::string base_url, std::string key)
      : ApiClient(std::move(base_url), [key = std::move(key)]() -> Outcome<std::string> { return key; }) {}

  [[nodiscard]] Outcome<json::value> get(const std::string& target, Millis timeout = Millis{30'000}) const;
  // `body` null: none. Methods: POST, PATCH, PUT, DELETE.
  [[nodiscard]] Outcome<json::value> send(const std::string& method, const std::string& target, const json::value& body,
                                          std::vector<std::pair<std::string, std::string>> headers = {}) const;

  // Hands over events until `on_event` or `keep_going` (asked about once a second) returns false, or the server ends
  // the stream. `last_id` resumes an earlier one.
  using OnEvent = std::function<bool(const SseEvent&)>;
  [[nodiscard]] Outcome<void> events(const std::string& target, const std::string& last_id, const OnEvent& on_event,
                                     const std::function<bool()>& keep_going) const;

  // A number is an id; anything else is looked up by name. Failure: not_found.
  [[nodiscard]] Outcome<std::string> task_id(const std::string& id_or_name) const;

 private:
  [[nodiscard]] Outcome<HttpClient> http() const;

  std::string base_url_;
  Credential key_;
};

}  // namespace scheduler::cli
