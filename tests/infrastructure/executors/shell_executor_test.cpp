#include "infrastructure/executors/shell_executor.hpp"

#include "executors/fixture.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <cstdlib>
#include <filesystem>
#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace scheduler;
using namespace scheduler::executor_test;
using namespace scheduler::infrastructure;
using domain::AttemptState;
using domain::Outcome;
using domain::Reason;
using testing::HasSubstr;

namespace {

class ShellExecutorTest : public ExecutorTest {
 public:
  ShellExecutorTest() { std::filesystem::create_directories(directory); }
  ~ShellExecutorTest() override { std::filesystem::remove_all(directory); }

  // JSON of {"command": …} plus `more` members.
  static std::string command(std::string_view text, std::string_view more = "") {
    std::string escaped;
    for (const char c : text) {
      if (c == '\n') {
        escaped += "\\n";
        continue;
      }
      if (c == '"' || c == '\\') escaped += '\\';
      escaped += c;
    }
    return fmt::format(R"({{"command":"{}"{}}})", escaped, more);
  }
  domain::Outcome shell(std::string_view text, std::string_view more = "") {
    return run(executor, command(text, more));
  }

  std::string make_file(const std::string& name, std::string_view text, mode_t mode) {
    const auto path = directory + "/" + name;
    std::ofstream(path) << text;
    ::chmod(path.c_str(), mode);
    return path;
  }

  // The pid that the output names after "pid=".
  pid_t printed_pid() const {
    const auto at = sink.out.find("pid=");
    return at == std::string::npos ? 0 : std::atoi(sink.out.c_str() + at + 4);
  }

  const std::string directory = "/tmp/scheduler-shell-test-" + std::to_string(::getpid());
  WorkerIdentity identity{{"worker-a"}, {12345}};
  ProcessRunner runner{io, clock, timer, {.kill_grace = 300ms}};
  std::unique_ptr<AttemptFiles> files = std::move(*AttemptFiles::create());
  ShellExecutor executor{{runner, identity, *files}};
};

// A process in a session of its own, its parent gone: what a daemon does.
constexpr std::string_view kDaemon = "(setsid sh -c 'echo pid=$$; exec sleep 1000' &) ; ";

}  // namespace

TEST_F(ShellExecutorTest, Execute_ExitCodes_BecomeOutcomes) {
  EXPECT_EQ(shell("exit 0"), (domain::Outcome{.exit_code = 0}));
  EXPECT_EQ(shell("exit 3"), (domain::Outcome{.state = AttemptState::failed,
                                              .reason = Reason::exit_code,
                                              .message = "exited with code 3",
                                              .exit_code = 3}));
  EXPECT_EQ(
      shell("kill -SEGV $$"),
      (domain::Outcome{
          .state = AttemptState::failed, .reason = Reason::signal, .message = "killed by SIGSEGV", .exit_code = 139}));
  EXPECT_EQ(shell("exit 255").exit_code, 255);
}

TEST_F(ShellExecutorTest, Execute_Output_KeepsItsStreamAndItsBytes) {
  EXPECT_EQ(shell("echo grüße; echo bad >&2; printf 'a\\000\\377b'").exit_code, 0);
  EXPECT_EQ(sink.out, std::string("grüße\na\0\377b", 12));
  EXPECT_EQ(sink.err, "bad\n");
}

TEST_F(ShellExecutorTest, Execute_WithArgs_RunsTheProgramWithoutAShell) {
  EXPECT_EQ(shell("printf", R"(,"args":["<%s>","$HOME","a b",""])").exit_code, 0);
  EXPECT_EQ(sink.out, "<$HOME><a b><>");
}

TEST_F(ShellExecutorTest, Execute_OtherShell_IsUsed) {
  EXPECT_EQ(shell("echo $((1+1)) $0", R"(,"shell":"bash")").exit_code, 0);
  EXPECT_EQ(sink.out, "2 bash\n");
}

