#include "simulation/world.hpp"

#include "infrastructure/guarded_message_queue.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <fmt/format.h>

#include <stdexcept>

namespace scheduler::simulation {

using namespace application;
using namespace std::chrono_literals;

namespace {

// A Sunday evening; nothing depends on it.
constexpr TimePoint kStart = std::chrono::sys_days{std::chrono::year{2026} / 3 / 1} + 20h;
constexpr Seconds kWorkerTimeout{8};
constexpr int kSlots = 3;

class NoMetrics final : public Metrics {
 public:
  void add(Counter, std::size_t) override {}
  void observe(Histogram, Micros) override {}
  void set(Gauge, std::int64_t) override {}
  void observe_tick(std::string_view, Micros) override {}
  void observe_request(std::string_view, std::string_view, int, Micros) override {}
  std::string exposition() override { return {}; }
};

class OnlyUtc final : public domain::TimeZones {
 public:
  SchedulerResult<const domain::TimeZone*> find(std::string_view name) const override {
    if (name == kGoneZone) return fail(ErrorKind::Validation, "simulated: the zone left the host");
    return &domain::utc();
  }
};

class AnyParameters final : public ParameterCheck {
 public:
  std::vector<FieldError> check(std::string_view, std::string_view, std::span<const std::string>) const override {
    return {};
  }
};

class SeededRandom final : public Random {
 public:
  explicit SeededRandom(std::mt19937_64& dice) : dice_(dice) {}
  std::uint64_t next() override { return dice_(); }

 private:
  std::mt19937_64& dice_;
};

// A host's own clock is never quite right.
class DriftingClock final : public Clock {
 public:
  DriftingClock(const Clock& right, Micros off_by) : right_(right), off_by_(off_by) {}
  TimePoint now() const override { return right_.now() + off_by_; }
  Micros elapsed() const override { return right_.elapsed(); }

 private:
  const Clock& right_;
  const Micros off_by_;
};

std::uint64_t hash_of(std::uint64_t a, std::uint64_t b) {
  std::uint64_t x = a * 0x9e3779b97f4a7c15u + b;
  x = (x ^ (x >> 31)) * 0xbf58476d1ce4e5b9u;
  return x ^ (x >> 29);
}

}  // namespace

// Does what (run, attempt) says it will: takes its time, ends well or badly, heeds a stop.
class World::Executor final : public TaskExecutor, public ExecutorRegistry {
 public:
  Executor(World& world, std::shared_ptr<Process> process) : world_(world), process_(std::move(process)) {}
  TaskExecutor* find(std::string_view) override { return this; }
  std::vector<std::string> task_types() const override { return {std::string(kDeafType), std::string(kObedientType)}; }

  asio::awaitable<domain::Outcome> execute(const TaskExecution& work, OutputSink& sink, StopSignal& stop) override {
    const auto began = world_.time_.elapsed();
    world_.checker_.began(work, process_->name);
    if (++running_ > kSlots)
      world_.checker_.broken(fmt::format("{} has {} slots and runs {} attempts", process_->name, kSlots, running_));
    sink.write(Stream::out, fmt::format("run {} attempt {}\n", work.run.value, work.attempt));
    const auto fate = hash_of(static_cast<std::uint64_t>(work.run.value), static_cast<std::uint64_t>(work.attempt));
    co_await take_time(fate, work.task_type == kDeafType, stop);
    auto outcome = outcome_of(fate);
    outcome.message += fmt::format("as token {} of run {}", work.token, work.run.value);
    --running_;
    world_.checker_.ended(work, outcome,
                          process_->paused_until < began && work.task_type != kDeafType
                              ? std::optional(world_.time_.elapsed() - began)
                              : std::nullopt);
    co_return outcome;
  }

 private:
  asio::awaitable<void> take_time(std::uint64_t fate, bool is_deaf, StopSignal& stop) {
    auto& time = world_.time_;
    if (is_deaf && fate % 2 == 0) {
      co_await time.sleep(Millis{40'000 + fate % 60'000});
    } else {
      const std::shared_ptr<WakeSignal> ended = time.wake_signal();  // a stop may be asked for later than it matters
      stop.on_request([ended] { ended->notify(); });
      co_await ended->wait(Millis{fate % 3 == 0 ? 0 : fate % 9000});
    }
    if (process_->killed) co_await time.hang();
    while (time.elapsed() < process_->paused_until) co_await time.sleep(process_->paused_until - time.elapsed());
    if (process_->killed) co_await time.hang();
    if (stop.requested()) co_await time.sleep(50ms);  // it takes a moment to die
  }

  static domain::Outcome outcome_of(std::uint64_t fate) {
    if ((fate >> 8) % 4 != 0) return {.message = "went well "};
    return {domain::AttemptState::failed, domain::Reason::exit_code, "exited with code 1 ", 1};
  }

