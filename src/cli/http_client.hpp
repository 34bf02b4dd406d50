// cli/http_client.hpp — one HTTP request at a time, blocking, to one server.
//
// http and https only. Redirects are never followed: the key must not travel to another host. A proxy from the
// environment is used, except for hosts on this machine.
#pragma once

#include "cli/failure.hpp"
#include "core/time.hpp"

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace scheduler::cli {

struct HttpRequest {
  std::string method = "GET";
  std::string target;  // "/api/tasks?name=x", encoded
  std::string body = {};
  std::string content_type = "application/json";  // sent where there is a body
  std::vector<std::pair<std::string, std::string>> headers = {};
  Millis timeout{30'000};                 // for all of it; a stream: longest silence
  std::function<bool()> keep_going = {};  // asked about once a second; false ends the request as if it were complete
};

struct HttpReply {
  int status = 0;
  std::string content_type;
  std::string body;
};

class HttpClient {
 public:
  // `base_url`: "http://127.0.0.1:8080". `key` is sent as Bearer; empty: none.
  HttpClient(std::string base_url, std::string key);

  // Failure: unreachable. Any status is a reply; bodies over 64 MiB are refused.
  [[nodiscard]] Outcome<HttpReply> send(const HttpRequest& request) const;

  // Hands the body of a 200 reply to `on_bytes` as it arrives, until that returns false or the server ends it. Any
  // other reply is returned with its body. Failure: unreachable, also when the stream breaks.
  using OnBytes = std::function<bool(std::string_view)>;
  [[nodiscard]] Outcome<HttpReply> stream(const HttpRequest& request, const OnBytes& on_bytes) const;

  [[nodiscard]] const std::string& base_url() const { return base_url_; }

 private:
  std::string base_url_, key_;
};

// Percent-encodes all but unreserved characters (RFC 3986).
[[nodiscard]] std::string url_encoded(std::string_view text);

}  // namespace scheduler::cli