TEST_F(ShellExecutorTest, Execute_Environment_IsAllowListPlusTaskPlusOurs) {
  ::setenv("A_SECRET_OF_THE_WORKER", "1", 1);
  ::setenv("LC_TEST", "de", 1);
  const ShellExecutor fresh({runner, identity, *files});
  execution.slot = from_micros(1'774'747'800'000'000);
  execution.shard_index = 1;
  execution.shard_total = 4;
  ShellExecutor with_environment({runner, identity, *files});
  EXPECT_EQ(run(with_environment, R"({"command":"env | sort","environment":{"MINE":"ü=1","LANG":"xx"}})").exit_code, 0);
  std::string rest;
  std::istringstream lines(sink.out);
  for (std::string line; std::getline(lines, line);)
    if (!line.starts_with("PATH=") && !line.starts_with("HOME=") && !line.starts_with("PWD=") &&
        !line.starts_with("SHELL=") && !line.starts_with("USER=") && !line.starts_with("LOGNAME=") &&
        !line.starts_with("TZ=") && !line.starts_with("TMPDIR=") && !line.starts_with("SCHEDULER_PROCESS=") &&
        !line.starts_with("OLDPWD=") && !line.starts_with("SCHEDULER_OUTPUT=") && !line.starts_with("_=") &&
        (!line.starts_with("LC_") || line.starts_with("LC_TEST")))
      rest += line + "\n";
  EXPECT_EQ(rest,
            "LANG=xx\nLC_TEST=de\nMINE=ü=1\nSCHEDULER_ATTEMPT=2\nSCHEDULER_INCARNATION=12345\nSCHEDULER_RUN_ID=41\n"
            "SCHEDULER_SHARD_INDEX=1\nSCHEDULER_SHARD_TOTAL=4\nSCHEDULER_SLOT=2026-03-29T01:30:00Z\n"
            "SCHEDULER_TASK_ID=7\nSCHEDULER_TASK_NAME=tidy ü\nSCHEDULER_TOKEN=9\nSCHEDULER_WORKER_ID=worker-a\n");
}

TEST_F(ShellExecutorTest, Execute_Output_IsTheObjectThatItLeft) {
  EXPECT_EQ(shell("echo '{\"rows\": 12}' > $SCHEDULER_OUTPUT"),
            (Outcome{.exit_code = 0, .output = "{\"rows\": 12}\n"}));
  // As many programs write a file.
  EXPECT_EQ(shell("echo '{}' > $SCHEDULER_OUTPUT.tmp && mv $SCHEDULER_OUTPUT.tmp $SCHEDULER_OUTPUT").output, "{}\n");
  for (const std::string_view nothing :
       {"true", "rm $SCHEDULER_OUTPUT", "echo > $SCHEDULER_OUTPUT", "rm -r $(dirname $SCHEDULER_OUTPUT)"})
    EXPECT_EQ(shell(nothing), (Outcome{.exit_code = 0})) << nothing;
}

TEST_F(ShellExecutorTest, Execute_OutputThatIsNone_FailsTheAttempt) {
  const std::string to = " > $SCHEDULER_OUTPUT";
  const struct {
    std::string command;
    std::string_view message;
  } rows[] = {
      {"echo 12" + to, "the output is JSON, but no object"},
      {"echo nonsense" + to, "the output is no JSON object: "},
      {"printf '{\"a\":\"\\377\"}'" + to, "the output is no JSON object: "},
      {"echo '{\"a\":1,\"a\":2}'" + to, "the output is no JSON object: "},
      {"(printf '{\"a\":\"'; head -c 65536 /dev/zero | tr '\\0' x; printf '\"}')" + to,
       "the output is 65544 bytes long; 65536 bytes are the most"},
      {"ln -sf /etc/hostname $SCHEDULER_OUTPUT", "the output is a symbolic link, and is not followed"},
      {"rm $SCHEDULER_OUTPUT; mkfifo $SCHEDULER_OUTPUT", "the output is no regular file"},
      {"rm $SCHEDULER_OUTPUT; mkdir -p $SCHEDULER_OUTPUT/deep/er", "the output is no regular file"},
      {"rm $SCHEDULER_OUTPUT; mknod $SCHEDULER_OUTPUT c 1 5", "the output is no regular file"},  // /dev/zero
  };
  for (const auto& row : rows) {
    const auto outcome = shell(row.command);
    EXPECT_EQ(outcome.state, AttemptState::failed) << row.command;
    EXPECT_EQ(outcome.reason, Reason::output_invalid) << row.command;
    EXPECT_THAT(outcome.message, HasSubstr(row.message)) << row.command;
    EXPECT_FALSE(outcome.permanent) << "it is the task's failure like any other";
    EXPECT_FALSE(outcome.output) << row.command;
  }
}

// Where it leads is changed under our feet: we look where we looked before.
TEST_F(ShellExecutorTest, Execute_DirectoryReplacedByALink_ReadsNothingThere) {
  std::ofstream(directory + "/output.json") << R"({"secret":1})";
  const auto outcome = shell("d=$(dirname $SCHEDULER_OUTPUT); rm -r $d; ln -s " + directory + " $d");
  EXPECT_EQ(outcome, (Outcome{.exit_code = 0}));
  EXPECT_TRUE(std::filesystem::exists(directory + "/output.json")) << "what a link leads to is not removed";
}

TEST_F(ShellExecutorTest, Execute_FailedAttempt_LeavesNoOutput) {
  const auto outcome = shell("echo '{}' > $SCHEDULER_OUTPUT; exit 3");
  EXPECT_EQ(outcome.reason, Reason::exit_code);
  EXPECT_FALSE(outcome.output);
}

TEST_F(ShellExecutorTest, Execute_FilesOfAnAttempt_ArePrivateAndGoWithIt) {
  execution.upstream = R"({"extract":{"run_id":3,"state":"succeeded","output":{"rows":1}}})";
  EXPECT_EQ(shell("stat -c %a $SCHEDULER_OUTPUT $SCHEDULER_UPSTREAM_FILE $(dirname $SCHEDULER_OUTPUT);"
                  " echo more > $SCHEDULER_OUTPUT.more")
                .exit_code,
            0);
  EXPECT_EQ(sink.out, "600\n600\n700\n");
  EXPECT_THAT(names_in(files->path().c_str()), testing::IsEmpty());
  for (const std::string_view end : {"exit 3", "kill -9 $$", "echo ready; sleep 60"}) {
    stop_at("ready", StopReason::timeout);
    (void)shell(fmt::format("echo '{{}}' > $SCHEDULER_OUTPUT; mkdir $SCHEDULER_OUTPUT.d; {}", end));
    EXPECT_THAT(names_in(files->path().c_str()), testing::IsEmpty()) << end;
  }
}

TEST_F(ShellExecutorTest, Execute_Upstream_ComesAsAVariableAndAsAFile) {
  execution.upstream = R"({"extract":{"run_id":3,"state":"succeeded","output":{"rows":1}}})";
  EXPECT_EQ(shell("printf %s \"$SCHEDULER_UPSTREAM\" | cmp - $SCHEDULER_UPSTREAM_FILE && cat $SCHEDULER_UPSTREAM_FILE")
                .exit_code,
            0);
  EXPECT_EQ(sink.out, *execution.upstream);
  sink.out.clear();
  execution.upstream = R"({"a":")" + std::string(500'000, 'x') + R"("})";
  EXPECT_EQ(shell("echo ${SCHEDULER_UPSTREAM-unset} $(wc -c < $SCHEDULER_UPSTREAM_FILE)").exit_code, 0);
  EXPECT_EQ(sink.out, "unset 500008\n") << "larger than a variable may be: the file alone";
  sink.out.clear();
  execution.upstream.reset();
  EXPECT_EQ(shell("echo ${SCHEDULER_UPSTREAM-unset} ${SCHEDULER_UPSTREAM_FILE-unset}").exit_code, 0);
  EXPECT_EQ(sink.out, "unset unset\n");
}

// Whatever an upstream says stays one argument, and one variable.
TEST_F(ShellExecutorTest, Execute_HostileOutput_StaysOneArgument) {
  execution.upstream =
      R"({"a":{"run_id":3,"state":"succeeded","output":{"x":"; rm -rf \"$HOME\" '\n$(id) `id` ü ${upstream.a.x}"}}})";
  EXPECT_EQ(shell("printf", R"(,"args":["<%s>","--x=${upstream.a.x}","$${upstream.a.x}"])").exit_code, 0);
  const std::string value = "; rm -rf \"$HOME\" '\n$(id) `id` ü ${upstream.a.x}";
  EXPECT_EQ(sink.out, "<--x=" + value + "><${upstream.a.x}>");
  sink.out.clear();
  EXPECT_EQ(shell("printf '<%s>' \"$X\"", R"(,"environment":{"X":"${upstream.a.x}"})").exit_code, 0);
  EXPECT_EQ(sink.out, "<" + value + ">");
}

