#include "infrastructure/redis/redis_message_queue.hpp"

#include "core/log.hpp"
#include "infrastructure/message_codec.hpp"
#include "infrastructure/redis/redis_scripts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <map>

namespace scheduler::infrastructure {
namespace {

using namespace application;
using namespace std::chrono_literals;

constexpr std::string_view kGroup = "scheduler";
constexpr Micros kBlockMax = 5s;            // a server that went away without a word is noticed after this
constexpr std::size_t kPartMessages = 500;  // of one script: Redis does nothing else meanwhile
constexpr std::size_t kPartBytes = 4 << 20;
constexpr std::size_t kEntriesMax = 1000;  // of one script that names entries

using Entry = std::string;  // the id that Redis gave: "1780000000123-0"

std::string whole_ms(Micros time) { return std::to_string(std::chrono::ceil<Millis>(time).count()); }

std::vector<std::string> script(std::string_view text, std::vector<std::string> keys, std::vector<std::string> values) {
  std::vector<std::string> words{"EVAL", std::string(text), std::to_string(keys.size())};
  std::ranges::move(keys, std::back_inserter(words));
  std::ranges::move(values, std::back_inserter(words));
  return words;
}

// The value of an entry's field; null where it has none.
const std::string* field(const RedisReply& fields, std::string_view name) {
  for (std::size_t i = 0; i + 1 < fields.list.size(); i += 2)
    if (fields.list[i].text == name) return &fields.list[i + 1].text;
  return nullptr;
}

}  // namespace

// What the queue, its consumers and their last errands share.
struct RedisMessageQueue::Core {
  Core(QueuePorts p, Settings s) : ports(p), settings(std::move(s)), commands(p.io, settings.server) {
    instance = fmt::format("{}-{:016x}", settings.server.name, ports.random.next());
  }

  [[nodiscard]] std::string key(const QueueName& queue) const {
    return fmt::format("{}:queue:{}", settings.prefix, queue.value);
  }
  [[nodiscard]] EnvelopeHeader next_header() {
    return {.id = fmt::format("{}.{}", instance, ++messages), .sent_at = ports.clock.now()};
  }

  QueuePorts ports;
  Settings settings;
  RedisConnection commands;
  std::string instance;
  std::uint64_t messages = 0, consumers = 0;
};

// One consumer's side of a stream. Lives until its last errand is done, longer than the Consumer.
struct RedisMessageQueue::Stream : std::enable_shared_from_this<Stream> {
  Stream(std::shared_ptr<Core> c, QueueName name, std::size_t most)
      : core(std::move(c)),
        queue(std::move(name)),
        key(core->key(queue)),
        me(fmt::format("{}.{}", core->instance, ++core->consumers)),
        prefetch(most),
        reader(core->ports.io, core->settings.server),
        wake(core->ports.timer.wake_signal()) {}

  struct Fetched {
    Entry entry;
    bool redelivered = false;
    std::shared_ptr<const Message> message;
  };
  struct Out {
    Entry entry;
    Micros since{0};  // Clock::elapsed() when it was handed out, or last renewed
  };

  [[nodiscard]] std::size_t room() const { return prefetch - std::min(prefetch, ready.size() + out.size()); }
  [[nodiscard]] Micros now() const { return core->ports.clock.elapsed(); }

  void start_fetch(std::size_t max, Micros wait) {
    fetching = true;
    spawn(core->ports.io, "redis fetch", fetch(shared_from_this(), std::min(max, room()), wait));
  }

  static asio::awaitable<void> fetch(std::shared_ptr<Stream> self, std::size_t max, Micros wait) {
    const auto done = co_await self->read(max, wait);
    if (!done) self->fault = done.error();
    self->fetching = false;
    self->wake->notify();
  }