  World& world_;
  std::shared_ptr<Process> process_;
  int running_ = 0;
};

// One process and what it is made of, from the store to itself.
struct World::Node {
  Kind kind{};
  std::size_t place = 0;
  std::shared_ptr<Process> process;
  std::unique_ptr<DriftingClock> clock;
  std::unique_ptr<Store> stored, faulty_store, mutated;
  Store* store = nullptr;
  FaultyQueue* wire = nullptr;
  std::unique_ptr<MessageQueue> guarded, mutated_queue;
  MessageQueue* queue = nullptr;
  std::unique_ptr<dispatcher::Dispatcher> dispatcher;
  std::unique_ptr<Executor> executor;
  std::unique_ptr<worker::Worker> worker;
};

World::World(WorldSettings settings)
    : settings_(std::move(settings)),
      time_(kStart),
      source_(settings_.seed),
      trace_(time_, settings_.trace_lines),
      checker_(time_, trace_, coverage_, {.dispatchers = settings_.dispatchers, .gone_zone = std::string(kGoneZone)}),
      around_{time_, source_, checker_, coverage_, doorbells_},
      workload_(checker_, time_, source_),
      queue_(time_),
      metrics_(std::make_unique<NoMetrics>()),
      zones_(std::make_unique<OnlyUtc>()),
      parameters_(std::make_unique<AnyParameters>()),
      random_(std::make_unique<SeededRandom>(source_.dice)) {
  auto store = infrastructure::SqliteStore::open(time_, {.path = ":memory:", .mode = database::sqlite::Mode::inline_});
  if (!store) throw std::runtime_error(store.error().message);
  store_ = std::move(*store);
  source_.rates = settings_.rates;
}

World::~World() = default;

std::vector<std::string> World::run() {
  run_to_end(checker_.attach(store_->database()));
  run_to_end(workload_.make_tasks(*store_));
  for (std::size_t i = 0; i < settings_.dispatchers; ++i) start(Kind::dispatcher, nodes_.size(), fmt::format("d{}", i));
  for (std::size_t i = 0; i < settings_.workers; ++i) start(Kind::worker, nodes_.size(), fmt::format("w{}", i));
  for (std::size_t i = 0; i < settings_.clients; ++i) start(Kind::client, nodes_.size(), fmt::format("c{}", i));
  if (settings_.trouble) asio::co_spawn(time_.io(), make_trouble(), asio::detached);
  const auto is_broken = [this] { return !checker_.broken().empty(); };
  time_.run_for(settings_.faulty_time, is_broken);

  if (settings_.mode == Mode::liveness && !is_broken()) {
    calm_down();
    time_.run_for(90s, [&] { return is_broken() || checker_.caught_up(); });
    if (!checker_.caught_up()) checker_.broken("a schedule does not decide what is due, and nothing is wrong any more");
    run_to_end(workload_.pause_all_tasks(*store_));
    time_.run_for(settings_.calm_time / 10, [&] { return is_broken() || checker_.open().empty(); });
    time_.run_for(settings_.calm_time,
                  [&] { return is_broken() || checker_.open().empty() || checker_.has_overdue_run(); });
    if (checker_.has_overdue_run()) checker_.broken("a run goes on far beyond its timeout");
  }
  if (!is_broken()) checker_.judge_end(settings_.mode == Mode::liveness);
  return checker_.broken();
}

void World::run_to_end(asio::awaitable<void> work) {
  bool done = false;
  asio::co_spawn(time_.io(), std::move(work), [&done](std::exception_ptr) { done = true; });
  time_.run_for(1h, [&done] { return done; });
}

// --- processes ---

std::unique_ptr<World::Node> World::make_node(Kind kind, std::size_t place, std::string name) {
  auto it = std::make_unique<Node>();
  it->kind = kind;
  it->place = place;
  it->process = std::make_shared<Process>(std::move(name));
  it->clock = std::make_unique<DriftingClock>(time_, source_.between(-15s, 15s));
  const Faults faults(around_, it->process);
  const auto* mutant = settings_.mutant;
  const MutantHost host{*store_, time_, *it->clock};

  if (mutant != nullptr && mutant->at_store != nullptr) it->stored = mutant->at_store(host);
  it->faulty_store = faulty_store(it->stored ? *it->stored : *store_, faults);
  it->store = it->faulty_store.get();

  // A way to the broker of its own, behind a circuit breaker.
  auto wire = std::make_unique<FaultyQueue>(queue_, faults);
  it->wire = wire.get();
  it->guarded = std::make_unique<infrastructure::GuardedMessageQueue>(
      std::move(wire), Circuit::make({time_.io(), time_, time_}, "message queue"));
  it->queue = it->guarded.get();
  if (mutant != nullptr && mutant->on_queue != nullptr) {
    it->mutated_queue = mutant->on_queue(*it->queue);
    it->queue = it->mutated_queue.get();
  }
  if (mutant != nullptr && mutant->in_process != nullptr) {
    it->mutated = mutant->in_process(host, *it->store, *it->queue);
    it->store = it->mutated.get();
  }
  return it;
}

void World::start(Kind kind, std::size_t place, std::string name) {
  auto* it = all_nodes_.emplace_back(make_node(kind, place, std::move(name))).get();
  nodes_.resize(std::max(nodes_.size(), place + 1));
  nodes_[place] = it;
  switch (kind) {
    case Kind::dispatcher:
      it->dispatcher = std::make_unique<dispatcher::Dispatcher>(
          dispatcher::Ports{*it->store, *it->queue, *zones_, *metrics_, *it->clock, time_, *random_},
          dispatcher::Settings{.strategy = static_cast<domain::Strategy>(source_.below(5)),
                               .worker_timeout = kWorkerTimeout});
      asio::co_spawn(time_.io(), it->dispatcher->run(time_.io()), asio::detached);
      break;
    case Kind::worker:
      it->executor = std::make_unique<Executor>(*this, it->process);
      it->worker = std::make_unique<worker::Worker>(
          time_.io(),
          worker::Ports{*it->queue, *it->executor, *it->clock, time_, *random_, [] { return worker::HostLoad{}; },
                        [](IncarnationId) -> asio::awaitable<void> { co_return; }},
          worker::Settings{.id = {it->process->name},
                           .slots = kSlots,
                           .heartbeat_interval = 2s,
                           .drain_timeout = 3s,
                           .last_work_wait = 1s});
      asio::co_spawn(time_.io(), live_as_worker(*it), asio::detached);
      break;
    case Kind::client:
      asio::co_spawn(time_.io(),
                     workload_.be_a_client(
                         ServiceFactory({*it->store, *it->queue, *zones_, *parameters_, *it->clock, time_}), faulty_),
                     asio::detached);
      break;
  }
}

// Who leaves in order, or found that another one has its name, is started again like one that died.
asio::awaitable<void> World::live_as_worker(Node& node) {
  (void)co_await node.worker->run();
  trace_.note(fmt::format("{} has left", node.process->name));
  node.process->killed = true;  // nobody is there any more for anything to happen to
  co_await restart_later(node);
}

asio::awaitable<void> World::restart_later(Node& node) {
  co_await time_.sleep(source_.between(10ms, 6s));
  start(node.kind, node.place, node.process->name);
}

// --- trouble ---

// Half of it comes at any time, half of it strikes in the middle of a call that is about runs.
asio::awaitable<void> World::make_trouble() {
  for (;;) {
    co_await time_.sleep(source_.between(300ms, 5s));
    if (!faulty_) co_return;
    auto& node = *nodes_[source_.below(nodes_.size())];
    if (source_.happens(40)) {
      strike(node);
    } else {
      node.process->strike = [this, &node] {
        if (faulty_) strike(node);
      };
      node.process->strikes_in = 1 + static_cast<int>(source_.below(6));
    }
  }
}

void World::strike(Node& node) {
  auto& process = *node.process;
  if (process.killed) return;
  const auto now = time_.elapsed();
  const auto dice = source_.below(100);
  if (dice < 22) return kill(node);
  if (dice < 36) {
    trace_.note(fmt::format("pause {}", process.name));
    process.paused_until = now + source_.between(1s, 15s);
  } else if (dice < 47) {
    trace_.note(fmt::format("{} is cut off", process.name));
    process.cut_off_until = now + source_.between(500ms, 15s);
    node.wire->lose_connection(false);
  } else if (dice < 54) {
    trace_.note("the broker goes away");
    source_.broker_away_until = now + source_.between(100ms, 10s);
  } else if (dice < 64) {
    trace_.note("the store goes away");
    source_.store_away_until = now + source_.between(100ms, 10s);
  } else if (dice < 73) {
    set_clock(source_.happens(70) ? source_.between(100ms, 4s) : source_.between(4s, 100s));
  } else if (dice < 81) {
    set_clock(-source_.between(100ms, 15s));
  } else if (node.worker) {
    trace_.note(fmt::format("stop {}", process.name));
    source_.happens(60) ? node.worker->stop() : node.worker->stop_now();
  }
}

void World::kill(Node& node) {
  trace_.note(fmt::format("kill {}", node.process->name));
  node.process->killed = true;
  node.wire->lose_connection(true);
  asio::co_spawn(time_.io(), restart_later(node), asio::detached);
}

void World::set_clock(Micros by) {
  trace_.note(fmt::format("the clock is set by {} ms", by.count() / 1000));
  time_.set_wall_clock(by);
  ++(by > Micros{0} ? source_.set_forward : source_.set_backward);
}

// From here on nothing goes wrong any more, and clients ask for nothing.
void World::calm_down() {
  trace_.note("all is calm");
  faulty_ = false;
  source_.rates = {};
  source_.broker_away_until = source_.store_away_until = {};
  for (const auto& node : all_nodes_) {
    node->process->paused_until = std::min(node->process->paused_until, time_.elapsed());
    node->process->cut_off_until = {};
    node->process->strikes_in = 0;
  }
}

}  // namespace scheduler::simulation