TEST_F(ShellExecutorTest, Execute_OutputThatIsNotThere_FailsForGood) {
  const auto outcome = shell("echo", R"(,"args":["${upstream.a.x}"])");
  EXPECT_EQ(outcome.state, AttemptState::failed);
  EXPECT_EQ(outcome.reason, Reason::output_missing);
  EXPECT_TRUE(outcome.permanent);
  EXPECT_EQ(outcome.message, "${upstream.a.x}: this run waited for no upstream run");
  EXPECT_EQ(sink.out, "");
}

TEST_F(ShellExecutorTest, Execute_Child_StartsClean) {
  ::signal(SIGPIPE, SIG_IGN);
  const int leak = ::open("/dev/null", O_RDONLY);  // not close-on-exec
  shell(
      "for fd in /proc/self/fd/*; do echo ${fd##*/}; done; grep -E 'SigBlk|SigIgn' /proc/self/status; "
      "ps -o sid= -p $$; echo $$; umask; readlink /proc/self/fd/0");
  ::close(leak);
  const auto at = sink.out.find("SigBlk");
  // The shell holds the directory open while it expands the pattern.
  EXPECT_THAT(sink.out.substr(0, at), testing::AnyOf("0\n1\n2\n", "0\n1\n2\n3\n"));
  EXPECT_THAT(sink.out, HasSubstr("SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n"));
  std::istringstream rest(sink.out.substr(sink.out.find("SigIgn")));
  std::string word, session, pid, mask, input;
  rest >> word >> word >> session >> pid >> mask >> input;
  EXPECT_EQ(session, pid);
  EXPECT_EQ(input, "/dev/null");
}

