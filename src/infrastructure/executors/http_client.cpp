#include "infrastructure/executors/http_client.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <pthread.h>
#include <signal.h>
#include <thread>

namespace scheduler::infrastructure {
namespace {

constexpr long kRedirectsMax = 10;
constexpr long kConnectTimeoutMs = 30'000;
constexpr Millis kRetryAfterMax = std::chrono::hours{24};
constexpr Micros kWaitForNews = Seconds{3600};

using Easy = std::unique_ptr<CURL, decltype([](CURL* e) { curl_easy_cleanup(e); })>;
using HeaderList = std::unique_ptr<curl_slist, decltype([](curl_slist* l) { curl_slist_free_all(l); })>;

void initialise_once() {
  static const auto kResult = curl_global_init(CURL_GLOBAL_ALL);
  static_cast<void>(kResult);
}

// Some of curl's sentences end with a line.
std::string tidy(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  return text;
}

}  // namespace

// One exchange. The upper part is used by the thread that drives curl, the lower part by the loop; what passes between
// them is posted.
class HttpClient::Transfer : public std::enable_shared_from_this<Transfer> {
 public:
  Transfer(asio::io_context& io, Timer& timer, HttpRequest request, application::OutputSink& output)
      : wake(timer.wake_signal()),
        sink(&output),
        io_(io),
        work_(asio::make_work_guard(io)),
        request_(std::move(request)) {
    easy_.reset(curl_easy_init());
  }

  // Null when curl is out of memory.
  [[nodiscard]] CURL* easy() const { return easy_.get(); }

  void prepare(const std::string& user_agent) {
    auto* e = easy_.get();
    curl_easy_setopt(e, CURLOPT_URL, request_.url.c_str());
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(e, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, request_.follow_redirects ? 1L : 0L);
    curl_easy_setopt(e, CURLOPT_MAXREDIRS, kRedirectsMax);
    curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, kConnectTimeoutMs);
    if (request_.timeout) curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, long(request_.timeout->count()));
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L);  // an abort does not wait for a resolver that hangs
    curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(e, CURLOPT_ACCEPT_ENCODING, "");  // whatever curl can decode
    curl_easy_setopt(e, CURLOPT_USERAGENT, user_agent.c_str());
    curl_easy_setopt(e, CURLOPT_ERRORBUFFER, error_);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, &Transfer::on_body);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, this);
    prepare_method();
    curl_slist* list = nullptr;
    for (const auto& header : request_.headers) list = curl_slist_append(list, header.c_str());
    if (request_.body) list = curl_slist_append(list, "Expect:");  // no round trip before a large body
    headers_.reset(list);
    curl_easy_setopt(e, CURLOPT_HTTPHEADER, list);
  }

  // The last thing the curl thread does with it; `self` goes to the loop, where it dies. `stopped`: it was cut off.
  void finish(std::shared_ptr<Transfer> self, CURLcode code, bool stopped) {
    HttpReply result{.bytes_left_out = bytes_left_out_};
    long status = 0;
    curl_easy_getinfo(easy_.get(), CURLINFO_RESPONSE_CODE, &status);
    result.status = int(status);
    const char* type = nullptr;
    if (curl_easy_getinfo(easy_.get(), CURLINFO_CONTENT_TYPE, &type) == CURLE_OK && type != nullptr)
      result.content_type = type;
    curl_off_t wait = 0;
    if (curl_easy_getinfo(easy_.get(), CURLINFO_RETRY_AFTER, &wait) == CURLE_OK && wait > 0)
      result.retry_after = std::min(kRetryAfterMax, Millis{Seconds{std::min<curl_off_t>(wait, 86'400)}});
    if (stopped || code != CURLE_OK) {
      result.end = stopped                            ? HttpReply::End::stopped
                   : code == CURLE_OPERATION_TIMEDOUT ? HttpReply::End::timed_out
                                                      : HttpReply::End::failed;
      result.error = stopped ? "a stop was asked for" : tidy(error_[0] != '\0' ? error_ : curl_easy_strerror(code));
    }
    asio::post(io_, [it = std::move(self), result = std::move(result)]() mutable { it->end(std::move(result)); });
  }

  // --- of the loop ---

  void end(HttpReply with) {
    reply = std::move(with);
    done = true;
    work_.reset();
    wake->notify();
  }

  const std::unique_ptr<WakeSignal> wake;
  application::OutputSink* sink;  // null once nobody listens any more
  HttpReply reply;
  bool done = false;

 private:
  void prepare_method() {
    auto* e = easy_.get();
    if (request_.body) {
      curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, curl_off_t(request_.body->size()));
      curl_easy_setopt(e, CURLOPT_POSTFIELDS, request_.body->data());
    } else if (request_.method == "POST") {
      curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, curl_off_t{0});
      curl_easy_setopt(e, CURLOPT_POSTFIELDS, "");
    }
    if (request_.method == "HEAD")
      curl_easy_setopt(e, CURLOPT_NOBODY, 1L);
    else if (request_.method != (request_.body ? "POST" : "GET") && request_.method != "POST")
      curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, request_.method.c_str());
  }

  static std::size_t on_body(char* data, std::size_t size, std::size_t count, void* self) {
    auto& it = *static_cast<Transfer*>(self);
    const auto bytes = std::int64_t(size * count);
    const auto kept = std::min(bytes, kBodyBytesMax - it.bytes_kept_);
    it.bytes_kept_ += kept;
    it.bytes_left_out_ += bytes - kept;
    if (kept > 0)
      asio::post(it.io_, [to = it.shared_from_this(), text = std::string(data, std::size_t(kept))] {
        if (to->sink != nullptr) to->sink->write(application::Stream::out, text);
      });
    return size * count;
  }

  asio::io_context& io_;
  asio::executor_work_guard<asio::io_context::executor_type> work_;  // the loop goes on until the answer is in
  HttpRequest request_;
  HeaderList headers_;
  Easy easy_;
  char error_[CURL_ERROR_SIZE] = {};
  std::int64_t bytes_kept_ = 0, bytes_left_out_ = 0;
};

