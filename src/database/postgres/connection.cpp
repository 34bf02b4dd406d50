#include "database/postgres/connection.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include <array>
#include <cassert>
#include <chrono>
#include <libpq-fe.h>
#include <unistd.h>

namespace scheduler::database::postgres {
namespace {

using Resume = asio::async_result<asio::use_awaitable_t<>, void()>::handler_type;
using Deadline = std::chrono::steady_clock::time_point;

// How much longer than the server's own limit we wait before we take it for gone.
constexpr Millis kPatience{1'000};

// The library breaks lines and indents them.
std::string joined_lines(const char* text) {
  constexpr std::string_view kBlank = " \t\r\n";
  std::string joined;
  for (std::string_view rest = text ? text : ""; !rest.empty();) {
    auto line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    line.remove_prefix(std::min(line.size(), line.find_first_not_of(kBlank)));
    line = line.substr(0, line.find_last_not_of(kBlank) + 1);
    if (!line.empty()) joined.append(joined.empty() ? "" : "; ").append(line);
  }
  std::ranges::replace(joined, '\t', ' ');
  return joined;
}

ErrorKind kind_of(std::string_view state) {
  if (state == "57014") return ErrorKind::Timeout;                                         // statement_timeout
  if (state == "23505") return ErrorKind::Conflict;                                        // a unique index
  if (state.starts_with("08") || state.starts_with("57P")) return ErrorKind::Unavailable;  // the server is going
  if (state.starts_with("53") || state == "25006") return ErrorKind::Unavailable;          // no room; takes only reads
  return ErrorKind::Database;
}

// Errors after which another connection, and maybe another server, is the remedy.
bool ends_connection(std::string_view state) {
  return state.starts_with("08") || state.starts_with("57P") || state == "25006" || state == "26000" ||
         state == "0A000";  // a prepared statement is gone, or its tables have changed
}

}  // namespace

// What one call needs of the caller's loop. Handlers share it, so that they may outlive the call.
struct Connection::Wait : std::enable_shared_from_this<Wait> {
  Wait(const asio::any_io_executor& executor, Deadline deadline) : socket(executor), timer(executor, deadline) {}

  // The connection's socket may be another one at each step of connecting.
  bool watch(int descriptor) {
    const int own = ::dup(descriptor);
    if (own < 0) return false;
    boost::system::error_code refused;
    if (socket.is_open()) socket.close(refused);
    socket.assign(own, refused);
    if (refused) ::close(own);
    return !refused;
  }

  void start_timer() {
    timer.async_wait([self = shared_from_this()](const boost::system::error_code& cancelled) {
      if (cancelled) return;
      self->late = true;
      boost::system::error_code ignored;
      self->socket.cancel(ignored);
    });
  }

  // Until the socket can be read (or written, as asked for), or it is too late.
  asio::awaitable<void> ready(bool read, bool write) {
    if (late) co_return;
    co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(
        [self = shared_from_this(), read, write](Resume handler) {
          self->resume.emplace(std::move(handler));
          if (read) self->arm(asio::posix::stream_descriptor::wait_read);
          if (write) self->arm(asio::posix::stream_descriptor::wait_write);
        },
        asio::use_awaitable);
  }

  void arm(asio::posix::stream_descriptor::wait_type what) {
    ++armed;
    socket.async_wait(what, [self = shared_from_this()](const boost::system::error_code&) {
      if (--self->armed > 0) {  // the other direction waits as well
        boost::system::error_code ignored;
        self->socket.cancel(ignored);
        return;
      }
      auto go_on = *std::move(self->resume);
      self->resume.reset();
      std::move(go_on)();
    });
  }

  void end() {
    timer.cancel();
    boost::system::error_code ignored;
    socket.close(ignored);
  }

