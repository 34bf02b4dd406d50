#include "infrastructure/rabbitmq/rabbit_thread.hpp"

#include "core/log.hpp"
#include "infrastructure/rabbitmq/amqp_text.hpp"

#include <fmt/format.h>

#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_tcp_socket.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

namespace scheduler::infrastructure {
namespace {

// A consumer that is stopped is given up after two of them, and what it held goes to others: before the runs on which
// it reports count as missing.
constexpr int kHeartbeatSeconds = 5;
constexpr int kFrameBytesMax = 128 << 10;
constexpr Micros kTurn = std::chrono::milliseconds{500};  // heartbeats are sent from here
// A broker that went away without a word, or does not read for so long, is given up.
constexpr std::chrono::seconds kGoodbye{1};
constexpr unsigned kSilenceMs = 60'000;

timeval to_timeval(Micros time) {
  return {.tv_sec = time.count() / 1'000'000, .tv_usec = static_cast<suseconds_t>(time.count() % 1'000'000)};
}

amqp_table_entry_t entry(const char* key, amqp_boolean_t value) {
  return {.key = amqp_cstring_bytes(key), .value = {.kind = AMQP_FIELD_KIND_BOOLEAN, .value = {.boolean = value}}};
}

// Without a word to the contrary an alarm would show only as silence, a deleted queue not at all.
amqp_rpc_reply_t log_in(amqp_connection_state_t link, const RabbitThread::Settings& settings) {
  amqp_table_entry_t can[] = {entry("connection.blocked", 1), entry("consumer_cancel_notify", 1)};
  amqp_table_entry_t about[2] = {};
  about[0].key = amqp_cstring_bytes("capabilities");
  about[0].value.kind = AMQP_FIELD_KIND_TABLE;
  about[0].value.value.table = {.num_entries = std::size(can), .entries = can};
  about[1].key = amqp_cstring_bytes("connection_name");
  about[1].value.kind = AMQP_FIELD_KIND_UTF8;
  about[1].value.value.bytes = to_amqp(settings.name);
  const amqp_table_t properties{.num_entries = std::size(about), .entries = about};
  return amqp_login_with_properties(link, settings.vhost.c_str(), 0, kFrameBytesMax, kHeartbeatSeconds, &properties,
                                    AMQP_SASL_METHOD_PLAIN, settings.user.c_str(), settings.password.c_str());
}

void set_socket_options(int fd) {
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  ::setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  ::setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &kSilenceMs, sizeof kSilenceMs);
}

}  // namespace

RabbitThread::Settings RabbitThread::Settings::of(const config::BrokerUrl& url) {
  Settings settings;
  settings.host = url.host;
  settings.port = url.port;
  settings.user = url.user;
  settings.password = url.password;
  settings.vhost = url.path;
  return settings;
}

RabbitThread::RabbitThread(Settings settings)
    : settings_(std::move(settings)), wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), pause_(settings_.pause_min) {}

RabbitThread::~RabbitThread() { ::close(wake_); }

void RabbitThread::start() {
  thread_ = std::thread([this] { run(); });
}

void RabbitThread::stop() {
  stopping_ = true;
  post([] {});
  {
    std::unique_lock lock(mutex_);
    end_.wait_for(lock, kGoodbye, [this] { return ended_; });
    // A thread that is writing to a broker which does not read would not notice.
    if (socket_ >= 0) ::shutdown(socket_, SHUT_RDWR);
  }
  thread_.join();
}

void RabbitThread::post(Command command) {
  {
    const std::scoped_lock lock(mutex_);
    commands_.push_back(std::move(command));
  }
  const std::uint64_t one = 1;
  (void)!::write(wake_, &one, sizeof one);
}

void RabbitThread::drop(std::string why) {
  if (why_drop_.empty()) why_drop_ = std::move(why);
}

SchedulerResult<void> RabbitThread::check_reply(Channel channel) {
  const auto reply = amqp_get_rpc_reply(link_);
  if (reply.reply_type == AMQP_RESPONSE_NORMAL) return {};
  if (reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION && reply.reply.id == AMQP_CHANNEL_CLOSE_METHOD)
    return std::unexpected(take_channel_close(channel, reply.reply.decoded));
  if (reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION && reply.reply.id == AMQP_CONNECTION_CLOSE_METHOD)
    drop(std::string(from_amqp(static_cast<const amqp_connection_close_t*>(reply.reply.decoded)->reply_text)));
  else
    drop(amqp_error_string2(reply.library_error));
  return fail(ErrorKind::Unavailable, at(why_drop_));
}

SchedulerError RabbitThread::take_channel_close(Channel channel, const void* method) {
  const auto* close = static_cast<const amqp_channel_close_t*>(method);
  if (close->reply_code == AMQP_ACCESS_REFUSED) refused_ = true;
  SchedulerError why{close->reply_code == AMQP_NOT_FOUND ? ErrorKind::NotFound : ErrorKind::MessageQueue,
                     at(fmt::format("it refuses: {}", from_amqp(close->reply_text)))};
  amqp_channel_close_ok_t ok{};
  (void)sent(amqp_send_method(link_, channel, AMQP_CHANNEL_CLOSE_OK_METHOD, &ok));
  return why;
}

SchedulerResult<void> RabbitThread::open_channel(Channel channel) {
  amqp_channel_open(link_, channel);
  return check_reply(channel);
}