  Async<void> read(std::size_t max, Micros wait) {
    CO_CHECK(join_group());
    if (now() >= claim_at) {
      CO_CHECK(claim(max));
      if (!ready.empty()) co_return SchedulerResult<void>{};
    }
    std::vector<std::string> words{"XREADGROUP", "GROUP", std::string(kGroup), me, "COUNT", std::to_string(max)};
    const auto block = std::min({wait, kBlockMax, claim_every()});
    if (block > 0us) words.insert(words.end(), {"BLOCK", whole_ms(block)});
    words.insert(words.end(), {"STREAMS", key, ">"});
    CO_TRY(const auto reply, reader.ask(std::move(words), block));
    if (reply.is_error("NOGROUP") || reply.is_error("UNBLOCKED")) {
      joined = false;  // the queue was removed; the next fetch makes it again
    } else if (reply.kind == RedisReply::Kind::error) {
      co_return std::unexpected(reader.to_error(reply));
    } else if (!reply.list.empty() && reply.list[0].list.size() == 2) {
      co_await accept(reply.list[0].list[1], false);
    }
    co_return SchedulerResult<void>{};
  }

  Async<void> join_group() {
    if (joined) co_return SchedulerResult<void>{};
    CO_TRY(const auto reply, core->commands.ask({"XGROUP", "CREATE", key, std::string(kGroup), "0", "MKSTREAM"}));
    if (reply.kind == RedisReply::Kind::error && !reply.is_error("BUSYGROUP"))
      co_return std::unexpected(core->commands.to_error(reply));
    joined = true;
    co_return SchedulerResult<void>{};
  }

  [[nodiscard]] Micros claim_every() const { return std::max<Micros>(core->settings.claim_after / 6, 1ms); }

  // What dead consumers left. The cursor goes on where it was: most of what is pending may belong to the living.
  Async<void> claim(std::size_t max) {
    claim_at = now() + claim_every();
    CO_TRY(const auto reply,
           core->commands.ask(script(redis_scripts::kClaim, {key},
                                     {std::string(kGroup), me, whole_ms(core->settings.claim_after), claim_cursor,
                                      std::to_string(max), whole_ms(core->settings.expiry)})));
    if (reply.is_error("NOGROUP")) {
      joined = false;
      co_return SchedulerResult<void>{};
    }
    if (reply.kind == RedisReply::Kind::error || reply.list.size() != 2)
      co_return std::unexpected(core->commands.to_error(reply));
    claim_cursor = reply.list[0].text;
    const auto& entries = reply.list[1];
    if (claim_cursor != "0-0") claim_at = now();
    if (!entries.list.empty())
      log::info("took over messages of a consumer that fell silent",
                {{"queue", queue.value}, {"messages", entries.list.size()}});
    co_await accept(entries, true);
    co_return SchedulerResult<void>{};
  }

  asio::awaitable<void> accept(const RedisReply& entries, bool claimed) {
    for (const auto& it : entries.list) {
      if (it.list.size() != 2) continue;  // deleted meanwhile
      const auto& [entry, fields] = std::tie(it.list[0].text, it.list[1]);
      const auto* text = field(fields, "m");
      auto read = text ? decode_message(*text) : fail(ErrorKind::Validation, "the entry has no field 'm'");
      if (read)
        ready.push_back({entry, claimed || field(fields, "r") != nullptr,
                         std::make_shared<const Message>(std::move(read->message))});
      else
        co_await set_aside(entry, read.error().message);
    }
  }

  asio::awaitable<void> set_aside(Entry entry, std::string why) {
    const auto moved = co_await core->commands.call(
        script(redis_scripts::kDeadLetter, {key, core->settings.prefix + ":dead"},
               {std::string(kGroup), entry, queue.value, why, std::to_string(core->settings.dead_max)}));
    if (!moved) {  // it stays pending with us, and is claimed and tried again
      log::warning("a message that cannot be read was not set aside", {{"why", moved.error().message}});
    } else if (moved->number > 0) {
      core->ports.metrics.add(Counter::messages_dropped);
      log::error("set a message aside that cannot be read",
                 {{"queue", queue.value}, {"kept in", core->settings.prefix + ":dead"}, {"why", why}});
    }
  }

