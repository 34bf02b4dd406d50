// database/postgres/values.hpp — C++ values in PostgreSQL's binary format, as parameters and out of rows.
//
// Whole numbers, ids and seconds are bigint; instants timestamptz; enums with a spelling, texts and worker names text;
// a vector is an array of its elements, nothing is NULL. Rows may also hold smallint and integer.
// Text is UTF-8 without NUL on the server: bytes that are not come back as U+FFFD, so that no text sinks its statement.
#pragma once

#include "core/enum_names.hpp"
#include "core/ids.hpp"
#include "core/time.hpp"
#include "database/columns.hpp"
#include "errors/result.hpp"

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

struct pg_result;

namespace scheduler::database::postgres {

// The server's number for a type. An array's belongs to its elements'.
struct Type {
  std::uint32_t scalar = 0, array = 0;
};
inline constexpr Type kBool{16, 1000}, kBigint{20, 1016}, kText{25, 1009}, kDouble{701, 1022}, kInstant{1184, 1185};

template <class T>
struct TypeOf;
template <>
struct TypeOf<bool> {
  static constexpr Type value = kBool;
};
template <std::integral T>
struct TypeOf<T> {
  static constexpr Type value = kBigint;
};
template <>
struct TypeOf<Seconds> {
  static constexpr Type value = kBigint;
};
template <class Tag>
struct TypeOf<Id<Tag>> {
  static constexpr Type value = kBigint;
};
template <>
struct TypeOf<double> {
  static constexpr Type value = kDouble;
};
template <>
struct TypeOf<TimePoint> {
  static constexpr Type value = kInstant;
};
template <>
struct TypeOf<WorkerId> {
  static constexpr Type value = kText;
};
template <std::convertible_to<std::string_view> T>
struct TypeOf<T> {
  static constexpr Type value = kText;
};
template <NamedEnum E>
struct TypeOf<E> {
  static constexpr Type value = kText;
};
template <class T>
struct TypeOf<std::optional<T>> {
  static constexpr Type value = TypeOf<T>::value;
};

// The parameters of one statement: $1, $2, ….
class Parameters {
 public:
  template <class... Values>
  explicit Parameters(const Values&... values) {
    parts_.reserve(sizeof...(values));
    (add(values), ...);
  }

  struct Part {
    std::uint32_t type = 0;
    std::size_t begin = 0;
    int length = -1;  // -1: NULL
  };
  [[nodiscard]] const std::vector<Part>& parts() const { return parts_; }
  [[nodiscard]] const char* bytes() const { return bytes_.data(); }

 private:
  template <class T>
  void add(const T& value) {
    const auto begin = bytes_.size();
    const bool null = !put(value);
    parts_.push_back({TypeOf<T>::value.scalar, begin, null ? -1 : static_cast<int>(bytes_.size() - begin)});
  }
  template <class T>
  void add(const std::vector<T>& values) {
    const auto begin = bytes_.size();
    put32(values.empty() ? 0 : 1);  // dimensions
    put32(1);                       // NULLs may come
    put32(TypeOf<T>::value.scalar);
    if (!values.empty()) {
      put32(static_cast<std::uint32_t>(values.size()));
      put32(1);  // the first index
    }
    for (const auto& value : values) put_element(value);
    parts_.push_back({TypeOf<T>::value.array, begin, static_cast<int>(bytes_.size() - begin)});
  }
  // By value: an element of vector<bool> is no reference.
  template <class T>
  void put_element(T value) {
    const auto at = bytes_.size();
    put32(0);
    const bool null = !put(value);
    set32(at, null ? 0xffffffffu : static_cast<std::uint32_t>(bytes_.size() - at - 4));
  }

  // False: NULL, nothing was put.
  bool put(bool value) { return put_byte(value); }
  bool put(std::integral auto value) { return put64(static_cast<std::uint64_t>(static_cast<std::int64_t>(value))); }
  bool put(double value);
  bool put(TimePoint at);
  bool put(Seconds duration) { return put(duration.count()); }
  bool put(std::string_view text);
  bool put(const char* text) { return put(std::string_view(text)); }
  bool put(const std::string& text) { return put(std::string_view(text)); }
  bool put(const WorkerId& id) { return put(std::string_view(id.value)); }
  template <class Tag>
  bool put(Id<Tag> id) {
    return put(id.value);
  }
  template <NamedEnum E>
  bool put(E value) {
    return put(name_of(value));
  }
  template <class T>
  bool put(const std::optional<T>& value) {
    return value && put(*value);
  }

  bool put_byte(bool value);
  bool put64(std::uint64_t value);
  void put32(std::uint32_t value);
  void set32(std::size_t at, std::uint32_t value);

  std::vector<Part> parts_;
  std::string bytes_;
};

class Rows;

// One row; valid as long as its Rows.
class Row : public ReadsColumns {
 public:
  // Says that the row makes no sense; comes out of Rows::all() and first().
  void reject(std::string why);

 private:
  friend class ReadsColumns;
  friend class Rows;
  Row(Rows& rows, int number) : rows_(rows), number_(number) {}

  [[nodiscard]] bool is_null(int column) const;
  [[nodiscard]] std::string_view text_at(int column) const;  // its bytes, whatever the type
  [[nodiscard]] std::int64_t int64_at(int column);
  [[nodiscard]] double double_at(int column);
  [[nodiscard]] TimePoint instant_at(int column);
  [[nodiscard]] std::vector<std::int64_t> bigints_at(int column);

  Rows& rows_;
  int number_;
};

// What one statement gave back.
class Rows : public ReadsValues {
 public:
  explicit Rows(pg_result* result) : result_(result) {}
  Rows(Rows&& other) noexcept : result_(std::exchange(other.result_, nullptr)), fault_(std::move(other.fault_)) {}
  Rows& operator=(Rows&& other) noexcept {
    std::swap(result_, other.result_);
    std::swap(fault_, other.fault_);
    return *this;
  }
  ~Rows();

  [[nodiscard]] int size() const;
  // How many rows the statement changed.
  [[nodiscard]] std::int64_t changed() const;

  // Every row through `map(Row&) -> T`.
  template <class Map>
  [[nodiscard]] auto all(Map map) -> SchedulerResult<std::vector<std::invoke_result_t<Map, Row&>>> {
    std::vector<std::invoke_result_t<Map, Row&>> mapped;
    mapped.reserve(static_cast<std::size_t>(size()));
    for (int i = 0; i < size(); ++i) {
      Row row(*this, i);
      mapped.push_back(map(row));
    }
    if (fault_) return std::unexpected(*fault_);
    return mapped;
  }

  // The first row through `map`, or nothing.
  template <class Map>
  [[nodiscard]] auto first(Map map) -> SchedulerResult<std::optional<std::invoke_result_t<Map, Row&>>> {
    std::optional<std::invoke_result_t<Map, Row&>> mapped;
    if (size() > 0) {
      Row row(*this, 0);
      mapped.emplace(map(row));
    }
    if (fault_) return std::unexpected(*fault_);
    return mapped;
  }

 private:
  friend class Row;
  pg_result* result_;
  std::optional<SchedulerError> fault_;
};

// `text` as PostgreSQL can keep it.
[[nodiscard]] std::string storable(std::string_view text);

}  // namespace scheduler::database::postgres
