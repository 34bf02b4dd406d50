#include "database/sqlite/connection.hpp"

#include <fmt/format.h>
#include <sqlite3.h>

#include <cassert>
#include <limits>

namespace scheduler::database::sqlite {
namespace {

// How long a statement waits for a lock that another process holds.
constexpr int kBusyTimeoutMs = 5000;

// What the engine's code means for the person who runs us, and what helps.
std::string_view meaning_of(int code) {
  switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return "another process holds the database locked; stop that process or try again";
    case SQLITE_FULL:
      return "the disk is full; make room and try again";
    case SQLITE_READONLY:
      return "the database is read-only; check the owner and the permissions of the file and its directory";
    case SQLITE_CORRUPT:
      return "the database file is damaged; restore it from a backup";
    case SQLITE_NOTADB:
      return "the file is not a SQLite database; check the path";
    case SQLITE_CANTOPEN:
      return "the database file cannot be opened; check that its directory exists and may be written";
    case SQLITE_IOERR:
      return "reading or writing the database file failed; check the disk";
    case SQLITE_TOOBIG:
      return "a value is too large for the database";
    case SQLITE_CONSTRAINT:
      return "a rule of the database forbids the change";
    default:
      return "the database refused";
  }
}

// Once for the process, before the first connection: without its statistics of memory SQLite takes no lock for each
// allocation. Harmless where something else has started the library already.
void configure_library() {
  static const int once = sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
  (void)once;
}

SchedulerError to_error(sqlite3* database, int code) {
  const char* detail = database != nullptr ? sqlite3_errmsg(database) : sqlite3_errstr(code);
  return {ErrorKind::Database, fmt::format("{} (SQLite {}: {})", meaning_of(code), code, detail)};
}

}  // namespace

Statement::Statement(Statement&& other) noexcept
    : database_(other.database_),
      handle_(std::exchange(other.handle_, nullptr)),
      home_(other.home_),
      fault_(std::move(other.fault_)) {}

Statement::~Statement() {
  if (handle_ == nullptr) return;
  sqlite3_reset(handle_);
  sqlite3_clear_bindings(handle_);
  home_->push_back(handle_);
}

void Statement::restart() {
  if (handle_ == nullptr) return;  // could not be prepared: the fault stays
  fault_.reset();
  sqlite3_reset(handle_);
}

SchedulerResult<void> Statement::fault() const {
  if (fault_) return std::unexpected(*fault_);
  return {};
}

void Statement::set_fault(int code) {
  if (code != SQLITE_OK && !fault_) fault_ = to_error(database_, code);
}

void Statement::reject(std::string why) {
  if (!fault_) fault_ = SchedulerError{ErrorKind::Database, std::move(why)};
}

