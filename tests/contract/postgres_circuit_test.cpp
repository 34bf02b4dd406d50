// The pool behind its circuit breaker, over a real server and a wire that can be cut.
#include "contract/tcp_proxy.hpp"
#include "database/postgres/database.hpp"
#include "infrastructure/asio_timer.hpp"
#include "infrastructure/circuits.hpp"
#include "infrastructure/system_clock.hpp"
#include "support/recording_metrics.hpp"
#include "support/services.hpp"

#include <boost/asio/io_context.hpp>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <vector>

namespace scheduler::contract {
namespace {

using namespace std::chrono_literals;
using database::postgres::Database;
using database::postgres::Options;
using State = Circuit::State;
using ::testing::HasSubstr;

class PostgresCircuit : public ::testing::Test {
 protected:
  void SetUp() override {
    SCHEDULER_REQUIRE_SERVICE(url, "POSTGRES");
    const auto at = url.find('@'), colon = url.find(':', at), slash = url.find('/', at);
    proxy.emplace(std::stoi(url.substr(colon + 1, slash - colon - 1)));
    options.connection.url = fmt::format("{}:{}{}", url.substr(0, colon), proxy->port(), url.substr(slash));
    options.connection.call_timeout = options.connection.connect_timeout = 200ms;
    options.connections_max = 1;
    options.circuit = infrastructure::make_store_circuit({io, clock, timer, metrics});
    database.emplace(options);
  }

  // Lets all of them begin, and waits for their ends: ten seconds at most.
  std::vector<SchedulerResult<void>> ask(int callers) {
    std::vector<std::optional<SchedulerResult<void>>> results(static_cast<std::size_t>(callers));
    for (auto& it : results) spawn(io, "caller", ask_into(it));
    pass(10s, [&] { return std::ranges::all_of(results, [](const auto& it) { return it.has_value(); }); });
    std::vector<SchedulerResult<void>> ended;
    for (auto& it : results) ended.push_back(it ? *it : fail(ErrorKind::Internal, "did not end"));
    return ended;
  }
  asio::awaitable<void> ask_into(std::optional<SchedulerResult<void>>& result) {
    const auto rows = co_await database->query("SELECT 1");
    result = rows ? SchedulerResult<void>{} : std::unexpected(rows.error());
  }
  bool pass(Millis most, const std::function<bool()>& until) {
    io.restart();
    for (const auto end = clock.elapsed() + most; clock.elapsed() < end && !until(); io.restart()) io.run_for(5ms);
    return until();
  }
  [[nodiscard]] State state() const { return options.circuit->report().state; }
  void open() {
    for (int i = 0; i < 3; ++i) (void)ask(1);
    ASSERT_NE(state(), State::closed);
  }

  asio::io_context io{1};
  infrastructure::SystemClock clock;
  infrastructure::AsioTimer timer{io};
  testing_support::RecordingMetrics metrics;
  std::optional<TcpProxy> proxy;
  Options options;
  std::optional<Database> database;
};

TEST_F(PostgresCircuit, ServerAway_CallsFailAtOnceUntilItIsBack) {
  ASSERT_TRUE(ask(1)[0]);
  proxy->away();
  open();
  const auto refused = ask(1)[0];
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::Unavailable);
  EXPECT_THAT(refused.error().message, HasSubstr("the store is away since "));
  EXPECT_EQ(metrics.count(application::Counter::store_circuit_opened), 1u);
  proxy->back();
  EXPECT_TRUE(pass(3s, [this] { return state() == State::closed; })) << "nobody called: the probe found out";
  EXPECT_TRUE(ask(1)[0]);
  EXPECT_EQ(metrics.value(application::Gauge::store_circuit), 0);
}

// Who stood in line for the one connection once waited for its deadline, one after the other.
TEST_F(PostgresCircuit, ServerHangs_WhoWaitsInLineIsToldAtOnce) {
  ASSERT_TRUE(ask(1)[0]);
  proxy->freeze();
  const auto began = clock.elapsed();
  const auto ended = ask(40);
  EXPECT_LT(clock.elapsed() - began, 5s) << "40 callers, each with its own deadline, would take 9 s";
  const auto told = std::ranges::count_if(
      ended, [](const auto& it) { return !it && it.error().message.contains("the store is away since"); });
  EXPECT_EQ(told, 37) << "three met the silence themselves";
  EXPECT_EQ(database->open_connections(), 0u) << "none that stood is trusted any more";
}

TEST_F(PostgresCircuit, ServerRefusesAStatement_IsThere) {
  for (int i = 0; i < 5; ++i) {
    std::optional<SchedulerResult<void>> ended;
    spawn(io, "caller", [](Database& it, std::optional<SchedulerResult<void>>& result) -> asio::awaitable<void> {
      const auto rows = co_await it.query("SELECT nonsense");
      result = rows ? SchedulerResult<void>{} : std::unexpected(rows.error());
    }(*database, ended));
    ASSERT_TRUE(pass(10s, [&] { return ended.has_value(); }));
    EXPECT_EQ(ended->error().kind, ErrorKind::Database);
  }
  EXPECT_EQ(state(), State::closed);
}

}  // namespace
}  // namespace scheduler::contract