  // While something is out, so that no other consumer takes it for dead.
  static asio::awaitable<void> keep(std::shared_ptr<Stream> self) {
    const auto every = self->core->settings.claim_after / 3;
    for (;;) {
      co_await self->core->ports.timer.sleep(every);
      if (self->closed || self->out.empty()) break;
      std::vector<Entry> held;
      for (auto& [tag, it] : self->out) {
        if (self->now() - it.since < every) continue;
        it.since = self->now();
        held.push_back(it.entry);
      }
      if (const auto kept = co_await self->for_entries(redis_scripts::kRenew, true, std::move(held)); !kept)
        log::warning("messages may be delivered again: could not say that they are still worked on",
                     {{"queue", self->queue.value}, {"why", kept.error().message}});
    }
    self->keeping = false;
  }

  // One script over entries, in parts.
  Async<void> for_entries(std::string_view text, bool names_consumer, std::vector<Entry> entries) {
    for (std::size_t first = 0; first < entries.size(); first += kEntriesMax) {
      std::vector<std::string> values{std::string(kGroup)};
      if (names_consumer) values.push_back(me);
      for (auto i = first; i < std::min(first + kEntriesMax, entries.size()); ++i) values.push_back(entries[i]);
      CO_CHECK(core->commands.call(script(text, {key}, std::move(values))));
    }
    co_return SchedulerResult<void>{};
  }

  std::vector<Entry> take_out(const std::vector<DeliveryTag>& tags) {
    std::vector<Entry> entries;
    for (const auto tag : tags)
      if (auto found = out.extract(tag)) entries.push_back(std::move(found.mapped().entry));
    return entries;
  }

  // Ends a read on the server, so that it hands out nothing to somebody who has stopped listening.
  static asio::awaitable<void> unblock(std::shared_ptr<Stream> self) {
    if (const auto id = self->reader.client_id())
      (void)co_await self->core->commands.ask({"CLIENT", "UNBLOCK", std::to_string(id)});
  }

  // A reader that is gone takes nothing more; then all that it took goes back. Where this fails, another one claims it.
  static asio::awaitable<void> leave(std::shared_ptr<Stream> self) {
    if (const auto id = self->reader.client_id(); id != 0 && self->fetching)
      (void)co_await self->core->commands.ask({"CLIENT", "KILL", "ID", std::to_string(id)});
    (void)co_await self->core->commands.ask(
        script(redis_scripts::kClose, {self->key}, {std::string(kGroup), self->me}));
  }

  std::shared_ptr<Core> core;
  QueueName queue;
  std::string key, me;
  std::size_t prefetch;
  RedisConnection reader;  // of its own: a read that waits holds up everything behind it
  std::unique_ptr<WakeSignal> wake;
  std::deque<Fetched> ready;
  std::map<DeliveryTag, Out> out;
  DeliveryTag next_tag = 1;
  bool joined = false, fetching = false, keeping = false, interrupted = false, closed = false;
  std::optional<SchedulerError> fault;
  Micros claim_at{0};
  std::string claim_cursor = "0-0";
};

class RedisMessageQueue::Consumer final : public QueueConsumer {
 public:
  explicit Consumer(std::shared_ptr<Stream> stream) : stream_(std::move(stream)) {}
  ~Consumer() override {
    stream_->closed = true;
    spawn(stream_->core->ports.io, "redis consumer leaves", Stream::leave(stream_));
  }

  Async<std::vector<Delivery>> receive(std::size_t max, Micros wait_max) override {
    auto& it = *stream_;
    const auto deadline = it.now() + wait_max;
    it.interrupted = false;
    for (bool asked = false; it.ready.empty() && !it.interrupted && !it.fault;) {
      const auto left = std::max<Micros>(deadline - it.now(), 0us);
      if (it.fetching) {
        co_await it.wake->wait(1h);  // it ends by itself, as every call to the server does
      } else if (left == 0us && (asked || it.room() == 0)) {
        break;
      } else if (it.room() == 0) {
        co_await it.wake->wait(left);
      } else {
        it.start_fetch(max, left);
        asked = true;
      }
    }
    if (it.ready.empty() && it.fault) co_return std::unexpected(*std::exchange(it.fault, std::nullopt));
    co_return hand_out(max);
  }

