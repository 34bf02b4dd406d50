#include "infrastructure/redis/redis_connection.hpp"

#include "core/log.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <deque>
#include <functional>
#include <hiredis/hiredis.h>

namespace scheduler::infrastructure {
namespace {

using asio::ip::tcp;
using SteadyTime = std::chrono::steady_clock::time_point;
using Answer = SchedulerResult<RedisReply>;

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);

SteadyTime steady_now() { return std::chrono::steady_clock::now(); }

RedisReply to_reply(const redisReply& from) {
  RedisReply reply;
  switch (from.type) {
    case REDIS_REPLY_INTEGER:
      reply.kind = RedisReply::Kind::number;
      reply.number = from.integer;
      break;
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
      reply.kind = RedisReply::Kind::text;
      reply.text.assign(from.str, static_cast<std::size_t>(from.len));
      break;
    case REDIS_REPLY_ERROR:
      reply.kind = RedisReply::Kind::error;
      reply.text.assign(from.str, static_cast<std::size_t>(from.len));
      break;
    case REDIS_REPLY_ARRAY:
      reply.kind = RedisReply::Kind::list;
      reply.list.reserve(from.elements);
      for (std::size_t i = 0; i < from.elements; ++i) reply.list.push_back(to_reply(*from.element[i]));
      break;
    default:
      break;
  }
  return reply;
}

// The same call may go well later.
bool is_for_now(const RedisReply& error) {
  constexpr std::string_view kForNow[] = {"OOM",   "LOADING", "READONLY",   "MASTERDOWN",     "CLUSTERDOWN",
                                          "BUSY ", "MISCONF", "NOREPLICAS", "ERR max number", "UNBLOCKED"};
  return std::ranges::any_of(kForNow, [&](auto code) { return error.text.starts_with(code); });
}

void append_command(const std::vector<std::string>& words, std::string& into) {
  fmt::format_to(std::back_inserter(into), "*{}\r\n", words.size());
  for (const auto& word : words) {
    fmt::format_to(std::back_inserter(into), "${}\r\n", word.size());
    into.append(word).append("\r\n");
  }
}

// One TCP connection from its start to its end. Whoever waits when it ends is told why.
class Link : public std::enable_shared_from_this<Link> {
 public:
  explicit Link(tcp::socket socket) : socket_(std::move(socket)), watchdog_(socket_.get_executor()) {}

  void start() { read(); }
  [[nodiscard]] bool is_open() const { return socket_.is_open(); }
  [[nodiscard]] const std::string& why_closed() const { return why_closed_; }
  [[nodiscard]] std::size_t unsent() const { return next_.size(); }

  asio::awaitable<Answer> send(std::vector<std::string> words, Micros deadline) {
    auto begin = [&](auto handler) {
      if (!is_open()) return finish(std::move(handler), gone());
      append_command(words, next_);
      words = {};
      pending_.push_back({std::move(handler), steady_now() + deadline});
      if (pending_.size() == 1) watch();
      if (writing_.empty()) write();
    };
    co_return co_await asio::async_initiate<const asio::use_awaitable_t<>, void(Answer)>(begin, asio::use_awaitable);
  }

  void close(std::string why) {
    if (!is_open()) return;
    why_closed_ = std::move(why);
    boost::system::error_code ignored;
    socket_.close(ignored);
    watchdog_.cancel();
    for (auto& it : std::exchange(pending_, {})) finish(std::move(it.handler), gone());
  }

 private:
  using Handler = std::move_only_function<void(Answer)>;
  struct Pending {
    Handler handler;
    SteadyTime deadline;
  };

  [[nodiscard]] Answer gone() const { return fail(ErrorKind::Unavailable, why_closed_); }

  // Never from inside: who is told may ask again at once.
  void finish(Handler handler, Answer answer) {
    asio::post(socket_.get_executor(),
               [handler = std::move(handler), answer = std::move(answer)]() mutable { handler(std::move(answer)); });
  }

  void write() {
    writing_ = std::exchange(next_, {});
    asio::async_write(socket_, asio::buffer(writing_),
                      [self = shared_from_this()](const boost::system::error_code& fault, std::size_t) {
                        if (fault) return self->close("the connection broke while sending: " + fault.message());
                        self->writing_.clear();
                        if (!self->next_.empty()) self->write();
                      });
  }

  void read() {
    socket_.async_read_some(asio::buffer(buffer_),
                            [self = shared_from_this()](const boost::system::error_code& fault, std::size_t size) {
                              if (fault) return self->close("the connection broke: " + fault.message());
                              if (self->take(size)) self->read();
                            });
  }

