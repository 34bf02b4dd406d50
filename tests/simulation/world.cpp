#include "simulation/world.hpp"

#include "domain/limits.hpp"
#include "domain/schedule.hpp"
#include "domain/transitions.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <fmt/format.h>

#include <tuple>

namespace scheduler::simulation {

using namespace application;
using namespace std::chrono_literals;

namespace {

// A Sunday evening; nothing depends on it.
constexpr TimePoint kStart = std::chrono::sys_days{std::chrono::year{2026} / 3 / 1} + 20h;
constexpr Seconds kWorkerTimeout{8};

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
  SchedulerResult<const domain::TimeZone*> find(std::string_view) const override { return &domain::utc(); }
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
  TaskExecutor* find(std::string_view type) override { return type == "sim" ? this : nullptr; }
  std::vector<std::string> task_types() const override { return {"sim"}; }

  asio::awaitable<domain::Outcome> execute(const TaskExecution& work, OutputSink& sink, StopSignal& stop) override {
    world_.on_start(work, process_->name);
    const auto fate = hash_of(static_cast<std::uint64_t>(work.run.value), static_cast<std::uint64_t>(work.attempt));
    sink.write(Stream::out, fmt::format("run {} attempt {}\n", work.run.value, work.attempt));
    const auto ended = world_.time_.wake_signal();
    stop.on_request([signal = ended.get()] { signal->notify(); });
    co_await ended->wait(Millis{fate % 3 == 0 ? 0 : fate % 9000});
    if (process_->killed) co_await world_.time_.hang();
    while (world_.time_.elapsed() < process_->paused_until)
      co_await world_.time_.sleep(process_->paused_until - world_.time_.elapsed());
    if (stop.requested()) co_await world_.time_.sleep(50ms);  // it takes a moment to die
    if ((fate >> 8) % 4 == 0)
      co_return domain::Outcome{domain::AttemptState::failed, domain::Reason::exit_code, "exited with code 1", 1};
    co_return domain::Outcome{};
  }