SchedulerResult<bool> Statement::step() {
  CHECK(fault());
  const int code = sqlite3_step(handle_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  set_fault(code);
  return std::unexpected(*fault_);
}

SchedulerResult<std::int64_t> Statement::run() {
  for (;;) {
    TRY(const bool row, step());
    if (!row) return sqlite3_stmt_readonly(handle_) != 0 ? 0 : sqlite3_changes64(database_);
  }
}

void Statement::bind_cell(int index, const Cell& cell) {
  if (handle_ == nullptr) return;
  switch (cell.kind) {
    case Cell::Kind::null:
      return set_fault(sqlite3_bind_null(handle_, index));
    case Cell::Kind::integer:
      return set_fault(sqlite3_bind_int64(handle_, index, cell.integer));
    case Cell::Kind::real:
      return set_fault(sqlite3_bind_double(handle_, index, cell.real));
    case Cell::Kind::text:
    case Cell::Kind::constant:
      // A null pointer would bind NULL, and an empty view may hold one.
      return set_fault(sqlite3_bind_text64(handle_, index, cell.text.empty() ? "" : cell.text.data(), cell.text.size(),
                                           cell.kind == Cell::Kind::constant ? SQLITE_STATIC : SQLITE_TRANSIENT,
                                           SQLITE_UTF8));
  }
}

void Statement::bind_value(int index, const RowSet& rows) {
  if (handle_ != nullptr) set_fault(sqlite3_bind_pointer(handle_, index, const_cast<RowSet*>(&rows), "rows", nullptr));
}

bool Statement::is_null(int column) const { return sqlite3_column_type(handle_, column) == SQLITE_NULL; }
std::int64_t Statement::int64_at(int column) const { return sqlite3_column_int64(handle_, column); }
double Statement::double_at(int column) const { return sqlite3_column_double(handle_, column); }
std::string_view Statement::text_at(int column) const {
  const auto* data = reinterpret_cast<const char*>(sqlite3_column_text(handle_, column));
  if (data == nullptr) return {};
  return {data, static_cast<std::size_t>(sqlite3_column_bytes(handle_, column))};
}

SchedulerResult<std::unique_ptr<Connection>> Connection::open(const std::string& path, Access access,
                                                              Synchronous synchronous) {
  configure_library();
  const int flags = SQLITE_OPEN_NOMUTEX |
                    (access == Access::read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
  sqlite3* handle = nullptr;
  const int code = sqlite3_open_v2(path.c_str(), &handle, flags, nullptr);
  std::unique_ptr<Connection> connection(new Connection(handle));
  const auto refuse = [&](const SchedulerError& why) {
    return fail(ErrorKind::Database, fmt::format("{}: {}", path, why.message));
  };
  if (code != SQLITE_OK) return refuse(to_error(handle, code));
  if (const int known = register_row_sets(handle); known != SQLITE_OK) return refuse(to_error(handle, known));
  sqlite3_extended_result_codes(handle, 1);
  sqlite3_busy_timeout(handle, kBusyTimeoutMs);
  // Caches are negative KiB. 16 MiB of log between checkpoints: large batches rewrite the same pages again and again.
  std::string settings = access == Access::read_only
                             ? "PRAGMA cache_size = -2048;"
                             : fmt::format(
                                   "PRAGMA journal_mode = WAL; PRAGMA synchronous = {};"
                                   "PRAGMA wal_autocheckpoint = 4096; PRAGMA journal_size_limit = 67108864;"
                                   "PRAGMA cache_size = -8192;",
                                   synchronous == Synchronous::full ? "FULL" : "NORMAL");
  settings += "PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY;";
  if (const auto set = connection->execute_script(settings); !set) return refuse(set.error());
  return connection;
}

void Connection::take_over_checkpoints() {
  const auto note = [](void* self, sqlite3*, const char*, int pages) {
    static_cast<Connection*>(self)->log_pages_ = pages;
    return SQLITE_OK;
  };
  sqlite3_wal_hook(handle_, note, this);  // replaces the hook behind wal_autocheckpoint
}

SchedulerResult<void> Connection::checkpoint() {
  log_pages_ = 0;  // whatever comes of it, the next try is after more commits
  const int code = sqlite3_wal_checkpoint_v2(handle_, nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
  if (code != SQLITE_OK && code != SQLITE_BUSY) return std::unexpected(to_error(handle_, code));
  return {};
}

Connection::~Connection() {
  for (const auto& [sql, statements] : idle_)
    for (auto* statement : statements) sqlite3_finalize(statement);
  const int code = sqlite3_close(handle_);
  assert(code == SQLITE_OK && "a statement outlived its connection");
  (void)code;
}

Statement Connection::prepared(std::string_view sql) {
  auto found = idle_.find(sql);
  if (found == idle_.end()) found = idle_.emplace(std::string(sql), Statement::Idle{}).first;
  auto& idle = found->second;
  if (!idle.empty()) {
    Statement statement(handle_, idle.back(), &idle);
    idle.pop_back();
    return statement;
  }
  sqlite3_stmt* handle = nullptr;
  const int code = sqlite3_prepare_v3(handle_, found->first.data(), static_cast<int>(found->first.size()),
                                      SQLITE_PREPARE_PERSISTENT, &handle, nullptr);
  if (code != SQLITE_OK) return Statement(to_error(handle_, code));
  return Statement(handle_, handle, &idle);
}

SchedulerResult<void> Connection::execute_script(const std::string& sql) {
  const int code = sqlite3_exec(handle_, sql.c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return std::unexpected(to_error(handle_, code));
  return {};
}

std::int64_t Connection::last_insert_id() const { return sqlite3_last_insert_rowid(handle_); }
std::int64_t Connection::total_changes() const { return sqlite3_total_changes64(handle_); }
bool Connection::in_transaction() const { return sqlite3_get_autocommit(handle_) == 0; }

SchedulerResult<Transaction> Transaction::begin(Connection& connection, Kind kind) {
  CHECK(connection.execute(kind == Kind::read ? "BEGIN" : "BEGIN IMMEDIATE"));
  return Transaction(connection);
}

Transaction::~Transaction() {
  // Some failures (disk full) have ended the transaction already.
  if (connection_ != nullptr && connection_->in_transaction()) (void)connection_->execute("ROLLBACK");
}

SchedulerResult<void> Transaction::commit() {
  CHECK(connection_->execute("COMMIT"));
  connection_ = nullptr;
  return {};
}

std::string engine_version() { return fmt::format("SQLite {}", sqlite3_libversion()); }

}  // namespace scheduler::database::sqlite