  asio::posix::stream_descriptor socket;
  asio::steady_timer timer;
  std::optional<Resume> resume;
  int armed = 0;
  bool late = false;
};

std::string place_of(const std::string& url) {
  char* fault = nullptr;
  PQconninfoOption* options = PQconninfoParse(url.c_str(), &fault);
  PQfreemem(fault);
  if (!options) return "?";
  const auto value = [&](std::string_view key, const char* otherwise) -> std::string {
    for (const auto* it = options; it->keyword; ++it)
      if (key == it->keyword && it->val) return it->val;
    return otherwise;
  };
  auto place = fmt::format("{}:{}/{}", value("host", "localhost"), value("port", "5432"),
                           value("dbname", value("user", "?").c_str()));
  PQconninfoFree(options);
  return place;
}

// ---- opening --------------------------------------------------------------------------------------------------------

Async<std::unique_ptr<Connection>> Connection::open(ConnectionOptions options) {
  std::unique_ptr<Connection> connection(new Connection(std::move(options)));
  CO_CHECK(connection->connect());
  CO_CHECK(connection->begin_session());
  co_return connection;
}

Connection::~Connection() {
  for (auto& it : expected_) PQclear(it.result);
  PQfinish(connection_);
}

Async<void> Connection::connect() {
  // What the URL says wins over these.
  constexpr auto kKeys =
      std::to_array<const char*>({"target_session_attrs", "keepalives_idle", "tcp_user_timeout", "client_encoding",
                                  "fallback_application_name", "dbname", nullptr});
  const std::array<const char*, kKeys.size()> values = {
      "read-write", "30", "15000", "UTF8", options_.application_name.c_str(), options_.url.c_str(), nullptr};
  connection_ = PQconnectStartParams(kKeys.data(), values.data(), 1);
  const auto refused = [this] {
    broken_ = true;
    const auto why = joined_lines(connection_ ? PQerrorMessage(connection_) : "out of memory");
    // The server has spoken and will say the same again; anything else may pass.
    const bool final = why.contains("authentication failed") || why.contains("does not exist") ||
                       why.contains("no pg_hba.conf entry") || why.contains("no password supplied");
    return fail(final ? ErrorKind::Database : ErrorKind::Unavailable,
                fmt::format("cannot connect to PostgreSQL at {}: {}", place_of(options_.url), why));
  };
  if (!connection_ || PQstatus(connection_) == CONNECTION_BAD) co_return refused();
  const auto executor = co_await asio::this_coro::executor;
  const auto wait = std::make_shared<Wait>(executor, std::chrono::steady_clock::now() + options_.connect_timeout);
  wait->start_timer();
  for (auto step = PGRES_POLLING_WRITING; step != PGRES_POLLING_OK; step = PQconnectPoll(connection_)) {
    if (step == PGRES_POLLING_FAILED || !wait->watch(PQsocket(connection_))) {
      wait->end();
      co_return refused();
    }
    co_await wait->ready(step == PGRES_POLLING_READING, step == PGRES_POLLING_WRITING);
    if (!wait->late) continue;
    wait->end();
    broken_ = true;
    co_return fail(ErrorKind::Unavailable, fmt::format("PostgreSQL at {} did not answer within {} ms",
                                                       place_of(options_.url), options_.connect_timeout.count()));
  }
  wait->end();
  co_return SchedulerResult<void>{};
}

Async<void> Connection::begin_session() {
  PQsetnonblocking(connection_, 1);
  // A transaction that a stalled process left open must not hold its locks for ever. No JIT: compiling one of our
  // statements takes a hundred times as long as executing it.
  CO_CHECK(execute_script(
      fmt::format("SET statement_timeout = {}; SET idle_in_transaction_session_timeout = 60000; SET timezone = 'UTC';"
                  " SET client_min_messages = warning; SET jit = off; {}",
                  options_.call_timeout.count(), options_.session_script),
      options_.call_timeout));
  // A server that ends the session of an idle connection says so in a notice.
  PQsetNoticeReceiver(
      connection_,
      [](void* broken, const PGresult* notice) {
        if (ends_connection(joined_lines(PQresultErrorField(notice, PG_DIAG_SQLSTATE))))
          *static_cast<bool*>(broken) = true;
      },
      &broken_);
  if (PQenterPipelineMode(connection_) == 1) co_return SchedulerResult<void>{};
  co_return fail(ErrorKind::Internal, "libpq does not enter pipeline mode");
}

// ---- sending --------------------------------------------------------------------------------------------------------

Connection::Prepared& Connection::prepared(std::string_view sql, const Parameters& parameters) {
  auto found = prepared_.find(sql);
  if (found == prepared_.end())
    found = prepared_.emplace(std::string(sql), Prepared{fmt::format("s{}", prepared_.size())}).first;
  auto& statement = found->second;
  if (statement.known || statement.sent) return statement;
  std::vector<Oid> types;
  for (const auto& part : parameters.parts()) types.push_back(part.type);
  if (PQsendPrepare(connection_, statement.name.c_str(), found->first.c_str(), static_cast<int>(types.size()),
                    types.data()) == 0) {
    break_off(ErrorKind::Unavailable, joined_lines(PQerrorMessage(connection_)));
    return statement;
  }
  statement.sent = true;
  expected_.push_back({.kind = Expected::Kind::prepare, .prepared = &statement.known});
  return statement;
}

void Connection::send_parameters(std::string_view sql, const Parameters& parameters) {
  if (broken_) return;
  auto& statement = prepared(sql, parameters);
  if (broken_) return;
  std::vector<const char*> values;
  std::vector<int> lengths, formats;
  for (const auto& part : parameters.parts()) {
    values.push_back(part.length < 0 ? nullptr : parameters.bytes() + part.begin);
    lengths.push_back(std::max(part.length, 0));
    formats.push_back(1);
  }
  if (PQsendQueryPrepared(connection_, statement.name.c_str(), static_cast<int>(values.size()), values.data(),
                          lengths.data(), formats.data(), 1) == 0)
    return break_off(ErrorKind::Unavailable, joined_lines(PQerrorMessage(connection_)));
  expected_.push_back({.kind = Expected::Kind::statement});
}

void Connection::end_group(bool ignored) {
  for (auto& [sql, statement] : prepared_) statement.sent = false;
  if (broken_) return;
  if (PQpipelineSync(connection_) == 0)
    return break_off(ErrorKind::Unavailable, joined_lines(PQerrorMessage(connection_)));
  expected_.push_back({.kind = Expected::Kind::sync, .ignored = ignored});
}

void Connection::abandon_transaction() {
  if (broken_) return;
  for (auto& it : expected_) it.ignored = true;
  if (PQsendQueryParams(connection_, "ROLLBACK", 0, nullptr, nullptr, nullptr, nullptr, 1) == 0)
    return break_off(ErrorKind::Unavailable, joined_lines(PQerrorMessage(connection_)));
  expected_.push_back({.kind = Expected::Kind::statement, .ignored = true});
  end_group(true);
  if (!broken_ && PQflush(connection_) < 0)
    break_off(ErrorKind::Unavailable, joined_lines(PQerrorMessage(connection_)));
}

// ---- answers --------------------------------------------------------------------------------------------------------

Async<std::vector<Rows>> Connection::flush() {
  end_group(false);
  if (!co_await exchange(options_.call_timeout + kPatience) && !failure_) break_off(ErrorKind::Unavailable, {});
  auto results = std::exchange(results_, {});
  auto failure = std::exchange(failure_, std::nullopt);
  if (failure) co_return std::unexpected(*std::move(failure));
  co_return results;
}

Async<Rows> Connection::last_of_flush() {
  CO_TRY(auto results, flush());
  co_return std::move(results.back());
}

asio::awaitable<bool> Connection::exchange(Millis timeout) {
  const auto executor = co_await asio::this_coro::executor;
  const auto wait = std::make_shared<Wait>(executor, std::chrono::steady_clock::now() + timeout);
  bool watching = false;
  while (!broken_) {
    const int unsent = PQflush(connection_);
    if (unsent < 0) break_off(ErrorKind::Unavailable, joined_lines(PQerrorMessage(connection_)));
    if (take_answers() || broken_) break;
    if (!watching) {
      if (!wait->watch(PQsocket(connection_))) {
        break_off(ErrorKind::Unavailable, "no file descriptor is left to wait for PostgreSQL");
        break;
      }
      wait->start_timer();
      watching = true;
    }
    co_await wait->ready(true, unsent > 0);
    if (wait->late)
      break_off(ErrorKind::Timeout,
                fmt::format("PostgreSQL at {} did not answer within {} ms; the connection is dropped",
                            place_of(options_.url), timeout.count()));
    else if (PQconsumeInput(connection_) == 0) {
      take_answers();  // a server that goes says why
      break_off(ErrorKind::Unavailable, joined_lines(PQerrorMessage(connection_)));
    }
  }
  wait->end();
  co_return !broken_;
}

bool Connection::take_answers() {
  int silences = 0;
  while (!expected_.empty() && PQisBusy(connection_) == 0) {
    if (auto* result = PQgetResult(connection_)) {
      take_answer(result);
      silences = 0;
      continue;
    }
    if (PQstatus(connection_) == CONNECTION_BAD) {
      break_off(ErrorKind::Unavailable, joined_lines(PQerrorMessage(connection_)));
      return false;
    }
    // NULL ends the answer to a statement. Between two groups it may also come without one, then once.
    auto& it = expected_.front();
    if (!it.result && ++silences > 2) return false;
    if (!it.result) continue;
    if (it.kind == Expected::Kind::statement && !it.ignored) results_.emplace_back(std::exchange(it.result, nullptr));
    PQclear(it.result);
    expected_.pop_front();
  }
  return expected_.empty();
}

void Connection::take_answer(pg_result* result) {
  auto& it = expected_.front();
  const auto status = PQresultStatus(result);
  if (status == PGRES_PIPELINE_SYNC) {
    PQclear(result);
    if (it.kind == Expected::Kind::sync) expected_.pop_front();
    return;
  }
  if (status == PGRES_FATAL_ERROR) note_failure(result, it.ignored);
  if (status == PGRES_COMMAND_OK && it.prepared) *it.prepared = true;
  PQclear(std::exchange(it.result, result));
}

void Connection::note_failure(pg_result* result, bool ignored) {
  const auto field = [&](int code) { return joined_lines(PQresultErrorField(result, code)); };
  const auto state = field(PG_DIAG_SQLSTATE);
  auto what = std::string(field(PG_DIAG_MESSAGE_PRIMARY));
  if (const auto detail = field(PG_DIAG_MESSAGE_DETAIL); !detail.empty()) what += fmt::format(" ({})", detail);
  if (state.empty()) what = joined_lines(PQresultErrorMessage(result));
  const SchedulerError error{state.empty() ? ErrorKind::Unavailable : kind_of(state),
                             fmt::format("PostgreSQL: {}", what)};
  if (state.empty() || ends_connection(state)) broken_ = true;
  if (broken_ && !away_ && error.kind == ErrorKind::Unavailable) away_ = error;
  if (!ignored && !failure_) failure_ = error;
}

void Connection::break_off(ErrorKind kind, std::string why) {
  broken_ = true;
  const SchedulerError error{kind, why.empty() ? "the connection to PostgreSQL is broken" : std::move(why)};
  if (!away_) away_ = error;
  if (!failure_) failure_ = error;
}

Async<void> Connection::execute_script(std::string sql, Millis timeout) {
  assert(expected_.empty());
  const bool pipelined = PQpipelineStatus(connection_) != PQ_PIPELINE_OFF;
  if (pipelined && PQexitPipelineMode(connection_) == 0)
    co_return fail(ErrorKind::Internal, "libpq does not leave pipeline mode");
  if (PQsendQuery(connection_, sql.c_str()) == 0)
    break_off(ErrorKind::Unavailable, joined_lines(PQerrorMessage(connection_)));
  const auto executor = co_await asio::this_coro::executor;
  const auto wait = std::make_shared<Wait>(executor, std::chrono::steady_clock::now() + timeout);
  if (!wait->watch(PQsocket(connection_))) break_off(ErrorKind::Unavailable, "no file descriptor is left");
  wait->start_timer();
  bool done = false;
  while (!broken_ && !done) {
    const int unsent = PQflush(connection_);
    while (!done && PQisBusy(connection_) == 0) {
      auto* result = PQgetResult(connection_);
      done = result == nullptr;
      if (result && PQresultStatus(result) == PGRES_FATAL_ERROR) note_failure(result, false);
      PQclear(result);
    }
    if (done) break;
    co_await wait->ready(true, unsent > 0);
    if (wait->late)
      break_off(ErrorKind::Timeout, fmt::format("PostgreSQL did not finish within {} ms", timeout.count()));
    else if (PQconsumeInput(connection_) == 0)
      break_off(ErrorKind::Unavailable, joined_lines(PQerrorMessage(connection_)));
  }
  wait->end();
  if (pipelined && !broken_) PQenterPipelineMode(connection_);
  if (auto failure = std::exchange(failure_, std::nullopt)) co_return std::unexpected(*std::move(failure));
  co_return SchedulerResult<void>{};
}

// ---- state ----------------------------------------------------------------------------------------------------------

bool Connection::usable() {
  if (broken_) return false;
  const auto says = [this](const char* parameter) {
    const char* value = PQparameterStatus(connection_, parameter);
    return value && std::string_view(value) == "on";
  };
  // A standby says so at connecting, and a server that becomes one, or read-only, says so when it happens.
  if (PQconsumeInput(connection_) == 0) broken_ = true;
  PQisBusy(connection_);  // reads what has come
  if (PQstatus(connection_) == CONNECTION_BAD || says("in_hot_standby") || says("default_transaction_read_only"))
    broken_ = true;
  return !broken_;
}

int Connection::server_version() const { return PQserverVersion(connection_); }

}  // namespace scheduler::database::postgres
