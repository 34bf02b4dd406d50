#include "api/http_server.hpp"
#include "application/service_factory.hpp"
#include "config/bind_address.hpp"
#include "core/log.hpp"
#include "core/task_group.hpp"
#include "core/version.hpp"
#include "dispatcher/dispatcher.hpp"
#include "infrastructure/asio_timer.hpp"
#include "infrastructure/auth/argon2_hasher.hpp"
#include "infrastructure/auth/ed25519_signer.hpp"
#include "infrastructure/auth/key_file.hpp"
#include "infrastructure/auth/sodium_secrets.hpp"
#include "infrastructure/executors/executor_parameters.hpp"
#include "infrastructure/executors/executor_registry.hpp"
#include "infrastructure/message_queue_factory.hpp"
#include "infrastructure/process_stats.hpp"
#include "infrastructure/prometheus_metrics.hpp"
#include "infrastructure/spdlog_sink.hpp"
#include "infrastructure/store_factory.hpp"
#include "infrastructure/system_clock.hpp"
#include "infrastructure/system_random.hpp"
#include "infrastructure/system_time_zones.hpp"
#include "startup/startup.hpp"
#include "worker/worker.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <memory>
#include <optional>
#include <sys/resource.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

namespace scheduler {
namespace {

using namespace std::chrono_literals;

constexpr Millis kRequestGrace = 5s;
constexpr Micros kLastReports = 5s;
constexpr Micros kIdleStop = 100ms;  // a stop that takes longer had runs to wait for
constexpr Micros kLastAnswers = 500ms;
constexpr Micros kLastWork = 250ms;  // what a message takes to a dispatcher, and another one back, in bad times

std::string host_name() {
  char name[256] = {};
  return ::gethostname(name, sizeof name - 1) == 0 ? name : "localhost";
}

worker::HostLoad host_load() {
  double load = 0;
  if (::getloadavg(&load, 1) != 1) load = 0;
  return {.load = load, .memory_bytes = infrastructure::read_process_stats().resident_bytes};
}

bool has(AppMode mode, AppMode part) { return mode == AppMode::all || mode == part; }

// One queue in one process, one process over a file: the parts that need each other's messages or rows cannot be apart.
SchedulerResult<void> check_mode(const config::AppConfig& settings, AppMode mode) {
  const bool alone = mode == AppMode::dispatcher || mode == AppMode::worker;
  if (alone && settings.message_queue.type == "embedded")
    return fail(
        ErrorKind::Config,
        fmt::format("a {} of its own needs a message broker, and message_queue.type is \"embedded\", which lives "
                    "inside one process; run `scheduler`, which holds dispatcher, worker and API together",
                    name_of(mode)));
  // A worker of its own never touches the store, and may serve a `scheduler` that keeps its file to itself.
  const bool over_file = mode == AppMode::dispatcher || mode == AppMode::api;
  if (over_file && !config::is_postgres(config::store_url(settings)))
    return fail(ErrorKind::Config,
                fmt::format("{} {} of its own shares the database with other processes, and database.url names a "
                            "SQLite file, which is for one; set database.url = \"postgresql://…\", or run "
                            "`scheduler`, which holds dispatcher, worker and API together",
                            mode == AppMode::api ? "an" : "a", name_of(mode)));
  return {};
}

// Who may use the API, over the store.
struct Accounts {
  Accounts(application::Store& store, std::string_view signing_key, const Clock& clock)
      : signer(signing_key),
        auth({store.accounts(), passwords, secrets, signer, clock}),
        users(store.accounts(), passwords, auth),
        keys(store.accounts(), secrets, auth) {}

  infrastructure::Argon2Hasher passwords{{}};
  infrastructure::SodiumSecrets secrets;
  infrastructure::Ed25519Signer signer;
  application::AuthService auth;
  application::UserService users;
  application::ApiKeyService keys;
};

class Application {
 public:
  Application(const config::AppConfig& settings, AppMode mode, std::string_view name)
      : settings_(settings), mode_(mode), name_(name) {}

  SchedulerResult<void> build();
  int run();

