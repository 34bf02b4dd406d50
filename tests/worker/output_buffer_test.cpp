#include "worker/output_buffer.hpp"

#include <gtest/gtest.h>

using namespace scheduler;
using application::LogChunk;
using application::Stream;
using worker::LineCutter;
using worker::OutputBuffer;

namespace {

class FixedClock final : public Clock {
 public:
  TimePoint now() const override { return at; }
  Micros elapsed() const override { return {}; }
  TimePoint at = from_micros(1'000'000);
};

// The lines of a stream, in brackets, written `piece` bytes at a time.
std::string lines_of(std::string_view bytes, std::size_t piece, std::size_t line_bytes_max = 100) {
  LineCutter cutter(line_bytes_max);
  std::string all;
  const LineCutter::Emit emit = [&](std::string_view line) { all.append("[").append(line).append("]"); };
  for (; !bytes.empty(); bytes.remove_prefix(std::min(piece, bytes.size()))) cutter.write(bytes.substr(0, piece), emit);
  cutter.close(emit);
  return all;
}

// "1 stdout a|b" per chunk, one a line.
std::string shape(const std::vector<LogChunk>& chunks) {
  std::string all;
  for (const auto& chunk : chunks) {
    auto text = chunk.text;
    EXPECT_EQ(std::ranges::count(text, '\n') + 1, chunk.lines);
    std::ranges::replace(text, '\n', '|');
    all += (all.empty() ? "" : "\n") + std::to_string(chunk.first_line) + " " + std::string(name_of(chunk.stream)) +
           " " + text;
  }
  return all;
}

class OutputBufferTest : public testing::Test {
 protected:
  FixedClock clock;
  OutputBuffer buffer{{7}, 2, clock};
};

}  // namespace

TEST(LineCutter, EveryInput_BecomesCleanLines) {
  using namespace std::string_view_literals;
  const struct {
    std::string_view name, bytes, expected;
  } rows[] = {
      {"nothing", ""sv, ""},
      {"one line", "a\n"sv, "[a]"},
      {"the last line needs no end", "a\nb"sv, "[a][b]"},
      {"empty lines stay", "\n\na\n\n"sv, "[][][a][]"},
      {"DOS line ends", "a\r\nb\r\n"sv, "[a][b]"},
      {"two returns and a line feed", "a\r\r\nb"sv, "[a][b]"},
      {"a progress bar keeps its last state", "10%\r20%\r100%\ndone\n"sv, "[100%][done]"},
      {"a return at the end changes nothing", "abc\r"sv, "[abc]"},
      {"tabs stay", "a\tb"sv, "[a\tb]"},
      {"other controls are replaced", "a\0b\x1B[1m\x7F"sv,
       "[a\xEF\xBF\xBD"
       "b\xEF\xBF\xBD[1m\xEF\xBF\xBD]"},
      {"UTF-8 stays", "grüße €  𝄞\n"sv, "[grüße €  𝄞]"},
      {"a C1 control is replaced", "a\xC2\x85z"sv, "[a\xEF\xBF\xBDz]"},
      {"the byte after the C1 controls stays", "\xC2\xA0"sv, "[\xC2\xA0]"},
      {"Latin-1 is replaced",
       "gr\xFC\xDF"
       "e"sv,
       "[gr\xEF\xBF\xBD\xEF\xBF\xBD"
       "e]"},
      {"a character cut by a line end", "\xE2\x82\nz"sv, "[\xEF\xBF\xBD][z]"},
      {"a character cut by the end", "a\xF0\x9D\x84"sv, "[a\xEF\xBF\xBD]"},
      {"a character cut by another one", "\xE2\x82\xC3\xBC"sv, "[\xEF\xBF\xBD\xC3\xBC]"},
      {"an overlong slash is three faults", "\xE0\x80\xAF"sv, "[\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD]"},
      {"a surrogate is three faults", "\xED\xA0\x80"sv, "[\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD]"},
      {"beyond Unicode", "\xF4\x90\x80\x80"sv, "[\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD]"},
      {"a lone continuation", "\x80"sv, "[\xEF\xBF\xBD]"},
      {"never in UTF-8", "\xFF\xFE"sv, "[\xEF\xBF\xBD\xEF\xBF\xBD]"},
  };
  for (const auto& row : rows)
    for (const std::size_t piece : {1, 2, 3, 5, 100}) EXPECT_EQ(lines_of(row.bytes, piece), row.expected) << row.name;
}