TEST_F(ShellExecutorTest, Execute_CannotStart_NamesWhatIsAtFault) {
  const auto plain = make_file("plain", "echo hi", 0644);
  const auto orphan_script = make_file("script", "#!/no/such/interpreter\n", 0755);
  const auto no_line = make_file("noline", "echo hi\n", 0755);
  const struct {
    std::string name, parameters, message;
  } rows[] = {
      {"no such program", command("surely-not-there", R"(,"args":[])"),
       "there is no program 'surely-not-there' on the "},
      {"no such path", command("/no/such/program", R"(,"args":[])"), "there is no program /no/such/program"},
      {"no such shell", command("true", R"(,"shell":"/no/sh")"), "there is no program /no/sh"},
      {"not executable", command(plain, R"(,"args":[])"), "cannot run " + plain + ": it is not executable"},
      {"a directory", command(directory, R"(,"args":[])"), "cannot run " + directory + ": it is a directory"},
      {"interpreter missing", command(orphan_script, R"(,"args":[])"),
       "cannot run " + orphan_script + ": the interpreter in its first line"},
      {"no interpreter", command(no_line, R"(,"args":[])"), "nor a script with a #! line"},
      {"directory missing", command("true", R"(,"working_directory":"/no/such/dir")"),
       "cannot enter the working directory /no/such/dir: No such file or directory"},
      {"directory is a file", command("true", R"(,"working_directory":"/etc/passwd")"),
       "cannot enter the working directory /etc/passwd: Not a directory"},
  };
  for (const auto& row : rows) {
    const auto outcome = run(executor, row.parameters);
    EXPECT_EQ(outcome.state, AttemptState::failed) << row.name;
    EXPECT_EQ(outcome.reason, Reason::executor_error) << row.name;
    EXPECT_FALSE(outcome.permanent) << row.name;  // another worker may have it
    EXPECT_THAT(outcome.message, HasSubstr(row.message)) << row.name;
  }
  EXPECT_EQ(sink.total, 0U);
}

