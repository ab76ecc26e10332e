// One unit of compilation for the files that use libtorch's dispatcher: to read its headers takes
// longer than to compile these files.
#include "cudnn.cpp"
#include "kernels.cpp"
#include "tensors.cpp"