// The thread that drives curl. start() and abort() may be called from any other.
class HttpClient::Thread {
 public:
  Thread() : multi_(curl_multi_init()), thread_([this](const std::stop_token& ending) { run(ending); }) {}
  ~Thread() {
    thread_.request_stop();
    curl_multi_wakeup(multi_);
    thread_.join();
    curl_multi_cleanup(multi_);
  }
  Thread(const Thread&) = delete;
  Thread& operator=(const Thread&) = delete;

  // Returns the transfer's number, by which it can be aborted.
  std::uint64_t start(std::shared_ptr<Transfer> transfer) {
    std::unique_lock lock(mutex_);
    const auto number = ++count_;
    to_start_.push_back({number, std::move(transfer)});
    lock.unlock();
    curl_multi_wakeup(multi_);
    return number;
  }
  // Does nothing for one that has ended already.
  void abort(std::uint64_t number) {
    std::unique_lock lock(mutex_);
    to_abort_.push_back(number);
    lock.unlock();
    curl_multi_wakeup(multi_);
  }

 private:
  struct Numbered {
    std::uint64_t number = 0;
    std::shared_ptr<Transfer> transfer;
  };

  void run(const std::stop_token& ending) {
    // Signals are the main thread's affair; and a peer that hangs up must be an error here, not a SIGPIPE.
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
    while (!ending.stop_requested()) {
      take_orders();
      int running = 0;
      curl_multi_perform(multi_, &running);
      int left = 0;
      while (const auto* message = curl_multi_info_read(multi_, &left))
        if (message->msg == CURLMSG_DONE) finish(message->easy_handle, message->data.result, false);
      curl_multi_poll(multi_, nullptr, 0, 60'000, nullptr);
    }
    while (!active_.empty()) finish(active_.begin()->first, CURLE_ABORTED_BY_CALLBACK, true);
  }

  void take_orders() {
    std::vector<Numbered> starting;
    std::vector<std::uint64_t> aborting;
    {
      const std::lock_guard lock(mutex_);
      starting.swap(to_start_);
      aborting.swap(to_abort_);
    }
    for (auto& it : starting) {
      auto* easy = it.transfer->easy();
      active_.emplace(easy, std::move(it));
      curl_multi_add_handle(multi_, easy);
    }
    for (const auto number : aborting) {
      const auto at = std::ranges::find(active_, number, [](const auto& entry) { return entry.second.number; });
      if (at != active_.end()) finish(at->first, CURLE_ABORTED_BY_CALLBACK, true);
    }
  }

  // Keeps no part of the transfer: what belongs to the loop must not be destroyed here.
  void finish(CURL* easy, CURLcode code, bool stopped) {
    curl_multi_remove_handle(multi_, easy);
    auto transfer = std::move(active_.extract(easy).mapped().transfer);
    auto& it = *transfer;
    it.finish(std::move(transfer), code, stopped);
  }

  CURLM* multi_;
  std::mutex mutex_;
  std::uint64_t count_ = 0;  // these three are guarded by mutex_
  std::vector<Numbered> to_start_;
  std::vector<std::uint64_t> to_abort_;
  std::map<CURL*, Numbered> active_;
  std::jthread thread_;  // last: it uses all of the above
};

HttpClient::HttpClient(asio::io_context& io, Timer& timer, std::string user_agent)
    : io_(io), timer_(timer), user_agent_(std::move(user_agent)) {
  initialise_once();
  thread_ = std::make_unique<Thread>();
}

HttpClient::~HttpClient() = default;

asio::awaitable<HttpReply> HttpClient::send(HttpRequest request, application::OutputSink& sink, StopSignal& stop) {
  const auto transfer = std::make_shared<Transfer>(io_, timer_, std::move(request), sink);
  if (transfer->easy() == nullptr) co_return HttpReply{.end = HttpReply::End::failed, .error = "out of memory"};
  transfer->prepare(user_agent_);
  stop.on_request([weak = std::weak_ptr(transfer), thread = thread_.get(), number = thread_->start(transfer)] {
    if (const auto it = weak.lock(); it && !it->done) thread->abort(number);
  });
  while (!transfer->done) co_await transfer->wake->wait(kWaitForNews);
  transfer->sink = nullptr;
  co_return std::move(transfer->reply);
}

}  // namespace scheduler::infrastructure