TEST_F(ShellExecutorTest, Execute_EnvironmentTooLarge_SaysSo) {
  std::string more = R"(,"environment":{"A0":"")";
  for (int i = 1; i < 100; ++i) more += fmt::format(R"(,"A{}":"{}")", i, std::string(100'000, 'x'));
  const auto outcome = shell("true", more + "}");
  EXPECT_EQ(outcome.reason, Reason::executor_error);
  EXPECT_THAT(outcome.message, HasSubstr("are more than the system takes"));
}

TEST_F(ShellExecutorTest, Execute_LargeEnvironment_Works) {
  std::string more = R"(,"environment":{"A0":"")";
  for (int i = 1; i < 10; ++i) more += fmt::format(R"(,"A{}":"{}")", i, std::string(100'000, 'x'));
  EXPECT_EQ(shell("env | wc -c", more + "}").exit_code, 0);
  EXPECT_GT(std::atoi(sink.out.c_str()), 900'000);
}

TEST_F(ShellExecutorTest, Execute_BadParameters_IsPermanent) {
  const auto outcome = run(executor, R"({"comand":"x"})");
  EXPECT_EQ(outcome.reason, Reason::executor_error);
  EXPECT_TRUE(outcome.permanent);
  EXPECT_THAT(outcome.message, HasSubstr("/parameters/comand: unknown field; did you mean 'command'?"));
}

TEST_F(ShellExecutorTest, Execute_WorkingDirectory_IsEntered) {
  EXPECT_EQ(shell("pwd", fmt::format(R"(,"working_directory":"{}")", directory)).exit_code, 0);
  EXPECT_EQ(sink.out, directory + "\n");
}

TEST_F(ShellExecutorTest, Execute_HundredMegabytes_LeaveTheLoopFree) {
  // A second child answers while the first one floods: its end shows that the loop kept turning.
  MemorySink other_sink;
  std::size_t flood_when_other_ended = 0;
  auto other = execution;
  other.parameters = R"({"command":"echo done"})";
  other_sink.on_write = [&](MemorySink&) { flood_when_other_ended = sink.total; };
  StopSignal other_stop;
  domain::Outcome other_outcome;
  spawn(io, "other",
        [](ShellExecutor& it, const application::TaskExecution& what, MemorySink& into, StopSignal& halt,
           domain::Outcome& outcome) -> asio::awaitable<void> {
          outcome = co_await it.execute(what, into, halt);
        }(executor, other, other_sink, other_stop, other_outcome));
  EXPECT_EQ(shell("head -c 100000000 /dev/zero").exit_code, 0);
  EXPECT_EQ(sink.total, 100'000'000U);
  EXPECT_EQ(other_outcome.exit_code, 0);
  EXPECT_LT(flood_when_other_ended, 90'000'000U);
}

TEST_F(ShellExecutorTest, Execute_ClosedOutput_IsNotTheEnd) {
  EXPECT_EQ(shell("exec >&- 2>&-; sleep 0.05; exit 7").exit_code, 7);
}

TEST_F(ShellExecutorTest, Execute_OutputRightBeforeTheEnd_IsNotLost) {
  for (int i = 0; i < 50; ++i) {
    sink.out.clear();
    shell("head -c 60000 /dev/zero; echo; echo last");
    ASSERT_EQ(sink.out.size(), 60006U);
  }
}

TEST_F(ShellExecutorTest, Execute_BackgroundProcess_IsKilledAtTheEnd) {
  EXPECT_EQ(shell("sleep 1000 & echo pid=$!").exit_code, 0);
  EXPECT_GT(printed_pid(), 0);
  EXPECT_EQ(state_of(printed_pid()), '\0');
}

TEST_F(ShellExecutorTest, Execute_DaemonInItsOwnSession_IsKilledAtTheEnd) {
  EXPECT_EQ(shell(std::string(kDaemon) + "while ! ps ax | grep -q '[s]leep 1000'; do :; done").exit_code, 0);
  EXPECT_GT(printed_pid(), 0);
  EXPECT_EQ(state_of(printed_pid()), '\0');
}

TEST_F(ShellExecutorTest, Execute_DaemonWithoutEnvironment_IsKilledAtTheEnd) {
  EXPECT_EQ(shell("(env -i setsid sh -c 'echo pid=$$ > " + directory +
                  "/pid; exec sleep 1000' &) ; "
                  "while ! grep -qs pid= " +
                  directory + "/pid; do :; done; cat " + directory + "/pid")
                .exit_code,
            0);
  EXPECT_GT(printed_pid(), 0);
  EXPECT_EQ(state_of(printed_pid()), '\0');
}

TEST_F(ShellExecutorTest, Execute_Daemon_DoesNotDieWithAnotherAttempt) {
  // The first attempt's daemon must survive the end of the second, short one.
  bool daemon_was_alive = false;
  auto other = execution;
  other.parameters = R"({"command":"true"})";
  MemorySink other_sink;
  StopSignal other_stop;
  domain::Outcome other_outcome;
  struct Second {
    static asio::awaitable<void> run(ShellExecutorTest& test, const application::TaskExecution& what, MemorySink& into,
                                     StopSignal& halt, domain::Outcome& outcome, bool& alive, pid_t daemon) {
      outcome = co_await test.executor.execute(what, into, halt);
      alive = is_alive(daemon);
      test.stop.request(StopReason::cancelled);
    }
  };
  bool started = false;
  sink.on_write = [&](MemorySink& it) {
    if (started || it.out.find('\n') == std::string::npos) return;
    started = true;
    spawn(io, "second",
          Second::run(*this, other, other_sink, other_stop, other_outcome, daemon_was_alive, printed_pid()));
  };
  shell(std::string(kDaemon) + "sleep 1000");
  EXPECT_EQ(other_outcome.exit_code, 0);
  EXPECT_TRUE(daemon_was_alive);
  EXPECT_EQ(state_of(printed_pid()), '\0');
}

TEST_F(ShellExecutorTest, Stop_WellBehaved_EndsBySigterm) {
  stop_at("ready");
  const auto outcome = shell("trap 'echo tidy; exit 5' TERM; echo ready; while :; do sleep 0.01; done");
  EXPECT_EQ(outcome.exit_code, 5);
  EXPECT_EQ(sink.out, "ready\ntidy\n");
}

TEST_F(ShellExecutorTest, Stop_ChildOfTheShell_HasTheGraceToo) {
  // The outer shell dies of SIGTERM at once; what it started may still tidy up.
  stop_at("ready");
  shell("bash -c 'trap \"sleep 0.05; echo tidy; exit 0\" TERM; echo ready; while :; do sleep 0.01; done'; true");
  EXPECT_EQ(sink.out, "ready\ntidy\n");
}

TEST_F(ShellExecutorTest, Stop_IgnoresSigterm_IsKilledAfterTheGrace) {
  stop_at("ready");
  const auto begin = clock.elapsed();
  const auto outcome = shell("trap '' TERM; echo ready; while :; do sleep 0.01; done");
  EXPECT_EQ(outcome.message, "killed by SIGKILL");
  EXPECT_EQ(outcome.exit_code, 137);
  EXPECT_GE(clock.elapsed() - begin, 300ms);
}

TEST_F(ShellExecutorTest, Stop_StoppedProcess_EndsToo) {
  stop_at("ready");
  EXPECT_EQ(shell("echo ready; kill -STOP $$").message, "killed by SIGTERM");
}

TEST_F(ShellExecutorTest, Stop_DaemonThatIgnoresSigterm_IsGone) {
  stop_at("pid=");
  shell("(setsid sh -c 'trap \"\" TERM; echo pid=$$; while :; do sleep 0.01; done' &) ; sleep 1000");
  EXPECT_GT(printed_pid(), 0);
  EXPECT_EQ(state_of(printed_pid()), '\0');
}

TEST_F(ShellExecutorTest, Stop_RequestedBeforeTheStart_EndsAtOnce) {
  stop.request(StopReason::shutdown);
  EXPECT_EQ(shell("sleep 1000").state, AttemptState::failed);
}

TEST_F(ShellExecutorTest, Stop_RequestedAfterTheEnd_IsHarmless) {
  EXPECT_EQ(shell("true").exit_code, 0);
  stop.request(StopReason::cancelled);
}

TEST_F(ShellExecutorTest, Execute_ManyTimes_LeavesNothingBehind) {
  shell("true");
  const auto descriptors = open_descriptors();
  for (int i = 0; i < 20; ++i) {
    shell("(setsid true &); (true &); echo x >&2");
    run(executor, R"({"command":"/no/such","args":[]})");
  }
  EXPECT_EQ(open_descriptors(), descriptors);
  EXPECT_EQ(children(), 0);
}

// --- the death of the worker itself
// ------------------------------------------------------------------------------------

namespace {

// Forks a worker that runs `command` and, once its output says "ready", dies by SIGKILL. Returns what it wrote.
std::string output_of_dying_worker(const WorkerIdentity& identity, const std::string& parameters) {
  int ends[2];
  if (::pipe(ends) != 0) return {};
  const pid_t pid = ::fork();
  if (pid == 0) {
    asio::io_context io(1);
    RealClock clock;
    RealTimer timer(io);
    ProcessRunner runner(io, clock, timer, {});
    const auto files = std::move(*AttemptFiles::create());
    ShellExecutor executor({runner, identity, *files});
    application::TaskExecution execution;
    execution.parameters = parameters;
    StopSignal stop;
    MemorySink sink;
    sink.on_write = [&](MemorySink& it) {
      if (it.out.find("ready") == std::string::npos) return;
      [[maybe_unused]] const auto n = ::write(ends[1], it.out.data(), it.out.size());
      ::kill(::getpid(), SIGKILL);
    };
    spawn(io, "worker",
          [](ShellExecutor& it, const application::TaskExecution& what, MemorySink& into, StopSignal& halt)
              -> asio::awaitable<void> { co_await it.execute(what, into, halt); }(executor, execution, sink, stop));
    io.run();
    ::_exit(0);
  }
  ::close(ends[1]);
  int status = 0;
  ::waitpid(pid, &status, 0);
  char text[256];
  const auto n = ::read(ends[0], text, sizeof text);
  ::close(ends[0]);
  return {text, n > 0 ? std::size_t(n) : 0};
}

pid_t number_after(const std::string& text, const std::string& word) {
  const auto at = text.find(word);
  return at == std::string::npos ? 0 : std::atoi(text.c_str() + at + word.size());
}

// Waits, however long it takes, until the process has ended; reaps it if it has become our child.
void await_end(pid_t pid) {
  const int fd = int(::syscall(SYS_pidfd_open, pid, 0));
  if (fd < 0) return;
  pollfd wait{fd, POLLIN, 0};
  EXPECT_EQ(::poll(&wait, 1, 30'000), 1);
  ::close(fd);
  ::waitpid(pid, nullptr, WNOHANG);
}

}  // namespace

TEST_F(ShellExecutorTest, WorkerDies_DirectChildDiesWithIt) {
  const auto output = output_of_dying_worker(identity, command("echo main=$$; echo ready; while :; do sleep 1; done"));
  const auto pid = number_after(output, "main=");
  ASSERT_GT(pid, 0);
  await_end(pid);
  EXPECT_FALSE(is_alive(pid));
}

TEST_F(ShellExecutorTest, KillOrphans_EarlierLifeOfTheSameWorker_IsEnded) {
  const auto start_daemon = [&](WorkerIdentity who) {
    return number_after(
        output_of_dying_worker(who, command("setsid sh -c 'echo pid=$$; echo ready; exec sleep 1000' & wait")), "pid=");
  };
  const auto mine = start_daemon({{"worker-a"}, {1}});
  const auto others = start_daemon({{"worker-b"}, {1}});
  ASSERT_GT(mine, 0);
  ASSERT_GT(others, 0);
  EXPECT_TRUE(is_alive(mine));
  int killed = -1;
  spawn(io, "kill", [](ProcessRunner& it, int& n) -> asio::awaitable<void> {
    n = co_await it.kill_orphans({"worker-a"}, {2});
  }(runner, killed));
  io.run();
  EXPECT_GE(killed, 1);  // its shell may still be dying with the worker
  EXPECT_FALSE(is_alive(mine));
  EXPECT_TRUE(is_alive(others));
  ::kill(others, SIGKILL);
  await_end(mine);
  await_end(others);
}

TEST_F(ShellExecutorTest, KillOrphans_WorkerOfTheSameNameThatLives_IsSpared) {
  // Two installations on one host may both call their worker by the host's name.
  stop_at("never");
  bool alive = false;
  struct Second {
    static asio::awaitable<void> run(ShellExecutorTest& test, bool& was_alive) {
      co_await test.runner.kill_orphans({"worker-a"}, {777});
      was_alive = is_alive(test.printed_pid());
      test.stop.request(StopReason::cancelled);
    }
  };
  bool started = false;
  sink.on_write = [&](MemorySink& it) {
    if (started || it.out.find('\n') == std::string::npos) return;
    started = true;
    spawn(io, "second", Second::run(*this, alive));
  };
  shell("echo pid=$$; sleep 1000");
  EXPECT_TRUE(alive);
}
