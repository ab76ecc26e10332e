// Instruction set of the CPU kernels, chosen when the program runs.
#pragma once
#include <ATen/Version.h>

#include <string>

namespace fathom {

// In ascending order.
enum class Isa { base, avx2, avx512 };

// The same choice as for libtorch's own kernels; ATEN_CPU_CAPABILITY sets both.
inline Isa isa() {
#ifdef FATHOM_X86
  static const Isa found = [] {
    const std::string name = at::get_cpu_capability();
    return name == "DEFAULT" ? Isa::base : name == "AVX512" ? Isa::avx512 : Isa::avx2;
  }();
  return found;
#else
  return Isa::base;
#endif
}

}  // namespace fathom

// The table of kernels that a function of this name in the namespaces of the instruction sets returns.
#ifdef FATHOM_X86
#define FATHOM_KERNELS(table)                   \
  (fathom::isa() == fathom::Isa::avx512 ? avx512::table() \
   : fathom::isa() == fathom::Isa::avx2 ? avx2::table()   \
                                        : base::table())
#else
#define FATHOM_KERNELS(table) base::table()
#endif