  void interrupt() override {
    stream_->interrupted = true;
    stream_->wake->notify();
    if (stream_->fetching) spawn(stream_->core->ports.io, "redis unblock", Stream::unblock(stream_));
  }

  Async<void> acknowledge(std::vector<DeliveryTag> done) override {
    const auto stream = stream_;
    auto entries = stream->take_out(done);
    stream->wake->notify();
    co_return co_await stream->for_entries(redis_scripts::kAcknowledge, false, std::move(entries));
  }

  Async<void> give_back(std::vector<DeliveryTag> tags) override {
    const auto stream = stream_;
    auto entries = stream->take_out(tags);
    stream->wake->notify();
    co_return co_await stream->for_entries(redis_scripts::kGiveBack, true, std::move(entries));
  }

 private:
  std::vector<Delivery> hand_out(std::size_t max) {
    auto& it = *stream_;
    std::vector<Delivery> deliveries;
    for (; !it.ready.empty() && deliveries.size() < max; it.ready.pop_front()) {
      auto& next = it.ready.front();
      deliveries.push_back({it.next_tag, next.redelivered, std::move(next.message)});
      it.out.emplace(it.next_tag++, Stream::Out{std::move(next.entry), it.now()});
    }
    if (!it.out.empty() && !std::exchange(it.keeping, true))
      spawn(it.core->ports.io, "redis keep", Stream::keep(stream_));
    return deliveries;
  }

  std::shared_ptr<Stream> stream_;
};

RedisMessageQueue::RedisMessageQueue(QueuePorts ports, Settings settings)
    : core_(std::make_shared<Core>(ports, std::move(settings))) {}
RedisMessageQueue::~RedisMessageQueue() = default;

Async<void> RedisMessageQueue::publish(QueueName to, std::vector<Message> batch) {
  const auto core = core_;
  std::vector<std::string> texts;
  for (const auto& message : batch)
    for (auto& text : encode_message(message, core->next_header())) texts.push_back(std::move(text));
  for (std::size_t i = 0; i < texts.size();) {
    std::vector<std::string> values{std::to_string(core->settings.depth_max), whole_ms(core->settings.expiry)};
    for (std::size_t n = 0, bytes = 0; i < texts.size() && n < kPartMessages && (n == 0 || bytes < kPartBytes); ++n) {
      bytes += texts[i].size();
      values.push_back(std::move(texts[i++]));
    }
    CO_TRY(const auto taken, core->commands.call(script(redis_scripts::kPublish, {core->key(to)}, std::move(values))));
    if (taken.number < 0)
      co_return fail(ErrorKind::MessageQueue,
                     fmt::format("queue '{}' is full ({} messages are the most); its consumer is slow or gone",
                                 to.value, core->settings.depth_max));
  }
  co_return SchedulerResult<void>{};
}

std::unique_ptr<QueueConsumer> RedisMessageQueue::consume(QueueName from, std::size_t prefetch) {
  return std::make_unique<Consumer>(std::make_shared<Stream>(core_, std::move(from), prefetch));
}

Async<std::size_t> RedisMessageQueue::depth(QueueName of) {
  const auto core = core_;
  CO_TRY(const auto length, core->commands.call({"XLEN", core->key(of)}));
  co_return static_cast<std::size_t>(length.number);
}

Async<void> RedisMessageQueue::check() {
  const auto core = core_;
  auto asked = co_await MessageQueue::check();
  if (!asked && core->commands.is_refused()) asked.error().kind = ErrorKind::Config;
  co_return asked;
}

Async<void> RedisMessageQueue::remove(QueueName name) {
  const auto core = core_;
  CO_CHECK(core->commands.call({"UNLINK", core->key(name)}));
  co_return SchedulerResult<void>{};
}

}  // namespace scheduler::infrastructure