 private:
  [[nodiscard]] bool with_api() const { return has(mode_, AppMode::api) && settings_.api.enabled; }
  [[nodiscard]] bool with_dispatcher() const { return has(mode_, AppMode::dispatcher) && settings_.dispatcher.enabled; }
  [[nodiscard]] bool with_worker() const { return has(mode_, AppMode::worker) && settings_.worker.enabled; }

  SchedulerResult<void> check_broker();
  SchedulerResult<void> build_api();
  Async<void> start_api();
  void tell_setup_link(std::string_view token, unsigned short port) const;
  void build_dispatcher();
  SchedulerResult<void> build_worker();
  asio::awaitable<void> serve();
  asio::awaitable<void> begin_life(IncarnationId incarnation);
  asio::awaitable<void> run_worker();
  asio::awaitable<void> leave(TaskGroup& parts);
  asio::awaitable<void> wait_for_last_reports();
  void on_signal();

  const config::AppConfig& settings_;
  AppMode mode_;
  std::string_view name_;
  asio::io_context io_{1};
  infrastructure::SystemClock clock_;
  infrastructure::SystemRandom random_;
  infrastructure::AsioTimer timer_{io_};
  infrastructure::SystemTimeZones zones_;
  infrastructure::PrometheusMetrics metrics_{kVersion};
  infrastructure::ExecutorParameterCheck parameters_;
  std::unique_ptr<infrastructure::StoreClaim> claim_;
  std::unique_ptr<application::Store> store_;
  std::unique_ptr<application::MessageQueue> queue_;
  infrastructure::WorkerIdentity identity_;
  std::unique_ptr<infrastructure::ProcessRunner> processes_;
  std::unique_ptr<infrastructure::BuiltInExecutors> executors_;
  struct Services {
    std::unique_ptr<application::TaskService> tasks;
    std::unique_ptr<application::TaskControlService> control;
    std::unique_ptr<application::RunService> runs;
    std::unique_ptr<application::WorkerService> workers;
    std::unique_ptr<application::SystemService> system;
  } services_;
  std::unique_ptr<Accounts> accounts_;
  std::unique_ptr<dispatcher::Dispatcher> dispatcher_;
  std::unique_ptr<worker::Worker> worker_;
  std::unique_ptr<api::HttpServer> server_;
  std::unique_ptr<WakeSignal> stop_ = timer_.wake_signal();
  std::unique_ptr<WakeSignal> worker_gone_ = timer_.wake_signal();
  asio::signal_set signals_{io_};
  int signals_seen_ = 0;
  bool worker_running_ = false;
  int exit_code_ = 0;
};

SchedulerResult<void> Application::build() {
  CHECK(check_mode(settings_, mode_));
  ::umask(077);  // what we write is nobody else's business
  std::signal(SIGPIPE, SIG_IGN);
  if (with_dispatcher()) {
    TRY(claim_, infrastructure::StoreFactory::claim(settings_));
  }
  // A worker of its own never touches the store.
  if (with_dispatcher() || with_api()) {
    TRY(store_, infrastructure::StoreFactory::create(settings_, {io_, clock_, timer_, metrics_}));
  }
  TRY(queue_,
      infrastructure::MessageQueueFactory::create(settings_.message_queue, {io_, clock_, timer_, random_, metrics_}));
  CHECK(check_broker());
  if (with_dispatcher()) build_dispatcher();
  if (with_worker()) CHECK(build_worker());
  if (with_api()) CHECK(build_api());
  return {};
}

// One that does not let us in will go on so. One that is away comes back, and everything here waits for it.
SchedulerResult<void> Application::check_broker() {
  if (settings_.message_queue.type == "embedded") return {};
  std::optional<SchedulerResult<void>> answer;
  spawn(io_, "check the broker",
        [](application::MessageQueue& queue, std::optional<SchedulerResult<void>>& into) -> asio::awaitable<void> {
          into = co_await queue.check();
        }(*queue_, answer));
  while (!answer) io_.run_one();
  io_.restart();
  if (!*answer && answer->error().kind == ErrorKind::Config) return std::unexpected(answer->error());
  return {};
}

SchedulerResult<void> Application::build_api() {
  const application::ServiceFactory factory({*store_, *queue_, zones_, parameters_, clock_, timer_});
  services_ = {factory.create_task_service(), factory.create_task_control_service(), factory.create_run_service(),
               factory.create_worker_service(), factory.create_system_service()};
  TRY(const auto signing_key, infrastructure::load_or_make_key(settings_.data_dir + "/keys/access-tokens.key"));
  accounts_ = std::make_unique<Accounts>(*store_, signing_key, clock_);
  server_ = std::make_unique<api::HttpServer>(io_, settings_,
                                              api::ApiServices{*services_.tasks,
                                                               *services_.control,
                                                               *services_.runs,
                                                               *services_.workers,
                                                               *services_.system,
                                                               metrics_,
                                                               clock_,
                                                               {accounts_->auth, accounts_->users, accounts_->keys}});
  return {};
}

// Nobody is let in before it is known who may be.
Async<void> Application::start_api() {
  const auto& auth = settings_.auth;
  application::FirstAdmin first{.name = auth.bootstrap_admin_name, .password = {}};
  if (!auth.bootstrap_admin_password.empty()) first.password = auth.bootstrap_admin_password;
  CO_TRY(const auto setup_token, accounts_->auth.begin(std::move(first)));
  CO_UNWRAP(const auto port, server_->start());
  log::info("listening", {{"port", port}});
  if (setup_token) tell_setup_link(*setup_token, port);
  co_return SchedulerResult<void>{};
}

// To the terminal and not into the log, which others may read. The token stands behind the '#': no browser sends it, so
// it is in no access log.
void Application::tell_setup_link(std::string_view token, unsigned short port) const {
  const auto bound = config::parse_bind_address(settings_.api.bind_address);
  auto host = bound ? bound->host : "127.0.0.1";
  if (host == "0.0.0.0" || host == "::") host = "127.0.0.1";
  if (host.contains(':')) host = "[" + host + "]";
  const auto text = fmt::format(
      "There is no account yet. Make the first one, an admin, within 15 minutes (a restart prints a new link):\n"
      "  scheduler-cli auth setup 'http://{}:{}/auth/setup#{}' NAME\n",
      host, port, token);
  std::fputs(text.c_str(), stderr);
}

void Application::build_dispatcher() {
  dispatcher_ = std::make_unique<dispatcher::Dispatcher>(
      dispatcher::Ports{*store_, *queue_, zones_, metrics_, clock_, timer_, random_},
      dispatcher::Settings{.strategy = *parse_enum<domain::Strategy>(settings_.dispatcher.strategy),
                           .worker_timeout = Seconds{settings_.dispatcher.worker_timeout_seconds},
                           .priority_ageing = Seconds{settings_.dispatcher.priority_aging_seconds}});
}

SchedulerResult<void> Application::build_worker() {
  const auto& worker = settings_.worker;
  const WorkerId id{worker.worker_id.empty() ? host_name() : worker.worker_id};
  identity_.worker = id;
  processes_ = std::make_unique<infrastructure::ProcessRunner>(
      io_, clock_, timer_, infrastructure::ProcessRunner::Settings{.kill_grace = Seconds{worker.kill_grace_seconds}});
  TRY(executors_,
      infrastructure::BuiltInExecutors::create(worker.task_types, {io_, timer_, *processes_, identity_, kVersion}));
  worker_ = std::make_unique<worker::Worker>(
      io_,
      worker::Ports{*queue_, *executors_, clock_, timer_, random_, host_load,
                    [this](IncarnationId incarnation) { return begin_life(incarnation); }},
      worker::Settings{.id = id,
                       .host = host_name(),
                       .pid = ::getpid(),
                       .version = kVersion,
                       .labels = worker.labels,
                       .slots = worker.slots,
                       .heartbeat_interval = Seconds{worker.heartbeat_interval_seconds},
                       .drain_timeout = Seconds{worker.drain_timeout_seconds},
                       .last_work_wait = settings_.message_queue.type == "embedded" ? Micros{0} : kLastWork});
  return {};
}

int Application::run() {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) signals_.add(signal);
  on_signal();
  spawn(io_, "application", serve());
  io_.run();
  return exit_code_;
}

// First signal: drain. Second: stop attempts at once. Third: the process ends here, and the next start repairs.
void Application::on_signal() {
  signals_.async_wait([this](const boost::system::error_code& ec, int) {
    if (ec) return;
    ++signals_seen_;
    if (signals_seen_ == 1)
      log::info("stopping: running attempts may end; a second signal stops them now, killing them after the grace");
    if (signals_seen_ == 2 && worker_) worker_->stop_now();
    if (signals_seen_ >= 3) ::_exit(130);
    stop_->notify();
    on_signal();
  });
}

asio::awaitable<void> Application::serve() {
  TaskGroup parts(io_, timer_);
  if (server_)
    if (const auto started = co_await start_api(); !started) {
      std::fprintf(stderr, "%s: cannot start: %s\n", std::string(name_).c_str(), started.error().message.c_str());
      exit_code_ = 1;
      signals_.cancel();
      io_.stop();
      co_return;
    }
  if (dispatcher_ && settings_.message_queue.type == "embedded") {
    const auto retired = co_await dispatcher_->retire_known_workers();
    if (!retired) log::warning("workers of an earlier start are not retired yet", {{"why", retired.error().message}});
  }
  if (dispatcher_) parts.spawn("dispatcher", dispatcher_->run(io_));
  if (worker_) parts.spawn("worker", run_worker());
  log::info("ready", {{"program", name_},
                      {"version", kVersion},
                      {"mode", name_of(mode_)},
                      {"queue", settings_.message_queue.type},
                      {"store", store_ ? store_->describe() : "none"}});
  while (signals_seen_ == 0 && exit_code_ == 0) co_await stop_->wait(1h);
  co_await leave(parts);
  log::info("stopped");
  signals_.cancel();
  io_.stop();
}

asio::awaitable<void> Application::begin_life(IncarnationId incarnation) {
  identity_.incarnation = incarnation;
  if (const int killed = co_await processes_->kill_orphans(identity_.worker, incarnation); killed > 0)
    log::warning("ended processes that an earlier start of this worker left behind", {{"processes", killed}});
}

asio::awaitable<void> Application::run_worker() {
  worker_running_ = true;
  if (co_await worker_->run() == worker::Worker::End::replaced) exit_code_ = 1;
  worker_running_ = false;
  worker_gone_->notify();
  stop_->notify();
}

// No new work, then no new requests, then the last reports into the store. Draining may take minutes in which people
// want to see what is still running, and to cancel it.
asio::awaitable<void> Application::leave(TaskGroup& parts) {
  const auto began = clock_.elapsed();
  if (server_) server_->announce_stop();
  if (worker_) worker_->stop();
  while (worker_running_) co_await worker_gone_->wait(1h);
  // What is on a broker waits there for another dispatcher, or for the next start of this one.
  if (dispatcher_ && settings_.message_queue.type == "embedded") co_await wait_for_last_reports();
  if (server_) {
    // Who waited for one of the last runs learns how it ended, and may ask once more.
    if (clock_.elapsed() - began > kIdleStop) co_await timer_.sleep(kLastAnswers);
    co_await server_->stop(kRequestGrace);
  }
  if (dispatcher_) dispatcher_->stop();
  co_await parts.join();
}

asio::awaitable<void> Application::wait_for_last_reports() {
  const auto deadline = clock_.elapsed() + kLastReports;
  while (clock_.elapsed() < deadline) {
    std::size_t left = 0;
    for (const auto& queue : {application::kStatusQueue, application::kLogQueue, application::kHeartbeatQueue})
      if (const auto depth = co_await queue_->depth(queue)) left += *depth;
    if (left == 0) co_return;
    co_await timer_.sleep(10ms);
  }
  log::warning("not every report was stored; the next start takes those runs back");
}

}  // namespace

int start_application(const config::AppConfig& settings, AppMode mode, std::string_view name) {
  infrastructure::SystemClock clock;
  const auto format =
      settings.log.format == "json" ? infrastructure::LogFormat::json : infrastructure::LogFormat::pretty;
  log::set_sink(std::make_shared<infrastructure::SpdlogSink>(format, clock),
                *parse_enum<log::Level>(settings.log.level));
  Application application(settings, mode, name);
  if (const auto built = application.build(); !built) {
    std::fprintf(stderr, "%s: cannot start: %s\n", std::string(name).c_str(), built.error().message.c_str());
    return 1;
  }
  return application.run();
}

}  // namespace scheduler
