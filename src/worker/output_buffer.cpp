#include "worker/output_buffer.hpp"

#include <fmt/format.h>

namespace scheduler::worker {
namespace {

using application::LogChunk;
using application::Stream;

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD
constexpr std::size_t kBatchBytesMax = 4096;               // the tail forgets this much at a time
constexpr std::size_t kChunkCost = 96;                     // what a chunk or batch takes beside its text

// Bytes that stand for themselves: printable ASCII and the tab.
constexpr auto kIsPlain = [] {
  std::array<bool, 256> plain{};
  for (std::size_t c = 0x20; c < 0x7F; ++c) plain[c] = true;
  plain['\t'] = true;
  return plain;
}();

// What the beginning of `bytes` is: a character, the beginning of one, or `size` bytes that are to be replaced together
// (Unicode 15, 3.9: the maximal subpart of an ill-formed sequence).
struct Character {
  enum class Kind { good, bad, unfinished } kind;
  std::size_t size;
};
Character first_character(std::string_view bytes) {
  using enum Character::Kind;
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  const auto lead = at(0);
  if (lead < 0x80) return {lead == '\t' || (lead >= 0x20 && lead < 0x7F) ? good : bad, 1};
  const std::size_t size = lead >= 0xC2 && lead <= 0xDF   ? 2
                           : (lead & 0xF0) == 0xE0        ? 3
                           : lead >= 0xF0 && lead <= 0xF4 ? 4
                                                          : 0;
  if (size == 0) return {bad, 1};
  for (std::size_t i = 1; i < size; ++i) {
    if (i >= bytes.size()) return {unfinished, i};
    // The second byte's range keeps out overlong forms, surrogates and what lies beyond U+10FFFF.
    const unsigned low = i > 1 ? 0x80 : lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    const unsigned high = i > 1 ? 0xBF : lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    if (at(i) < low || at(i) > high) return {bad, i};
  }
  const bool is_c1_control = lead == 0xC2 && at(1) < 0xA0;
  return {is_c1_control ? bad : good, size};
}

// How many bytes at the beginning can be taken as they are.
std::size_t clean_prefix(std::string_view bytes) {
  std::size_t n = 0;
  while (n < bytes.size()) {
    const auto lead = static_cast<unsigned char>(bytes[n]);
    if (kIsPlain[lead]) {
      ++n;
    } else {
      if (lead < 0x80) return n;
      const auto character = first_character(bytes.substr(n));
      if (character.kind != Character::Kind::good) return n;
      n += character.size;
    }
  }
  return n;
}

// "98,304,112"
std::string with_commas(std::int64_t number) {
  auto text = std::to_string(number);
  for (auto at = std::ssize(text) - 3; at > 0; at -= 3) text.insert(std::size_t(at), ",");
  return text;
}

}  // namespace

// --- LineCutter ------------------------------------------------------------------------------------------------------

void LineCutter::write(std::string_view bytes, const Emit& emit) {
  while (!bytes.empty()) {
    std::size_t used = unfinished_.empty() ? clean_prefix(bytes) : 0;
    if (used > 0) {
      append_clean(bytes.substr(0, used), emit);
    } else if (unfinished_.empty() && bytes.front() == '\n') {
      end_line(emit);
      used = 1;
    } else if (unfinished_.empty() && bytes.front() == '\r') {
      returned_ = true;
      used = 1;
    } else {
      used = take_character(bytes, emit);
    }
    bytes.remove_prefix(used);
  }
}

// Takes one character, or as much of it as there is, or what is none; returns how many of `bytes` that were: none, when
// an earlier piece turns out to have no continuation.
std::size_t LineCutter::take_character(std::string_view bytes, const Emit& emit) {
  const auto before = unfinished_.size();
  if (before > 0) unfinished_.append(bytes.substr(0, 4 - before));
  const auto text = before > 0 ? std::exchange(unfinished_, {}) : std::string();
  const auto all = before > 0 ? std::string_view(text) : bytes;
  const auto character = first_character(all);
  if (character.kind == Character::Kind::unfinished)
    unfinished_ = all.substr(0, character.size);
  else
    append_character(character.kind == Character::Kind::good ? all.substr(0, character.size) : kReplacement, emit);
  return character.size - before;
}

void LineCutter::append_clean(std::string_view text, const Emit& emit) {
  begin_anew_after_return();
  while (line_.size() + text.size() > line_bytes_max_) {
    auto n = line_bytes_max_ - line_.size();
    while (n > 0 && (static_cast<unsigned char>(text[n]) & 0xC0) == 0x80) --n;  // never inside a character
    line_.append(text.substr(0, n));
    text.remove_prefix(n);
    split(emit);
  }
  line_.append(text);
}

void LineCutter::append_character(std::string_view character, const Emit& emit) {
  begin_anew_after_return();
  if (line_.size() + character.size() > line_bytes_max_) split(emit);
  line_.append(character);
}

void LineCutter::begin_anew_after_return() {
  if (std::exchange(returned_, false)) line_.clear();
}

// A line whose beginning went out already, and that had nothing more, has been told in full.
void LineCutter::end_line(const Emit& emit) {
  returned_ = false;
  if (!line_.empty() || !is_continued_) emit(line_);
  line_.clear();
  is_continued_ = false;
}

void LineCutter::split(const Emit& emit) {
  emit(line_);
  line_.clear();
  is_continued_ = true;
}

void LineCutter::flush(const Emit& emit) {
  if (!line_.empty()) split(emit);
}

void LineCutter::close(const Emit& emit) {
  if (!unfinished_.empty()) {
    unfinished_.clear();
    append_character(kReplacement, emit);
  }
  flush(emit);
}

// --- OutputBuffer ----------------------------------------------------------------------------------------------------

OutputBuffer::OutputBuffer(RunId run, int attempt, const Clock& clock, Limits limits)
    : run_(run),
      attempt_(attempt),
      clock_(clock),
      limits_(limits),
      out_(limits.line_bytes_max),
      err_(limits.line_bytes_max) {}

LineCutter::Emit OutputBuffer::emitter(Stream stream) {
  return [this, stream](std::string_view line) { add_line(stream, line); };
}

void OutputBuffer::write(Stream stream, std::string_view bytes) {
  if (is_closed_) return;
  now_ = clock_.now();
  cutter(stream).write(bytes, emitter(stream));
}

std::vector<LogChunk> OutputBuffer::take(bool flush) {
  if (flush && !is_head_full_)
    for (const auto stream : {Stream::out, Stream::err}) cutter(stream).flush(emitter(stream));
  return std::exchange(ready_, {});
}

std::vector<LogChunk> OutputBuffer::close() {
  if (!is_closed_)
    for (const auto stream : {Stream::out, Stream::err}) cutter(stream).close(emitter(stream));
  is_closed_ = true;
  move_tail_to_head();
  return std::exchange(ready_, {});
}

void OutputBuffer::add_line(Stream stream, std::string_view line) {
  const auto cost = line.size() + 1 + (fits_last_chunk(stream, line) ? 0 : kChunkCost);
  is_head_full_ = is_head_full_ || head_bytes_ + cost > limits_.head_bytes_max;
  if (is_head_full_) return add_to_tail(stream, line);
  head_bytes_ += cost;
  add_to_head(stream, line, now_);
}

bool OutputBuffer::fits_last_chunk(Stream stream, std::string_view line) const {
  return !ready_.empty() && ready_.back().stream == stream &&
         ready_.back().text.size() + 1 + line.size() <= limits_.chunk_bytes_max;
}

void OutputBuffer::add_to_head(Stream stream, std::string_view line, TimePoint at) {
  if (fits_last_chunk(stream, line)) {
    auto& chunk = ready_.back();
    chunk.text.append("\n").append(line);
    ++chunk.lines;
  } else {
    ready_.push_back({.run = run_,
                      .attempt = attempt_,
                      .first_line = next_line_,
                      .lines = 1,
                      .stream = stream,
                      .at = at,
                      .text = std::string(line)});
  }
  ++next_line_;
}

void OutputBuffer::add_to_tail(Stream stream, std::string_view line) {
  if (tail_.empty() || tail_.back().stream != stream || tail_.back().text.size() + line.size() + 1 > kBatchBytesMax) {
    tail_.push_back({.stream = stream, .at = now_, .lines = 0, .text = {}});
    tail_bytes_ += kChunkCost;
  }
  auto& batch = tail_.back();
  batch.text.append(line).append("\n");
  ++batch.lines;
  tail_bytes_ += line.size() + 1;
  while (tail_bytes_ > limits_.tail_bytes_max && tail_.size() > 1) {
    const auto& oldest = tail_.front();
    left_out_bytes_ += std::ssize(oldest.text);
    tail_bytes_ -= oldest.text.size() + kChunkCost;
    tail_.pop_front();
  }
}

void OutputBuffer::move_tail_to_head() {
  if (left_out_bytes_ > 0)
    add_to_head(Stream::out, fmt::format("… {} bytes left out …", with_commas(left_out_bytes_)), tail_.front().at);
  for (const auto& batch : tail_)
    for (std::string_view rest = batch.text; !rest.empty();) {
      const auto end = rest.find('\n');
      add_to_head(batch.stream, rest.substr(0, end), batch.at);
      rest.remove_prefix(end + 1);
    }
  tail_.clear();
  tail_bytes_ = 0;
  left_out_bytes_ = 0;
}

std::size_t OutputBuffer::memory_bytes() const {
  std::size_t bytes = tail_bytes_;
  for (const auto& chunk : ready_) bytes += sizeof chunk + chunk.text.capacity();
  return bytes;
}

}  // namespace scheduler::worker
