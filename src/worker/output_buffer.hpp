// worker/output_buffer.hpp — the raw output of one attempt becomes numbered lines in chunks, of bounded size.
//
// Always true:
//   - a chunk holds whole lines of one stream, at most chunk_bytes_max bytes, valid UTF-8 without control characters
//     other than tabs: what is no UTF-8, and every other control character, became U+FFFD;
//   - line numbers count from 1 without gaps over both streams, in the order in which the lines ended;
//   - the first head_bytes_max bytes go out as they come; of what follows, the last tail_bytes_max are kept and go out
//   at
//     close(), after a line that says how much was left out between. Memory is bounded by the sum of the two, whatever
//     the attempt writes; each chunk counts about a hundred bytes beside its text, for streams that alternate.
// "\r\n" ends a line. A lone '\r' begins the line anew, as on a terminal: of a progress bar the last state remains.
// Pure: the clock only dates the chunks.
#pragma once

#include "application/messages.hpp"
#include "application/ports/task_executor.hpp"
#include "core/clock.hpp"

#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace scheduler::worker {

// Cuts one stream into clean lines.
class LineCutter {
 public:
  explicit LineCutter(std::size_t line_bytes_max) : line_bytes_max_(line_bytes_max) {}

  // Calls `emit` for every line that ends within `bytes`; lines over line_bytes_max (at least 4) are split.
  using Emit = std::function<void(std::string_view line)>;
  void write(std::string_view bytes, const Emit& emit);
  // What is there of a line that has not ended yet becomes a line; what follows it begins a new one.
  void flush(const Emit& emit);
  // The same at the end of the stream, where an unfinished character is a broken one.
  void close(const Emit& emit);
  [[nodiscard]] bool has_partial() const { return !line_.empty(); }

 private:
  void append_clean(std::string_view text, const Emit& emit);
  void append_character(std::string_view character, const Emit& emit);
  std::size_t take_character(std::string_view bytes, const Emit& emit);
  void begin_anew_after_return();
  void end_line(const Emit& emit);
  void split(const Emit& emit);

  std::size_t line_bytes_max_;
  std::string line_;           // clean so far
  std::string unfinished_;     // the bytes of a character whose end has not come yet
  bool returned_ = false;      // the last thing was '\r'
  bool is_continued_ = false;  // the beginning of this line went out already
};

class OutputBuffer final : public application::OutputSink {
 public:
  struct Limits {
    std::size_t head_bytes_max = 1 << 20;
    std::size_t tail_bytes_max = 256 << 10;
    std::size_t line_bytes_max = 16 << 10;
    std::size_t chunk_bytes_max = 32 << 10;  // >= line_bytes_max
  };
  OutputBuffer(RunId run, int attempt, const Clock& clock, Limits limits);
  OutputBuffer(RunId run, int attempt, const Clock& clock) : OutputBuffer(run, attempt, clock, Limits{}) {}

  void write(application::Stream stream, std::string_view bytes) override;

  // The chunks that are ready, in order. With `flush`, a line that has begun but not ended goes out as well: for when
  // it has been waiting so long that a reader should see it.
  [[nodiscard]] std::vector<application::LogChunk> take(bool flush);
  // Everything that is left. Later output is ignored.
  [[nodiscard]] std::vector<application::LogChunk> close();

  [[nodiscard]] bool has_chunks() const { return !ready_.empty(); }
  [[nodiscard]] bool has_partial_line() const { return out_.has_partial() || err_.has_partial(); }
  [[nodiscard]] std::int64_t lines() const { return next_line_ - 1; }  // given a number so far
  [[nodiscard]] std::size_t memory_bytes() const;                      // held now, about

 private:
  // Lines of one stream in the tail: they get their numbers when they go out.
  struct Batch {
    application::Stream stream;
    TimePoint at;
    int lines;
    std::string text;
  };
  [[nodiscard]] bool fits_last_chunk(application::Stream stream, std::string_view line) const;
  void add_line(application::Stream stream, std::string_view line);
  void add_to_head(application::Stream stream, std::string_view line, TimePoint at);
  void add_to_tail(application::Stream stream, std::string_view line);
  void move_tail_to_head();
  LineCutter& cutter(application::Stream stream) { return stream == application::Stream::out ? out_ : err_; }
  LineCutter::Emit emitter(application::Stream stream);

  RunId run_;
  int attempt_;
  const Clock& clock_;
  Limits limits_;
  LineCutter out_, err_;
  std::vector<application::LogChunk> ready_;  // the last one still grows
  std::size_t head_bytes_ = 0;
  std::deque<Batch> tail_;
  std::size_t tail_bytes_ = 0;
  std::int64_t left_out_bytes_ = 0;
  std::int64_t next_line_ = 1;
  TimePoint now_{};
  bool is_head_full_ = false, is_closed_ = false;
};

}  // namespace scheduler::worker
