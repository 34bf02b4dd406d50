#include "startup/startup.hpp"

int main(int argc, char** argv) {
  return scheduler::run_program(argc, argv, "scheduler-dispatcher", scheduler::AppMode::dispatcher);
}