TEST(LineCutter, LongLine_IsSplitBetweenCharacters) {
  for (const std::size_t piece : {1, 3, 100}) {
    EXPECT_EQ(lines_of("abcdefgh", piece, 4), "[abcd][efgh]");
    EXPECT_EQ(lines_of("abcd\nefgh\n", piece, 4), "[abcd][efgh]");  // it ends right where it would be split
    EXPECT_EQ(lines_of("abcde\n\n", piece, 4), "[abcd][e][]");
    EXPECT_EQ(lines_of("abcü\n", piece, 4), "[abc][ü]");
  }
}

TEST(LineCutter, Flush_MakesALineOfWhatIsThere) {
  LineCutter cutter(100);
  std::string all;
  const LineCutter::Emit emit = [&](std::string_view line) { all.append("[").append(line).append("]"); };
  cutter.write("Password: ", emit);
  EXPECT_TRUE(cutter.has_partial());
  cutter.flush(emit);
  cutter.flush(emit);
  EXPECT_EQ(all, "[Password: ]");
  cutter.write("\nnext", emit);  // the line that was told ends here: no empty line follows it
  EXPECT_EQ(all, "[Password: ]");
  cutter.write("\n\n", emit);
  EXPECT_EQ(all, "[Password: ][next][]");
}

TEST_F(OutputBufferTest, Take_ConsecutiveLinesOfOneStream_ShareAChunk) {
  buffer.write(Stream::out, "a\nb\nhalf");
  buffer.write(Stream::err, "x\n");
  buffer.write(Stream::out, " line\nc\n");
  const auto chunks = buffer.take(false);
  EXPECT_EQ(shape(chunks), "1 stdout a|b\n3 stderr x\n4 stdout half line|c");
  EXPECT_EQ(chunks[0].run, RunId{7});
  EXPECT_EQ(chunks[0].attempt, 2);
  EXPECT_EQ(chunks[0].at, clock.at);
  EXPECT_TRUE(buffer.take(false).empty());
  buffer.write(Stream::out, "d\n");
  EXPECT_EQ(shape(buffer.take(false)), "6 stdout d");
  EXPECT_EQ(buffer.lines(), 6);
}

TEST_F(OutputBufferTest, Take_PartialLine_WaitsUnlessFlushed) {
  buffer.write(Stream::out, "progress");
  EXPECT_TRUE(buffer.has_partial_line());
  EXPECT_EQ(shape(buffer.take(false)), "");
  EXPECT_EQ(shape(buffer.take(true)), "1 stdout progress");
  EXPECT_FALSE(buffer.has_partial_line());
  buffer.write(Stream::out, "\nlast");
  EXPECT_EQ(shape(buffer.close()), "2 stdout last");
  EXPECT_EQ(buffer.lines(), 2);
}

TEST_F(OutputBufferTest, Close_WithoutOutput_GivesNothing) {
  EXPECT_EQ(shape(buffer.close()), "");
  EXPECT_EQ(buffer.lines(), 0);
  buffer.write(Stream::out, "too late\n");
  EXPECT_EQ(shape(buffer.close()), "");
}

