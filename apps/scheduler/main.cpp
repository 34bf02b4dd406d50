#include "startup/startup.hpp"

// All parts in one process, or the one that --mode names.
int main(int argc, char** argv) { return scheduler::run_program(argc, argv, "scheduler", std::nullopt); }
