#include "infrastructure/executors/python_executor.hpp"

#include "executors/fixture.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <filesystem>

using namespace scheduler;
using namespace scheduler::executor_test;
using namespace scheduler::infrastructure;
using domain::Reason;
using testing::HasSubstr;

namespace {

class PythonExecutorTest : public ExecutorTest {
 protected:
  PythonExecutorTest() { std::filesystem::create_directories(directory); }
  ~PythonExecutorTest() override { std::filesystem::remove_all(directory); }

  const std::string directory = "/tmp/scheduler-python-test-" + std::to_string(::getpid());
  WorkerIdentity identity{{"worker-a"}, {12345}};
  ProcessRunner runner{io, clock, timer, {.kill_grace = 300ms}};
  std::unique_ptr<AttemptFiles> files = std::move(*AttemptFiles::create());
  PythonExecutor executor{{runner, identity, *files}};
};

}  // namespace

TEST_F(PythonExecutorTest, Execute_Script_RunsWithItsArguments) {
  const auto outcome = run(executor, R"j({"script":"import sys\nprint('grüße', sys.argv[1:])\nsys.exit(4)",
                                         "arguments":["a b","-x","ü"]})j");
  EXPECT_EQ(outcome.exit_code, 4);
  EXPECT_EQ(sink.out, "grüße ['a b', '-x', 'ü']\n");
}

TEST_F(PythonExecutorTest, Execute_OneMebibyteScript_Works) {
  std::string script;
  while (script.size() < 1'000'000) script += "x = 1  # padding padding padding padding padding\\n";
  EXPECT_EQ(run(executor, fmt::format(R"j({{"script":"{}print('end')"}})j", script)).exit_code, 0);
  EXPECT_EQ(sink.out, "end\n");
}

TEST_F(PythonExecutorTest, Execute_Output_ComesAtOnce) {
  // Unbuffered: the first line is here while the script still waits, and ends only because we then stop it.
  stop_at("early");
  EXPECT_EQ(run(executor, R"j({"script":"import time\nprint('early')\ntime.sleep(1000)"})j").message,
            "killed by SIGTERM");
}

TEST_F(PythonExecutorTest, Execute_ScriptPath_RunsInTheWorkingDirectory) {
  std::ofstream(directory + "/hello.py") << "import os; print(os.getcwd(), os.environ['MINE'])";
  EXPECT_EQ(run(executor,
                fmt::format(R"j({{"script_path":"hello.py","working_directory":"{}","environment":{{"MINE":"1"}}}})j",
                            directory))
                .exit_code,
            0);
  EXPECT_EQ(sink.out, directory + " 1\n");
}

TEST_F(PythonExecutorTest, Execute_Exception_FailsWithItsTrace) {
  const auto outcome = run(executor, R"j({"script":"1/0"})j");
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(sink.err, HasSubstr("ZeroDivisionError"));
}

TEST_F(PythonExecutorTest, Execute_ReadsInput_FindsTheEnd) {
  EXPECT_EQ(run(executor, R"j({"script":"import sys\nprint(repr(sys.stdin.read()))"})j").exit_code, 0);
  EXPECT_EQ(sink.out, "''\n");
  EXPECT_EQ(run(executor, R"j({"script":""})j").exit_code, 0);
}

TEST_F(PythonExecutorTest, Execute_Outputs_GoInAndOut) {
  execution.upstream = R"({"a":{"run_id":1,"state":"succeeded","output":{"n":20,"x":"'; import os #"}}})";
  const auto outcome = run(
      executor,
      R"j({"script":"import json,os,sys\nup=json.loads(os.environ['SCHEDULER_UPSTREAM'])['a']['output']\nopen(os.environ['SCHEDULER_OUTPUT'],'w').write(json.dumps({'n':up['n']+1,'args':sys.argv[1:],'x':os.environ['X']}))",
          "arguments":["${upstream.a.x}"],"environment":{"X":"${upstream.a.n}"}})j");
  EXPECT_EQ(outcome.exit_code, 0) << sink.err;
  EXPECT_EQ(outcome.output, R"({"n": 21, "args": ["'; import os #"], "x": "20"})");
}

TEST_F(PythonExecutorTest, Execute_MissingInterpreter_SaysWhich) {
  auto outcome = run(executor, R"j({"script":"1","python_executable":"python9.9"})j");
  EXPECT_EQ(outcome.reason, Reason::executor_error);
  EXPECT_THAT(outcome.message, HasSubstr("there is no program 'python9.9' on the PATH"));
  outcome = run(executor, R"j({"script":"1","virtual_env":"/no/such/env"})j");
  EXPECT_EQ(outcome.reason, Reason::executor_error);
  EXPECT_EQ(outcome.message, "there is no program /no/such/env/bin/python3");
}

TEST_F(PythonExecutorTest, Execute_VirtualEnv_IsActive) {
  // An environment is a directory with a bin/: a link to the interpreter and pyvenv.cfg make one.
  std::filesystem::create_directories(directory + "/bin");
  std::filesystem::create_symlink("/usr/bin/python3", directory + "/bin/python3");
  std::ofstream(directory + "/pyvenv.cfg") << "home = /usr/bin\n";
  const auto outcome = run(
      executor,
      fmt::format(
          R"j({{"script":"import os,sys\nprint(sys.prefix, os.environ['VIRTUAL_ENV'], os.environ['PATH'].split(':')[0])",
                      "virtual_env":"{}"}})j",
          directory));
  EXPECT_EQ(outcome.exit_code, 0) << sink.err;
  EXPECT_EQ(sink.out, fmt::format("{0} {0} {0}/bin\n", directory));
}

TEST_F(PythonExecutorTest, Execute_DoubleForkDaemon_IsKilledAtTheEnd) {
  const auto outcome = run(
      executor,
      R"j({"script":"import os,time\nr,w=os.pipe()\nif os.fork()==0:\n os.setsid()\n if os.fork()==0:\n  os.setsid()\n  os.write(w,b'x')\n  time.sleep(1000)\n os._exit(0)\nos.wait()\nos.read(r,1)\nprint('up')"})j");
  EXPECT_EQ(outcome.exit_code, 0) << sink.err;
  EXPECT_EQ(sink.out, "up\n");
  EXPECT_EQ(children(), 0);
}

TEST_F(PythonExecutorTest, Execute_BadParameters_IsPermanent) {
  const auto outcome = run(executor, R"j({})j");
  EXPECT_TRUE(outcome.permanent);
  EXPECT_EQ(outcome.message, "/parameters/script: is required, or else script_path");
}