TEST_F(OutputBufferTest, Take_ManyLines_FillChunksOfBoundedSize) {
  std::string text;
  for (int i = 0; i < 10'000; ++i) text += "line " + std::to_string(i) + "\n";
  buffer.write(Stream::out, text);
  std::int64_t next = 1;
  for (const auto& chunk : buffer.take(false)) {
    EXPECT_EQ(chunk.first_line, next);
    EXPECT_LE(chunk.text.size(), 32U << 10);
    next += chunk.lines;
  }
  EXPECT_EQ(next, 10'001);
}

TEST(OutputBuffer, MoreThanTheHead_KeepsTheEndToo) {
  FixedClock clock;
  OutputBuffer buffer(
      {1}, 1, clock,
      {.head_bytes_max = 200, .tail_bytes_max = 20'000, .line_bytes_max = 50, .chunk_bytes_max = 50'000});
  for (int i = 1; i <= 100'000; ++i)
    buffer.write(Stream::out, "line " + std::string(6 - std::to_string(i).size(), '0') + std::to_string(i) + "\n");
  const auto head = buffer.take(true);
  ASSERT_EQ(head.size(), 1U);
  EXPECT_EQ(head[0].lines, 8);  // 8 lines of 12 bytes
  const auto tail = buffer.close();
  ASSERT_EQ(tail.size(), 1U);
  EXPECT_EQ(tail[0].first_line, 9);
  EXPECT_TRUE(tail[0].text.ends_with("line 099999\nline 100000"));
  EXPECT_EQ(buffer.lines(), 8 + tail[0].lines);
  const auto kept = std::size_t(tail[0].lines - 1) * 12;
  EXPECT_GT(kept, 15'000U);
  EXPECT_LE(kept, 20'000U);
  const auto left_out = 1'200'000 - 96 - std::int64_t(kept);
  EXPECT_TRUE(tail[0].text.starts_with("… 1,1" + std::to_string(left_out / 1000 % 100) + "," +
                                       std::to_string(left_out % 1000) + " bytes left out …\n"))
      << tail[0].text.substr(0, 60) << left_out;
}

TEST(OutputBuffer, JustMoreThanTheHead_LeavesNothingOut) {
  FixedClock clock;
  OutputBuffer buffer({1}, 1, clock,
                      {.head_bytes_max = 100, .tail_bytes_max = 1000, .line_bytes_max = 50, .chunk_bytes_max = 50});
  buffer.write(Stream::out, "a\nb\nc\n");
  buffer.write(Stream::err, "d\n");
  buffer.write(Stream::out, "e");
  EXPECT_EQ(shape(buffer.close()), "1 stdout a|b|c\n4 stderr d\n5 stdout e");
}

TEST(OutputBuffer, HundredMegabytes_StayBounded) {
  const std::string text_lines = [] {
    std::string text;
    while (text.size() < 100'000) text += "a line of some length, as programs write them\n";
    return text;
  }();
  const struct {
    std::string_view name;
    std::size_t bytes;
    std::string piece;
  } rows[] = {
      {"lines", 100'000'000, text_lines},
      {"no line end at all", 100'000'000, std::string(100'000, 'x')},
      {"empty lines", 10'000'000, std::string(100'000, '\n')},
      {"zeros", 10'000'000, std::string(100'000, '\0')},
  };
  for (const auto& row : rows) {
    FixedClock clock;
    OutputBuffer buffer({1}, 1, clock);
    std::size_t memory_max = 0, taken = 0;
    for (std::size_t sum = 0; sum < row.bytes; sum += row.piece.size()) {
      buffer.write(Stream::out, row.piece);
      memory_max = std::max(memory_max, buffer.memory_bytes());
    }
    for (const auto& chunk : buffer.take(false)) taken += chunk.text.size();
    EXPECT_LE(memory_max, 4U << 20) << row.name;
    for (const auto& chunk : buffer.close()) taken += chunk.text.size();
    EXPECT_LE(taken, (1U << 20) + (256U << 10) + 100) << row.name;
    EXPECT_GE(taken, 1U << 20 >> 1) << row.name;
  }
}

TEST(OutputBuffer, StreamsThatAlternate_StayBounded) {
  FixedClock clock;
  OutputBuffer buffer({1}, 1, clock);
  std::size_t memory_max = 0;
  for (int i = 0; i < 200'000; ++i) {
    buffer.write(i % 2 == 0 ? Stream::out : Stream::err, "x\n");
    if (i % 1000 == 0) memory_max = std::max(memory_max, buffer.memory_bytes());
  }
  EXPECT_LE(memory_max, 3U << 20);  // nobody took anything
}