  // False: it was no protocol of ours, and the connection is closed.
  bool take(std::size_t size) {
    redisReaderFeed(reader_.get(), buffer_.data(), size);
    for (;;) {
      void* raw = nullptr;
      if (redisReaderGetReply(reader_.get(), &raw) != REDIS_OK) {
        close(fmt::format("the server does not speak like Redis: {}", reader_->errstr));
        return false;
      }
      if (raw == nullptr) return is_open();
      const std::unique_ptr<void, decltype(&freeReplyObject)> reply(raw, &freeReplyObject);
      if (pending_.empty()) continue;  // a word that nobody asked for
      auto handler = std::move(pending_.front().handler);
      pending_.pop_front();
      finish(std::move(handler), to_reply(*static_cast<const redisReply*>(raw)));
    }
  }

  // Answers come in the order of the calls, so only the first one's deadline can be the next to pass.
  void watch() {
    watchdog_.expires_at(pending_.front().deadline);
    watchdog_.async_wait([weak = weak_from_this()](const boost::system::error_code& cancelled) {
      const auto self = weak.lock();
      if (cancelled || !self || self->pending_.empty()) return;
      if (self->pending_.front().deadline <= steady_now()) return self->close("the server did not answer in time");
      self->watch();
    });
  }

  struct FreeReader {
    void operator()(redisReader* reader) const { redisReaderFree(reader); }
  };

  tcp::socket socket_;
  asio::steady_timer watchdog_;
  std::unique_ptr<redisReader, FreeReader> reader_{redisReaderCreate()};
  std::array<char, 64 << 10> buffer_;
  std::string next_, writing_;
  std::deque<Pending> pending_;
  std::string why_closed_;
};

}  // namespace

class RedisConnection::Core : public std::enable_shared_from_this<Core> {
 public:
  Core(asio::io_context& io, Settings settings)
      : io_(io), settings_(std::move(settings)), pause_(settings_.pause_min), tried_(io) {
    tried_.expires_at(SteadyTime::max());
  }

  Async<RedisReply> ask(std::vector<std::string> words, Micros blocking) {
    CO_CHECK(connected());
    const auto link = link_;
    if (link->unsent() > settings_.bytes_max)
      co_return fail(ErrorKind::MessageQueue, at("takes messages more slowly than they are sent"));
    auto answer = co_await link->send(std::move(words), settings_.deadline + blocking);
    if (!answer) co_return fail(answer.error().kind, at(answer.error().message));
    // A server that no longer takes writes has handed over to another one, behind the same name.
    if (answer->is_error("READONLY")) link->close("the server is a replica now");
    if (answer->is_error("NOPERM") || answer->is_error("NOAUTH")) refused_ = true;
    co_return answer;
  }

  void close() {
    closed_ = true;
    if (link_) link_->close("this program is stopping");
  }

  [[nodiscard]] bool is_refused() const { return refused_; }
  [[nodiscard]] std::int64_t client_id() const { return link_ && link_->is_open() ? client_id_ : 0; }
  [[nodiscard]] SchedulerError to_error(const RedisReply& error) const {
    return {is_for_now(error) ? ErrorKind::Unavailable : ErrorKind::MessageQueue, at("it refuses: " + error.text)};
  }

 private:
  [[nodiscard]] std::string server() const { return fmt::format("{}:{}", settings_.host, settings_.port); }
  [[nodiscard]] std::string at(std::string_view what) const { return fmt::format("Redis at {}: {}", server(), what); }

  Async<void> connected() {
    while (trying_) co_await tried_.async_wait(kAwait);
    if (link_ && link_->is_open()) co_return SchedulerResult<void>{};
    if (closed_) co_return fail(ErrorKind::Unavailable, at("this program is stopping"));
    if (link_) {
      log::warning("lost the connection to Redis", {{"server", server()}, {"why", link_->why_closed()}});
      last_fault_ = {ErrorKind::Unavailable, at(link_->why_closed())};
      link_.reset();
    }
    if (steady_now() < next_try_) co_return std::unexpected(last_fault_);
    trying_ = true;
    const auto self = shared_from_this();
    const auto made = co_await connect();
    trying_ = false;
    tried_.cancel();
    if (made) {
      if (std::exchange(was_away_, false)) log::info("connected to Redis again", {{"server", server()}});
      pause_ = settings_.pause_min;
      co_return made;
    }
    was_away_ = true;
    last_fault_ = {made.error().kind, at(made.error().message)};
    next_try_ = steady_now() + pause_;
    pause_ = std::min(pause_ * 2, settings_.pause_max);
    co_return std::unexpected(last_fault_);
  }