 private:
  World& world_;
  std::shared_ptr<Process> process_;
};

struct World::DispatcherProcess {
  std::shared_ptr<Process> process;
  std::unique_ptr<Store> store;
  MessageQueue* faulty = nullptr;
  std::unique_ptr<MessageQueue> queue;
  std::unique_ptr<dispatcher::Dispatcher> dispatcher;
};

struct World::WorkerProcess {
  std::shared_ptr<Process> process;
  MessageQueue* faulty = nullptr;
  std::unique_ptr<MessageQueue> queue;
  std::unique_ptr<Executor> executor;
  std::unique_ptr<worker::Worker> worker;
};

World::World(WorldSettings settings)
    : settings_(settings),
      time_(kStart),
      source_(settings.seed),
      queue_(time_),
      metrics_(std::make_unique<NoMetrics>()),
      zones_(std::make_unique<OnlyUtc>()),
      parameters_(std::make_unique<AnyParameters>()),
      random_(std::make_unique<SeededRandom>(source_.dice)) {
  auto store = infrastructure::SqliteStore::open(time_, {.path = ":memory:", .mode = database::sqlite::Mode::inline_});
  if (!store) throw std::runtime_error(store.error().message);
  store_ = std::move(*store);
  source_.rates = settings.rates;
  const auto client = std::make_shared<Process>("client");
  client_store_ = faulty_store(*store_, Faults(time_, source_, client));
  client_queue_ = guarded_queue(Faults(time_, source_, client)).first;
}

World::~World() = default;

// What a process has: a way to the broker of its own, behind a circuit breaker. Second: what is behind it.
std::pair<std::unique_ptr<MessageQueue>, MessageQueue*> World::guarded_queue(Faults faults) {
  auto faulty = faulty_queue(queue_, std::move(faults));
  auto* behind = faulty.get();
  return {std::make_unique<infrastructure::GuardedMessageQueue>(
              std::move(faulty), Circuit::make({time_.io(), time_, time_}, "message queue")),
          behind};
}

std::vector<std::string> World::run() {
  dispatchers_.resize(static_cast<std::size_t>(settings_.dispatchers));
  workers_.resize(static_cast<std::size_t>(settings_.workers));
  for (int i = 0; i < settings_.dispatchers; ++i) start_dispatcher(i);
  for (int i = 0; i < settings_.workers; ++i) start_worker(i);
  run_to_end(make_tasks());
  asio::co_spawn(time_.io(), be_a_client(), asio::detached);
  asio::co_spawn(time_.io(), make_trouble(), asio::detached);
  asio::co_spawn(time_.io(), watch(), asio::detached);
  const auto broke = [this] { return !broken_.empty(); };
  time_.run_until(kStart + settings_.faulty_time, broke);

  // From here on nothing goes wrong any more, and nothing new comes: everything must end.
  faulty_ = false;
  source_.rates = {};
  source_.broker_away_until = {};
  run_to_end(pause_all_tasks());
  const auto quiet = [this] { return !broken_.empty() || all_ended_; };
  time_.run_until(kStart + settings_.faulty_time + settings_.calm_time, quiet);
  if (broken_.empty()) run_to_end(check_end());
  return broken_;
}

void World::run_to_end(asio::awaitable<void> work) {
  bool done = false;
  asio::co_spawn(time_.io(), std::move(work), [&done](std::exception_ptr) { done = true; });
  time_.run_until(time_.now() + 1h, [&done] { return done; });
}

void World::start_dispatcher(int index) {
  auto it = std::make_shared<DispatcherProcess>();
  it->process = std::make_shared<Process>(fmt::format("d{}", index));
  const Faults faults(time_, source_, it->process);
  it->store = faulty_store(*store_, faults);
  std::tie(it->queue, it->faulty) = guarded_queue(faults);
  it->dispatcher = std::make_unique<dispatcher::Dispatcher>(
      dispatcher::Ports{*it->store, *it->queue, *zones_, *metrics_, time_, time_, *random_},
      dispatcher::Settings{.strategy = static_cast<domain::Strategy>(source_.dice() % 5),
                           .worker_timeout = kWorkerTimeout});
  asio::co_spawn(time_.io(), it->dispatcher->run(time_.io()), asio::detached);
  dispatchers_[static_cast<std::size_t>(index)] = std::move(it);
}

void World::start_worker(int index) {
  auto it = std::make_shared<WorkerProcess>();
  it->process = std::make_shared<Process>(fmt::format("w{}", index));
  std::tie(it->queue, it->faulty) = guarded_queue(Faults(time_, source_, it->process));
  it->executor = std::make_unique<Executor>(*this, it->process);
  it->worker = std::make_unique<worker::Worker>(
      time_.io(),
      worker::Ports{*it->queue, *it->executor, time_, time_, *random_, [] { return worker::HostLoad{}; },
                    [](IncarnationId) -> asio::awaitable<void> { co_return; }},
      worker::Settings{.id = {it->process->name}, .slots = 3, .heartbeat_interval = 2s, .drain_timeout = 5s});
  asio::co_spawn(
      time_.io(), [](WorkerProcess& process) -> asio::awaitable<void> { (void)co_await process.worker->run(); }(*it),
      asio::detached);
  workers_[static_cast<std::size_t>(index)] = std::move(it);
}

// Kills -9 and restarts, or pauses beyond the timeout.
asio::awaitable<void> World::make_trouble() {
  while (faulty_ && settings_.kill_and_pause) {
    co_await time_.sleep(source_.between(2s, 12s));
    if (!faulty_) break;
    if (source_.happens(15)) {
      note("the broker goes away");
      source_.broker_away_until = time_.elapsed() + source_.between(100ms, 15s);
      continue;
    }
    const bool hit_worker = source_.happens(60);
    const auto index = static_cast<std::size_t>(source_.dice() % (hit_worker ? workers_.size() : dispatchers_.size()));
    const auto process = hit_worker ? workers_[index]->process : dispatchers_[index]->process;
    if (source_.happens(30)) {
      ++source_.met["paused"];
      note(fmt::format("pause {}", process->name));
      process->paused_until = time_.elapsed() + source_.between(1s, 20s);
      continue;
    }
    ++source_.met["killed"];
    note(fmt::format("kill {}", process->name));
    process->killed = true;
    if (hit_worker) {
      release_consumers(*workers_[index]->faulty);
      dead_workers_.push_back(workers_[index]);
    } else {
      release_consumers(*dispatchers_[index]->faulty);
      dead_dispatchers_.push_back(dispatchers_[index]);
    }
    co_await time_.sleep(source_.between(10ms, 6s));
    hit_worker ? start_worker(static_cast<int>(index)) : start_dispatcher(static_cast<int>(index));
  }
}

// A random set of tasks with every policy there is.
asio::awaitable<void> World::make_tasks() {
  for (int i = 0; i < 8; ++i) {
    domain::Task task;
    auto& spec = task.spec;
    spec.name = fmt::format("task{}", i);
    spec.task_type = "sim";
    spec.timeout = Seconds{2 + static_cast<int>(source_.dice() % 10)};
    spec.max_retries = static_cast<int>(source_.dice() % 3);
    spec.overlap_policy = static_cast<domain::OverlapPolicy>(source_.dice() % 4);
    spec.misfire_policy = static_cast<domain::MisfirePolicy>(source_.dice() % 3);
    spec.delivery = static_cast<domain::Delivery>(source_.dice() % 2);
    spec.priority = static_cast<int>(source_.dice() % 10);
    spec.shard_count = source_.happens(20) ? 3 : 1;
    if (source_.happens(40)) spec.max_concurrent_runs = 1 + static_cast<int>(source_.dice() % 3);
    if (i < 5) {
      const char* kSchedules[] = {"*/5 * * * * *", "@every 7s", "*/13 * * * * *", "* * * * *"};
      spec.schedule = kSchedules[source_.dice() % 4];
      task.watermark = time_.now();
      const auto schedule = domain::parse_schedule({.text = *spec.schedule, .zone = &domain::utc(), .anchor = kStart});
      task.next_fire_at = domain::next_slot(*schedule, time_.now());
      if (i >= 3 && source_.happens(70)) {
        spec.dependencies = i == 3 ? std::vector{tasks_[0], tasks_[1]} : std::vector{tasks_[3]};
        spec.trigger_rule = static_cast<domain::TriggerRule>(source_.dice() % 4);
      }
    } else if (i == 7) {
      spec.dependencies = {tasks_[5], tasks_[6]};
      spec.trigger_rule = static_cast<domain::TriggerRule>(source_.dice() % 4);
    }
    const auto created = co_await store_->tasks().create(std::move(task));
    if (!created) co_return broken("a task could not be created: " + created.error().message);
    tasks_.push_back(created->id);
    if (created->spec.max_concurrent_runs) limits_[created->id] = *created->spec.max_concurrent_runs;
  }
}

// Triggers and cancels through the real use cases; remembers what was acknowledged.
asio::awaitable<void> World::be_a_client() {
  const ServiceFactory services({*client_store_, *client_queue_, *zones_, *parameters_, time_, time_});
  const auto control = services.create_task_control_service();
  while (faulty_) {
    co_await time_.sleep(source_.between(50ms, 3s));
    const auto task = tasks_[5 + source_.dice() % 2];
    TriggerRequest request;
    if (source_.happens(20)) request.run_at = time_.now() + source_.between(0ms, 20s);
    const auto made = co_await control->trigger_task(task, std::move(request));
    if (!made) continue;
    for (const auto& run : made->runs) acknowledged_.insert(run.id);
    if (!source_.happens(25)) continue;
    co_await time_.sleep(source_.between(0ms, 5s));
    const auto cancelled = co_await control->cancel_run(made->runs.front().id);
    if (cancelled) cancelled_.insert(cancelled->id);
  }
}

asio::awaitable<void> World::watch() {
  for (;;) {
    co_await time_.sleep(4s);
    const auto runs = co_await all_runs();
    check_step(runs);
    all_ended_ = !faulty_ && std::ranges::all_of(runs, [](const auto& run) { return domain::is_terminal(run.state); });
  }
}

asio::awaitable<std::vector<domain::TaskRun>> World::all_runs() {
  std::vector<domain::TaskRun> all;
  Paging paging{.limit = 100};
  for (;;) {
    auto page = co_await store_->runs().list({}, paging);
    if (!page) {
      broken("runs cannot be listed: " + page.error().message);
      break;
    }
    all.insert(all.end(), page->items.begin(), page->items.end());
    if (!page->next_cursor) break;
    paging.before = page->next_cursor;
  }
  co_return all;
}

asio::awaitable<void> World::pause_all_tasks() {
  for (const auto id : tasks_) {
    auto task = co_await store_->tasks().get(id);
    if (!task) co_return broken("a task is gone: " + task.error().message);
    task->spec.status = domain::TaskStatus::paused;
    task->next_fire_at.reset();
    const auto paused = co_await store_->tasks().update(*task, std::nullopt);
    if (!paused) broken("a task could not be paused: " + paused.error().message);
  }
}

// --- the promises ---

void World::on_start(const TaskExecution& work, const std::string& worker) {
  note(fmt::format("start run={} token={} on {}", work.run.value, work.token, worker));
  auto& starts = starts_[{work.run, work.token}];
  starts.push_back({work.task, work.attempt, worker, time_.now()});
  if (starts.size() > 1) broken(fmt::format("run {} token {} was started twice", work.run.value, work.token));
  if (work.slot && *work.slot > time_.now()) broken(fmt::format("run {} was started before its slot", work.run.value));
}

void World::check_step(const std::vector<domain::TaskRun>& runs) {
  std::map<TaskId, int> going;
  for (const auto& run : runs)
    if (domain::goes(run, time_.now())) ++going[run.task];
  for (const auto& [task, limit] : limits_)
    if (going[task] > limit)
      broken(fmt::format("{} runs of task {} go; its limit is {}", going[task], task.value, limit));
  for (const auto& run : runs) {
    auto [known, fresh] = seen_.try_emplace(run.id, run);
    if (fresh) continue;
    const auto& before = known->second;
    if (domain::is_terminal(before.state) && (before.state != run.state || before.message != run.message))
      broken(fmt::format("run {} was {} and became {}", run.id.value, name_of(before.state), name_of(run.state)));
    if (run.token < before.token) broken(fmt::format("run {}: its token went back", run.id.value));
    known->second = run;
  }
}

asio::awaitable<void> World::check_end() {
  const auto runs = co_await all_runs();
  check_step(runs);
  std::map<RunId, int> starts_of;
  for (const auto& [key, starts] : starts_) ++starts_of[key.first];
  std::map<TaskId, domain::TaskSpec> specs;
  for (const auto id : tasks_) {
    const auto task = co_await store_->tasks().get(id);
    specs[id] = task->spec;
    if (task->spec.schedule) co_await check_slots(*task);
  }
  std::set<RunId> there;
  for (const auto& run : runs) {
    there.insert(run.id);
    ++ends_[std::string(name_of(run.state))];
    if (!domain::is_terminal(run.state))
      broken(fmt::format("run {} never ended: {} since the faults stopped", run.id.value, name_of(run.state)));
    if (run.state != domain::RunState::succeeded && run.reason == domain::Reason::none)
      broken(fmt::format("run {} is {} without a reason", run.id.value, name_of(run.state)));
    const auto& spec = specs[run.task];
    if (run.attempt - run.lost_attempts > spec.max_retries + 1)
      broken(fmt::format("run {}: {} attempts, {} lost, {} retries allowed", run.id.value, run.attempt,
                         run.lost_attempts, spec.max_retries));
    if (spec.delivery == domain::Delivery::at_most_once && starts_of[run.id] > spec.max_retries + 1)
      broken(fmt::format("run {} is at_most_once and was started {} times", run.id.value, starts_of[run.id]));
    if (run.state == domain::RunState::succeeded && starts_of[run.id] == 0)
      broken(fmt::format("run {} succeeded and was never started", run.id.value));
    if (cancelled_.contains(run.id) && run.state == domain::RunState::pending)
      broken(fmt::format("run {} was cancelled and goes on", run.id.value));
  }
  for (const auto id : acknowledged_)
    if (!there.contains(id)) broken(fmt::format("run {} was acknowledged and is lost", id.value));
}

// Every slot up to the watermark has exactly one disposition, and as many runs as shards where it fired.
asio::awaitable<void> World::check_slots(domain::Task task) {
  using database::sqlite::Connection;
  struct Row {
    TimePoint first, last;
    int shard = 0;
    std::optional<RunId> run;
  };
  const auto rows = co_await store_->database().read([id = task.id](Connection& connection) {
    return connection
        .query(
            "SELECT COALESCE(first_slot, slot), slot, shard, run_id FROM schedule_slots WHERE task_id = ?1 ORDER BY "
            "slot, shard",
            id)
        .all([](database::sqlite::Statement& statement) {
          Row row;
          statement.read(row.first, row.last, row.shard, row.run);
          return row;
        });
  });
  if (!rows) co_return broken("slots cannot be read: " + rows.error().message);
  const auto schedule = domain::parse_schedule(
      {.text = *task.spec.schedule, .zone = &domain::utc(), .anchor = std::chrono::floor<Seconds>(task.created_at)});
  const auto expected = domain::slots(*schedule, task.created_at, *task.watermark, 100'000);
  std::map<TimePoint, int> disposed;
  for (const auto& row : *rows)
    for (const auto slot : expected)
      if (row.first <= slot && slot <= row.last) ++disposed[slot];
  for (const auto slot : expected) {
    const int n = disposed[slot];
    if (n != 1 && n != task.spec.shard_count)
      broken(fmt::format("task {}: slot {} has {} dispositions", task.spec.name, format_rfc3339(slot), n));
  }
  ends_["slots"] += static_cast<std::int64_t>(expected.size());
}

void World::broken(std::string sentence) {
  broken_.push_back(fmt::format("{}: {}", format_rfc3339(time_.now()), sentence));
}

void World::note(const std::string& line) { history_ += fmt::format("{} {}\n", format_rfc3339(time_.now()), line); }

}  // namespace scheduler::simulation
