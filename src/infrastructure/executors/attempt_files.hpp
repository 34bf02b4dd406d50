// infrastructure/executors/attempt_files.hpp — the files through which an attempt's process takes and leaves data.
//
// Always true:
//   - each attempt has a directory of its own that only this user may enter; it goes with the object, whatever the
//     process put there, and whatever became of the process;
//   - what an earlier process of ours left behind is removed at start: its directory is locked as long as it lives;
//   - reading the output follows no link, waits for no pipe, touches no device, and reads no more than it may.
#pragma once

#include "errors/result.hpp"
#include "infrastructure/executors/unique_fd.hpp"

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace scheduler::infrastructure {

class AttemptDirectory {
 public:
  AttemptDirectory(std::string path, UniqueFd directory);
  ~AttemptDirectory();
  AttemptDirectory(const AttemptDirectory&) = delete;
  AttemptDirectory& operator=(const AttemptDirectory&) = delete;

  // Where the process may write its output; an empty file at first.
  [[nodiscard]] std::string output_path() const { return path_ + "/output.json"; }
  // A file beside it; its path. Error: Unavailable.
  [[nodiscard]] SchedulerResult<std::string> write(std::string_view name, std::string_view text) const;
  // What the process left as its output: a JSON object as it was written, or nothing where the file is empty or gone.
  // Error: Validation; what is wrong with it.
  [[nodiscard]] SchedulerResult<std::optional<std::string>> read_output() const;

 private:
  std::string path_;
  UniqueFd directory_;  // what the process does to the path does not change where we look
};

class AttemptFiles {
 public:
  // In `parent`; "": where TMPDIR says, or /tmp. Error: Config, with the remedy.
  [[nodiscard]] static SchedulerResult<std::unique_ptr<AttemptFiles>> create(std::string parent = "");
  ~AttemptFiles();
  AttemptFiles(const AttemptFiles&) = delete;
  AttemptFiles& operator=(const AttemptFiles&) = delete;

  // For one attempt. Error: Unavailable.
  [[nodiscard]] SchedulerResult<std::unique_ptr<AttemptDirectory>> make();
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  AttemptFiles(std::string parent, std::string path, UniqueFd lock);

  std::string parent_, path_;
  UniqueFd lock_;
};

// `text` where it is an output: a JSON object of at most domain::kOutputBytesMax. Nothing where it is blank. Error:
// Validation; a sentence whose subject is the output.
[[nodiscard]] SchedulerResult<std::optional<std::string>> checked_output(std::string text);

}  // namespace scheduler::infrastructure