bool RabbitThread::sent(int status) {
  if (status != AMQP_STATUS_OK) drop(amqp_error_string2(status));
  return status == AMQP_STATUS_OK;
}

std::string RabbitThread::at(std::string_view what) const {
  if (what.starts_with("RabbitMQ at ")) return std::string(what);
  return fmt::format("RabbitMQ at {}:{}: {}", settings_.host, settings_.port, what);
}

void RabbitThread::set_socket(int fd) {
  const std::scoped_lock lock(mutex_);
  socket_ = fd;
}

void RabbitThread::run() {
  while (!stopping_) {
    connect();
    if (is_up()) serve();
    disconnect();
    if (stopping_) break;
    const auto until =
        std::chrono::steady_clock::now() + std::exchange(pause_, std::min(pause_ * 2, settings_.pause_max));
    for (auto now = std::chrono::steady_clock::now(); now < until && !stopping_;
         now = std::chrono::steady_clock::now()) {
      run_commands();
      wait(std::chrono::ceil<Micros>(until - now));
    }
  }
  run_commands();
  const std::scoped_lock lock(mutex_);
  ended_ = true;
  end_.notify_all();
}

void RabbitThread::connect() {
  why_drop_.clear();
  link_ = amqp_new_connection();
  auto opened = open();
  if (opened) opened = connected();
  if (!opened) return drop(opened.error().message);
  refused_ = false;
  pause_ = settings_.pause_min;
  if (std::exchange(was_away_, false)) log::info("connected to RabbitMQ again");
}

SchedulerResult<void> RabbitThread::open() {
  auto* socket = amqp_tcp_socket_new(link_);
  auto deadline = to_timeval(settings_.deadline);
  amqp_set_handshake_timeout(link_, &deadline);
  amqp_set_rpc_timeout(link_, &deadline);
  if (const int status = amqp_socket_open_noblock(socket, settings_.host.c_str(), settings_.port, &deadline);
      status != AMQP_STATUS_OK)
    return fail(ErrorKind::Unavailable,
                fmt::format("no connection ({}); is it up, and reachable from this host?", amqp_error_string2(status)));
  set_socket_options(amqp_get_sockfd(link_));
  set_socket(amqp_get_sockfd(link_));
  const auto reply = log_in(link_, settings_);
  if (reply.reply_type == AMQP_RESPONSE_NORMAL) return {};
  if (reply.reply_type != AMQP_RESPONSE_SERVER_EXCEPTION || reply.reply.id != AMQP_CONNECTION_CLOSE_METHOD)
    return fail(ErrorKind::Unavailable,
                fmt::format("the login did not end well ({})", amqp_error_string2(reply.library_error)));
  const auto* close = static_cast<const amqp_connection_close_t*>(reply.reply.decoded);
  const auto why = from_amqp(close->reply_text);
  // NOT_ALLOWED: there is no such vhost, or it is not for us.
  refused_ = close->reply_code == AMQP_ACCESS_REFUSED || close->reply_code == AMQP_NOT_ALLOWED;
  return fail(ErrorKind::Unavailable,
              fmt::format("it refuses us ({}); correct user, password and vhost in message_queue.url", why));
}

void RabbitThread::disconnect() {
  if (stopping_ && is_up()) amqp_connection_close(link_, AMQP_REPLY_SUCCESS);
  if (stopping_) drop("this program is stopping");
  set_socket(-1);
  amqp_destroy_connection(std::exchange(link_, nullptr));
  const SchedulerError why{ErrorKind::Unavailable, at(why_drop_)};
  const bool news = !std::exchange(was_away_, true) || why != why_down_;
  why_down_ = why;
  if (news && !stopping_) log::warning("no connection to RabbitMQ; trying again and again", {{"why", why.message}});
  lost(why_down_);
}

void RabbitThread::serve() {
  while (is_up() && !stopping_) {
    run_commands();
    if (is_up()) turn();
    if (is_up() && !read_frames()) wait(kTurn);
  }
}

void RabbitThread::run_commands() {
  std::vector<Command> commands;
  {
    const std::scoped_lock lock(mutex_);
    commands.swap(commands_);
  }
  for (auto& command : commands) command();
}

// True when there was something; then there may be more.
bool RabbitThread::read_frames() {
  bool some = false;
  for (int n = 0; n < 1000 && is_up(); ++n, some = true) {
    amqp_frame_t frame;
    timeval now{};
    amqp_maybe_release_buffers(link_);
    const int status = amqp_simple_wait_frame_noblock(link_, &frame, &now);
    if (status == AMQP_STATUS_TIMEOUT) break;
    if (!sent(status)) break;
    if (frame.frame_type == AMQP_FRAME_METHOD && frame.payload.method.id == AMQP_CONNECTION_CLOSE_METHOD)
      drop(std::string(from_amqp(static_cast<amqp_connection_close_t*>(frame.payload.method.decoded)->reply_text)));
    else
      on_frame(frame);
  }
  return some;
}

void RabbitThread::wait(Micros most) {
  pollfd sources[] = {{.fd = wake_, .events = POLLIN, .revents = 0},
                      {.fd = link_ ? amqp_get_sockfd(link_) : -1, .events = POLLIN, .revents = 0}};
  ::poll(sources, std::size(sources), static_cast<int>(std::chrono::ceil<Millis>(most).count()));
  std::uint64_t count = 0;
  (void)!::read(wake_, &count, sizeof count);
}

}  // namespace scheduler::infrastructure
