# scheduler_test(name SOURCES a_test.cpp … DEPENDS domain … [LIBRARIES …]): one GoogleTest program, each case a ctest entry.
find_package(GTest REQUIRED)
include(GoogleTest)

# Tests are most of a build and do little themselves: they are compiled without optimisation (half the time of a clean
# build otherwise), the code under test as the preset says. A precompiled header fits one level only, so they have one of
# their own, with what nearly every test includes.
add_library(scheduler_test_pch STATIC ${CMAKE_SOURCE_DIR}/cmake/pch.cpp)
target_compile_options(scheduler_test_pch PRIVATE -O0)
target_precompile_headers(scheduler_test_pch PRIVATE ${CMAKE_SOURCE_DIR}/cmake/test_pch.hpp)
target_link_libraries(scheduler_test_pch PUBLIC GTest::gmock GTest::gtest fmt::fmt Threads::Threads)

function(scheduler_compile_as_test target)
  target_compile_options(${target} PRIVATE -O0)
  if(NOT SCHEDULER_NO_PCH)
    target_link_libraries(${target} PRIVATE GTest::gmock GTest::gtest fmt::fmt)
    target_precompile_headers(${target} REUSE_FROM scheduler_test_pch)
  endif()
endfunction()

function(scheduler_test name)
  cmake_parse_arguments(T "" "TIMEOUT" "SOURCES;DEPENDS;LIBRARIES" ${ARGN})
  if(NOT T_TIMEOUT)
    set(T_TIMEOUT 120)
  endif()
  add_executable(${name} ${T_SOURCES})
  list(TRANSFORM T_DEPENDS PREPEND scheduler::)
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/tests)
  target_link_libraries(${name} PRIVATE ${T_DEPENDS} ${T_LIBRARIES} fmt::fmt GTest::gmock GTest::gtest GTest::gtest_main)
  scheduler_compile_as_test(${name})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST PROPERTIES TIMEOUT ${T_TIMEOUT})
endfunction()
