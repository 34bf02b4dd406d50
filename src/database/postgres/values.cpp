#include "database/postgres/values.hpp"

#include <fmt/format.h>

#include <bit>
#include <charconv>
#include <libpq-fe.h>

namespace scheduler::database::postgres {
namespace {

constexpr std::int64_t kEpoch2000 = 946'684'800'000'000;  // where the server's count of microseconds begins

template <class T>
T big_endian(std::string_view bytes) {
  T value = 0;
  for (const char c : bytes) value = static_cast<T>((value << 8) | static_cast<unsigned char>(c));
  return value;
}

// The length of the UTF-8 sequence at the beginning of `text`; 0: what is there is none. NUL is none either.
std::size_t utf8_length(std::string_view text) {
  const auto at = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  const auto follows = [&](std::size_t i, unsigned from = 0x80, unsigned to = 0xbf) {
    return at(i) >= from && at(i) <= to;
  };
  const unsigned lead = at(0);
  if (lead < 0x80) return lead == 0 ? 0 : 1;
  if (lead >= 0xc2 && lead <= 0xdf) return follows(1) ? 2 : 0;
  if (lead >= 0xe0 && lead <= 0xef)
    return follows(1, lead == 0xe0 ? 0xa0 : 0x80, lead == 0xed ? 0x9f : 0xbf) && follows(2) ? 3 : 0;
  if (lead >= 0xf0 && lead <= 0xf4)
    return follows(1, lead == 0xf0 ? 0x90 : 0x80, lead == 0xf4 ? 0x8f : 0xbf) && follows(2) && follows(3) ? 4 : 0;
  return 0;
}

// Where the first byte stands that is no text; the size when there is none.
std::size_t valid_prefix(std::string_view text) {
  std::size_t i = 0;
  while (i < text.size()) {
    if (const auto c = static_cast<unsigned char>(text[i]); c != 0 && c < 0x80) {
      ++i;
      continue;
    }
    const auto length = utf8_length(text.substr(i));
    if (length == 0) break;
    i += length;
  }
  return i;
}

}  // namespace

std::string storable(std::string_view text) {
  std::string kept;
  for (;;) {
    const auto good = valid_prefix(text);
    kept.append(text.substr(0, good));
    if (good == text.size()) return kept;
    kept.append("\xef\xbf\xbd");
    text.remove_prefix(good + 1);
  }
}

// ---- parameters -----------------------------------------------------------------------------------------------------

bool Parameters::put_byte(bool value) {
  bytes_.push_back(value ? 1 : 0);
  return true;
}

bool Parameters::put64(std::uint64_t value) {
  for (int shift = 56; shift >= 0; shift -= 8) bytes_.push_back(static_cast<char>(value >> shift));
  return true;
}

void Parameters::put32(std::uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) bytes_.push_back(static_cast<char>(value >> shift));
}

void Parameters::set32(std::size_t at, std::uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) bytes_[at++] = static_cast<char>(value >> shift);
}

bool Parameters::put(double value) { return put64(std::bit_cast<std::uint64_t>(value)); }
bool Parameters::put(TimePoint at) { return put(to_micros(at) - kEpoch2000); }

bool Parameters::put(std::string_view text) {
  if (valid_prefix(text) == text.size())
    bytes_.append(text);
  else
    bytes_.append(storable(text));
  return true;
}

// ---- rows -----------------------------------------------------------------------------------------------------------

Rows::~Rows() { PQclear(result_); }
int Rows::size() const { return PQntuples(result_); }

std::int64_t Rows::changed() const {
  const std::string_view text = PQcmdTuples(result_);
  std::int64_t count = 0;
  std::from_chars(text.data(), text.data() + text.size(), count);
  return count;
}

void Row::reject(std::string why) {
  if (!rows_.fault_) rows_.fault_ = SchedulerError{ErrorKind::Database, std::move(why)};
}

bool Row::is_null(int column) const { return PQgetisnull(rows_.result_, number_, column) != 0; }

std::string_view Row::text_at(int column) const {
  return {PQgetvalue(rows_.result_, number_, column),
          static_cast<std::size_t>(PQgetlength(rows_.result_, number_, column))};
}

std::int64_t Row::int64_at(int column) {
  constexpr std::uint32_t kSmallint = 21, kInteger = 23;
  const auto bytes = text_at(column);
  switch (PQftype(rows_.result_, column)) {
    case kBool.scalar:
      return bytes == std::string_view("\x01");
    case kSmallint:
      return big_endian<std::int16_t>(bytes);
    case kInteger:
      return big_endian<std::int32_t>(bytes);
    case kBigint.scalar:
      return big_endian<std::int64_t>(bytes);
    default:
      reject(fmt::format("column {} holds no whole number", column + 1));
      return 0;
  }
}

double Row::double_at(int column) {
  if (PQftype(rows_.result_, column) != kDouble.scalar) {
    reject(fmt::format("column {} holds no double", column + 1));
    return 0;
  }
  return std::bit_cast<double>(big_endian<std::uint64_t>(text_at(column)));
}

TimePoint Row::instant_at(int column) {
  if (PQftype(rows_.result_, column) != kInstant.scalar) {
    reject(fmt::format("column {} holds no instant", column + 1));
    return {};
  }
  return from_micros(big_endian<std::int64_t>(text_at(column)) + kEpoch2000);
}

// The head: dimensions, whether there are NULLs, the type of the elements, their number, the first index.
std::vector<std::int64_t> Row::bigints_at(int column) {
  constexpr std::size_t kHead = 20, kElement = 12;  // each with its length
  std::vector<std::int64_t> values;
  auto bytes = text_at(column);
  if (PQftype(rows_.result_, column) != kBigint.array) reject(fmt::format("column {} holds no bigint[]", column + 1));
  if (PQftype(rows_.result_, column) != kBigint.array || bytes.size() < kHead) return values;
  for (bytes.remove_prefix(kHead); bytes.size() >= kElement; bytes.remove_prefix(kElement))
    values.push_back(big_endian<std::int64_t>(bytes.substr(4, 8)));
  return values;
}

}  // namespace scheduler::database::postgres
