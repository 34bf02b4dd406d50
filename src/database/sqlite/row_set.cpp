#include "database/sqlite/row_set.hpp"

#include <sqlite3.h>

#include <string>

// A virtual table that exists without being created (https://www.sqlite.org/vtab.html, "eponymous-only"): its hidden
// column `source` takes the pointer that was bound, as of https://www.sqlite.org/bindptr.html.
namespace scheduler::database::sqlite {
namespace {

constexpr int kSource = static_cast<int>(RowSet::kColumnsMax);

struct Cursor : sqlite3_vtab_cursor {
  const RowSet* rows = nullptr;
  std::size_t row = 0;
};
Cursor& at(sqlite3_vtab_cursor* cursor) { return *static_cast<Cursor*>(cursor); }

int connect(sqlite3* database, void*, int, const char* const*, sqlite3_vtab** table, char**) {
  std::string sql = "CREATE TABLE x(";
  for (std::size_t i = 1; i <= RowSet::kColumnsMax; ++i) sql += "c" + std::to_string(i) + ", ";
  sql += "source HIDDEN)";
  if (const int code = sqlite3_declare_vtab(database, sql.c_str()); code != SQLITE_OK) return code;
  *table = new sqlite3_vtab{};
  return SQLITE_OK;
}

int disconnect(sqlite3_vtab* table) {
  delete table;
  return SQLITE_OK;
}

// Only with a source, and then always as the outer loop: whatever it is joined with is looked up row by row.
int best_index(sqlite3_vtab*, sqlite3_index_info* info) {
  for (int i = 0; i < info->nConstraint; ++i) {
    const auto& it = info->aConstraint[i];
    if (it.iColumn != kSource || it.op != SQLITE_INDEX_CONSTRAINT_EQ || it.usable == 0) continue;
    info->aConstraintUsage[i].argvIndex = 1;
    info->aConstraintUsage[i].omit = 1;
    info->estimatedCost = 1;
    info->estimatedRows = 100;
    return SQLITE_OK;
  }
  return SQLITE_CONSTRAINT;
}

int open(sqlite3_vtab*, sqlite3_vtab_cursor** cursor) {
  *cursor = new Cursor{};
  return SQLITE_OK;
}

int close(sqlite3_vtab_cursor* cursor) {
  delete &at(cursor);
  return SQLITE_OK;
}

int filter(sqlite3_vtab_cursor* cursor, int, const char*, int, sqlite3_value** values) {
  at(cursor).rows = static_cast<const RowSet*>(sqlite3_value_pointer(values[0], "rows"));
  at(cursor).row = 0;
  return SQLITE_OK;
}

int next(sqlite3_vtab_cursor* cursor) {
  ++at(cursor).row;
  return SQLITE_OK;
}

int eof(sqlite3_vtab_cursor* cursor) {
  const auto& it = at(cursor);
  return it.rows == nullptr || it.row >= it.rows->size() ? 1 : 0;
}

int column(sqlite3_vtab_cursor* cursor, sqlite3_context* result, int number) {
  const auto& it = at(cursor);
  const auto cell = it.rows->at(it.row, static_cast<std::size_t>(number));
  switch (cell.kind) {
    case Cell::Kind::null:
      sqlite3_result_null(result);
      break;
    case Cell::Kind::integer:
      sqlite3_result_int64(result, cell.integer);
      break;
    case Cell::Kind::real:
      sqlite3_result_double(result, cell.real);
      break;
    case Cell::Kind::text:
    case Cell::Kind::constant:
      sqlite3_result_text64(result, cell.text.empty() ? "" : cell.text.data(), cell.text.size(), SQLITE_STATIC,
                            SQLITE_UTF8);
      break;
  }
  return SQLITE_OK;
}

int row_id(sqlite3_vtab_cursor* cursor, sqlite3_int64* id) {
  *id = static_cast<sqlite3_int64>(at(cursor).row);
  return SQLITE_OK;
}

constexpr sqlite3_module kModule{.iVersion = 0,
                                 .xCreate = nullptr,
                                 .xConnect = connect,
                                 .xBestIndex = best_index,
                                 .xDisconnect = disconnect,
                                 .xDestroy = nullptr,
                                 .xOpen = open,
                                 .xClose = close,
                                 .xFilter = filter,
                                 .xNext = next,
                                 .xEof = eof,
                                 .xColumn = column,
                                 .xRowid = row_id};

}  // namespace

int register_row_sets(sqlite3* database) {
  return sqlite3_create_module_v2(database, "rows", &kModule, nullptr, nullptr);
}

}  // namespace scheduler::database::sqlite
