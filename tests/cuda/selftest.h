// What the parts of the self-test share.
#pragma once
#include <c10/util/Exception.h>

#include <string>
#include <utility>
#include <vector>

namespace selftest {

// Prints a line about a check.
void check(bool holds, const std::string& what, const std::string& otherwise = "");

// Whether f throws an error with these words.
template <class F>
void refuses(F&& f, const char* words, const std::string& what) {
  try {
    f();
    check(false, what, "no error");
  } catch (const c10::Error& error) {
    const std::string message = error.what_without_backtrace();
    check(message.find(words) != message.npos, what, message);
  }
}

using Environment = std::vector<std::pair<std::string, std::string>>;

// What this program prints when it plays a scenario in a process of its own, which has no other
// environment variables.
std::string output(const std::string& scenario, const Environment& environment);
// Checks what a scenario prints.
void expect(const std::string& scenario, const Environment& environment,
            const std::string& expected, const std::string& what);
// Plays a scenario in this process.
int play(const std::string& scenario);
int play_driver();
int play_management();

// A file of a folder that is removed in the end.
std::string file(const std::string& name);
std::string read(const std::string& path);
void write(const std::string& path, const std::string& text);

void test_device();
void test_graphs();
void test_processes();
void test_drivers();
void test_program_kernels();

}  // namespace selftest
