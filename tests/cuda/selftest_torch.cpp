// One unit of compilation for the parts of the self-test that use libtorch.
#include "selftest_device.cpp"
#include "selftest_graphs.cpp"
#include "selftest_processes.cpp"