  Async<void> connect() {
    const auto resolver = std::make_shared<tcp::resolver>(io_);
    const auto socket = std::make_shared<tcp::socket>(io_);
    asio::steady_timer deadline(io_, settings_.deadline);
    deadline.async_wait([resolver, socket](const boost::system::error_code& cancelled) {
      if (cancelled) return;
      resolver->cancel();
      boost::system::error_code ignored;
      socket->close(ignored);
    });
    const auto [unknown, places] =
        co_await resolver->async_resolve(settings_.host, std::to_string(settings_.port), kAwait);
    if (unknown) co_return fail(ErrorKind::Unavailable, "its address cannot be found: " + unknown.message());
    const auto [fault, place] = co_await asio::async_connect(*socket, places, kAwait);
    if (fault)
      co_return fail(ErrorKind::Unavailable,
                     fmt::format("no connection ({}); is it up, and reachable from this host?", fault.message()));
    deadline.cancel();
    boost::system::error_code ignored;
    socket->set_option(tcp::no_delay(true), ignored);
    socket->set_option(asio::socket_base::keep_alive(true), ignored);
    const auto link = std::make_shared<Link>(std::move(*socket));
    link->start();
    const auto greeted = co_await greet(*link);
    if (!greeted) {
      link->close("was not let in");
      co_return greeted;
    }
    link_ = link;
    if (closed_) link->close("this program is stopping");
    co_return greeted;
  }

  Async<void> greet(Link& link) {
    std::vector<std::vector<std::string>> words;
    if (!settings_.user.empty())
      words.push_back({"AUTH", settings_.user, settings_.password});
    else if (!settings_.password.empty())
      words.push_back({"AUTH", settings_.password});
    if (settings_.database != 0) words.push_back({"SELECT", std::to_string(settings_.database)});
    words.push_back({"CLIENT", "SETNAME", settings_.name});
    words.push_back({"CLIENT", "ID"});
    for (auto& command : words) {
      CO_TRY(const auto reply, link.send(std::move(command), settings_.deadline));
      refused_ = reply.kind == RedisReply::Kind::error && !is_for_now(reply);
      if (reply.kind == RedisReply::Kind::error)
        co_return fail(ErrorKind::Unavailable,
                       refused_ ? fmt::format("it refuses us ({}); correct user, password and database in "
                                              "message_queue.url",
                                              reply.text)
                                : fmt::format("it refuses us for now ({})", reply.text));
      client_id_ = reply.number;
    }
    co_return SchedulerResult<void>{};
  }

  asio::io_context& io_;
  Settings settings_;
  std::shared_ptr<Link> link_;
  std::int64_t client_id_ = 0;
  bool closed_ = false;
  bool trying_ = false;
  bool was_away_ = false;
  bool refused_ = false;
  Micros pause_;
  SteadyTime next_try_{};
  SchedulerError last_fault_;
  asio::steady_timer tried_;  // cancelled when an attempt has ended
};

RedisConnection::Settings RedisConnection::Settings::of(const config::BrokerUrl& url) {
  Settings settings;
  settings.host = url.host;
  settings.port = url.port;
  settings.user = url.user;
  settings.password = url.password;
  if (!url.path.empty()) settings.database = std::stoi(url.path);  // parse_redis_url let only digits through
  return settings;
}

RedisConnection::RedisConnection(asio::io_context& io, Settings settings)
    : core_(std::make_shared<Core>(io, std::move(settings))) {}
RedisConnection::~RedisConnection() { core_->close(); }

Async<RedisReply> RedisConnection::ask(std::vector<std::string> words, Micros blocking) {
  const auto core = core_;  // this object may be gone before the answer comes
  co_return co_await core->ask(std::move(words), blocking);
}

Async<RedisReply> RedisConnection::call(std::vector<std::string> words, Micros blocking) {
  const auto core = core_;
  CO_TRY(auto reply, core->ask(std::move(words), blocking));
  if (reply.kind == RedisReply::Kind::error) co_return std::unexpected(core->to_error(reply));
  co_return reply;
}

SchedulerError RedisConnection::to_error(const RedisReply& error) const { return core_->to_error(error); }
bool RedisConnection::is_refused() const { return core_->is_refused(); }
std::int64_t RedisConnection::client_id() const { return core_->client_id(); }

}  // namespace scheduler::infrastructure
