#include "cli/http_client.hpp"

#include <curl/curl.h>
#include <fmt/format.h>

#include <cstring>
#include <memory>

namespace scheduler::cli {
namespace {

constexpr std::size_t kBodyBytesMax = 64 << 20;
constexpr long kConnectSeconds = 5;

struct Cleanup {
  void operator()(CURL* curl) const { curl_easy_cleanup(curl); }
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using Curl = std::unique_ptr<CURL, Cleanup>;
using Headers = std::unique_ptr<curl_slist, Cleanup>;

// Where the bytes of one reply go.
struct Sink {
  CURL* curl = nullptr;
  const HttpClient::OnBytes* on_bytes = nullptr;  // null: keep the whole body
  std::string body;
  bool stopped = false, too_large = false;
};

std::size_t on_write(char* data, std::size_t, std::size_t size, void* user) {
  auto& sink = *static_cast<Sink*>(user);
  long status = 0;
  curl_easy_getinfo(sink.curl, CURLINFO_RESPONSE_CODE, &status);
  if (sink.on_bytes && status == 200) {
    sink.stopped = !(*sink.on_bytes)({data, size});
    return sink.stopped ? 0 : size;
  }
  sink.too_large = sink.body.size() + size > kBodyBytesMax;
  if (sink.too_large) return 0;
  sink.body.append(data, size);
  return size;
}

int on_progress(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  const auto& request = *static_cast<const HttpRequest*>(user);
  return request.keep_going() ? 0 : 1;
}

void add_header(Headers& headers, const std::string& line) {
  auto* longer = curl_slist_append(headers.get(), line.c_str());
  (void)headers.release();
  headers.reset(longer);
}

std::string host_of(std::string_view url) {
  const auto begin = url.find("://") + 3;
  auto host = url.substr(begin, url.find('/', begin) - begin);
  if (host.starts_with('[')) return std::string(host.substr(0, host.find(']') + 1));
  return std::string(host.substr(0, host.find(':')));
}

bool is_this_machine(const std::string& host) {
  return host == "localhost" || host == "[::1]" || host.starts_with("127.");
}

// "connection refused", without a capital: it stands inside a sentence.
std::string reason_of(CURL* curl, CURLcode code, const HttpRequest& request, const char* detail) {
  long os_error = 0;
  curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &os_error);
  std::string reason;
  if (code == CURLE_OPERATION_TIMEDOUT)
    return fmt::format("no answer within {} s", std::chrono::ceil<Seconds>(request.timeout).count());
  if (code == CURLE_COULDNT_CONNECT && os_error != 0)
    reason = std::strerror(static_cast<int>(os_error));
  else
    reason = *detail != '\0' ? detail : curl_easy_strerror(code);
  if (reason.size() > 1 && reason[1] >= 'a' && reason[1] <= 'z')
    reason[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(reason[0])));
  return reason;
}

Outcome<HttpReply> perform(const HttpClient& client, const std::string& key, const HttpRequest& request,
                           const HttpClient::OnBytes* on_bytes) {
  static const bool kReady = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
  const Curl curl(kReady ? curl_easy_init() : nullptr);
  if (!curl) return failed(Exit::error, "the HTTP library does not start");
  char detail[CURL_ERROR_SIZE] = "";
  Sink sink{.curl = curl.get(), .on_bytes = on_bytes};
  const auto url = client.base_url() + request.target;
  const auto set = [&](CURLoption option, auto value) { curl_easy_setopt(curl.get(), option, value); };
  set(CURLOPT_URL, url.c_str());
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_ERRORBUFFER, detail);
  set(CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
  set(CURLOPT_WRITEFUNCTION, &on_write);
  set(CURLOPT_WRITEDATA, &sink);
  set(CURLOPT_CUSTOMREQUEST, request.method.c_str());
  if (is_this_machine(host_of(url))) set(CURLOPT_NOPROXY, "*");
  if (on_bytes) {
    set(CURLOPT_LOW_SPEED_LIMIT, 1L);
    set(CURLOPT_LOW_SPEED_TIME, static_cast<long>(std::chrono::ceil<Seconds>(request.timeout).count()));
  } else {
    set(CURLOPT_TIMEOUT_MS, static_cast<long>(request.timeout.count()));
  }

  if (request.keep_going) {
    set(CURLOPT_NOPROGRESS, 0L);
    set(CURLOPT_XFERINFOFUNCTION, &on_progress);
    set(CURLOPT_XFERINFODATA, &request);
  }

  Headers headers;
  if (!key.empty()) add_header(headers, "Authorization: Bearer " + key);
  for (const auto& [name, value] : request.headers) add_header(headers, name + ": " + value);
  add_header(headers, "Expect:");  // no extra round trip before a large body
  const bool has_body = !request.body.empty() || request.method == "POST";
  if (has_body) {
    set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
    set(CURLOPT_POSTFIELDS, request.body.c_str());
    add_header(headers, "Content-Type:" + (request.body.empty() ? "" : " " + request.content_type));
  }
  set(CURLOPT_HTTPHEADER, headers.get());

  const auto code = curl_easy_perform(curl.get());
  if (sink.too_large) return failed(Exit::error, fmt::format("{} answered with more than 64 MiB", url));
  if (code != CURLE_OK && !sink.stopped && code != CURLE_ABORTED_BY_CALLBACK)
    return failed(
        Exit::unreachable,
        fmt::format("cannot reach {} ({}); is the scheduler running? start it with ./dev run or scheduler, or "
                    "set --api-url",
                    client.base_url(), reason_of(curl.get(), code, request, detail)));
  HttpReply reply{.body = std::move(sink.body)};
  long status = 0;
  const char* type = nullptr;
  curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &status);
  curl_easy_getinfo(curl.get(), CURLINFO_CONTENT_TYPE, &type);
  reply.status = static_cast<int>(status);
  if (type) reply.content_type = type;
  return reply;
}

}  // namespace

HttpClient::HttpClient(std::string base_url, std::string key) : base_url_(std::move(base_url)), key_(std::move(key)) {}

Outcome<HttpReply> HttpClient::send(const HttpRequest& request) const { return perform(*this, key_, request, nullptr); }

Outcome<HttpReply> HttpClient::stream(const HttpRequest& request, const OnBytes& on_bytes) const {
  return perform(*this, key_, request, &on_bytes);
}

std::string url_encoded(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                       c == '.' || c == '_' || c == '~';
    out += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

}  // namespace scheduler::cli
