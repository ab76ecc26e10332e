"""Compiles the CUDA kernels of src/train/shim for all GPUs that libtorch supports: python scripts/test_norm_cuda.py

Needs NVRTC, but no driver: a folder with libnvrtc.so that FATHOM_NVRTC names, or target/nvrtc, which
`python3 -m pip install --no-deps --target target/nvrtc nvidia-cuda-nvrtc==13.0.88` fills. Skipped without it.
"""

import ctypes
import os
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "train" / "shim" / "norm_cuda.cu"
FOLDER = Path(os.environ.get("FATHOM_NVRTC", ROOT / "target" / "nvrtc"))
ARCHITECTURES = ("sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120")
KERNELS = (b"moments", b"apply", b"backward_sums", b"backward_apply")


def library():
    """NVRTC; its second library, which it looks for by name alone, is loaded before."""
    found = sorted(path for path in FOLDER.rglob("libnvrtc.so.*") if ".alt." not in path.name)
    if not found:
        return None
    for builtins in found[0].parent.glob("libnvrtc-builtins.so.*"):
        ctypes.CDLL(str(builtins), mode=ctypes.RTLD_GLOBAL)
    return ctypes.CDLL(str(found[0]))


class Compiled(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.nvrtc = library()
        if cls.nvrtc is None:
            if os.environ.get("FATHOM_REQUIRE_ALL"):
                raise AssertionError(f"there is no libnvrtc.so in {FOLDER}")
            raise unittest.SkipTest(f"there is no libnvrtc.so in {FOLDER}")

    def compiled(self, *options):
        """Machine code of the kernels."""
        program, size = ctypes.c_void_p(), ctypes.c_size_t()
        created = self.nvrtc.nvrtcCreateProgram(ctypes.byref(program), SOURCE.read_bytes(), b"norm_cuda.cu", 0, None,
                                                None)
        self.assertEqual(created, 0)
        words = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
        code = self.nvrtc.nvrtcCompileProgram(program, len(options), words)
        self.nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
        log = ctypes.create_string_buffer(size.value)
        self.nvrtc.nvrtcGetProgramLog(program, log)
        self.assertEqual(code, 0, log.value.decode())
        self.nvrtc.nvrtcGetCUBINSize(program, ctypes.byref(size))
        image = ctypes.create_string_buffer(size.value)
        self.nvrtc.nvrtcGetCUBIN(program, image)
        self.nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
        return image.raw

    def test_every_kernel_compiles_for_every_architecture_and_kind(self):
        for architecture in ARCHITECTURES:
            for kind in ([], ["-DFATHOM_BF16"]):
                with self.subTest(architecture, kind=kind):
                    image = self.compiled(f"--gpu-architecture={architecture}", "--std=c++17", *kind)
                    for kernel in KERNELS:
                        self.assertIn(b".text." + kernel, image)


if __name__ == "__main__":
    unittest.main()
