#!/usr/bin/env python3
"""Tests of scripts/setup with made-up drivers, GPUs and wheels; no network but this machine's own.

    python3 scripts/test_setup.py
"""

import hashlib
import http.server
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
import threading
import unittest
import urllib.parse
import zipfile
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent

# Answers as FAKE_CUDA says: "12040;89 NVIDIA L4;70 Tesla V100", or as if no driver were there.
LIBCUDA = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static const char *entry(int index) {
    const char *at = getenv("FAKE_CUDA");
    while (at && index-- >= 0) { at = strchr(at, ';'); if (at) at++; }
    return at;
}
int cuDriverGetVersion(int *version) {
    const char *text = getenv("FAKE_CUDA");
    if (!text) return 35;
    *version = atoi(text);
    return 0;
}
int cuInit(unsigned flags) { return getenv("FAKE_CUDA_INIT") ? atoi(getenv("FAKE_CUDA_INIT")) : 0; }
int cuDeviceGetCount(int *count) { for (*count = 0; entry(*count); (*count)++); return 0; }
int cuDeviceGetAttribute(int *value, int which, int device) {
    int capability = atoi(entry(device));
    *value = which == 75 ? capability / 10 : capability % 10;
    return 0;
}
int cuDeviceGetName(char *name, int size, int device) {
    const char *from = strchr(entry(device), ' ') + 1;
    snprintf(name, size, "%.*s", (int)strcspn(from, ";"), from);
    return 0;
}
"""

# Answers as FAKE_SMI says, one GPU a line; a driver before 510 does not know compute_cap.
NVIDIA_SMI = """\
#!/bin/sh
[ -n "$FAKE_SMI" ] || { echo "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."; exit 9; }
case "$*" in *compute_cap*) [ -z "$FAKE_SMI_OLD" ] || { echo 'Field "compute_cap" is not a valid field to query.'; exit 2; } ;; esac
printf '%s\\n' "$FAKE_SMI"
"""

BUILDS = {"cu130": "CUDA 13.0", "cu128": "CUDA 12.8", "cu126": "CUDA 12.6"}


def torch_files(build, version="2.11.0"):
    major, minor, patch = version.split(".")
    header = "".join(
        f"#define TORCH_VERSION_{name} {value}\n"
        for name, value in (("MAJOR", major), ("MINOR", minor), ("PATCH", patch))
    )
    libraries = ["libc10.so", "libtorch.so", "libtorch_cpu.so", "libgomp.so.1"]
    if build != "cpu":
        libraries += ["libtorch_cuda.so", "libc10_cuda.so"]
    return {
        **{f"torch/lib/{name}": f"{name} of {build}" for name in libraries},
        "torch/include/torch/headeronly/version.h": header,
        "torch/include/torch/csrc/api/include/torch/torch.h": "",
        "torch/version.py": f"__version__ = '{version}+{build}'\n",
        "torch/nn/modules.py": "not wanted",
    }


def nvidia_wheels(build):
    """Name, version and files of some of NVIDIA's wheels, in the layout of CUDA 13 or 12."""
    if build == "cu130":
        return [
            ("nvidia-cuda-runtime", "13.0.96", {"nvidia/cu13/lib/libcudart.so.13": "cudart"}),
            ("nvidia-cuda-cupti", "13.0.85", {"nvidia/cu13/lib/libcupti.so.13": "cupti"}),
        ]
    number = "12." + build[-1]
    return [
        ("nvidia-cublas-cu12", number, {"nvidia/cublas/lib/libcublas.so.12": "cublas " * 2000}),
        (
            "nvidia-cuda-runtime-cu12",
            number,
            {"nvidia/cuda_runtime/lib/libcudart.so.12": "cudart", "nvidia/cuda_runtime/include/cuda.h": ""},
        ),
    ]


class Index:
    """Two simple indexes on the loopback: /simple, the general one, and /whl/BUILD, PyTorch's."""

    def __init__(self):
        self.pages = {}  # "/simple/NAME/" -> {file name: stated hash}
        self.files = {}  # file name -> bytes
        self.cut = set()  # names of wheels whose transfer breaks off
        self.requests = []
        index = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
                index.requests.append(path)
                name = path.rsplit("/", 1)[1]
                if path in index.pages:
                    body = "".join(
                        f'<a href="/files/{urllib.parse.quote(file)}{stated and "#sha256=" + stated}">{file}</a>\n'
                        for file, stated in index.pages[path].items()
                    ).encode()
                    kind = "text/html"
                elif path.startswith("/files/") and name in index.files:
                    body, kind = index.files[name], "application/octet-stream"
                else:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: len(body) // 2] if name in index.cut else body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        self.address = f"http://127.0.0.1:{self.server.server_port}"

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def add(self, place, name, version, tag, files, stated=None):
        """Adds a wheel to an index, and returns its hash; the index states it unless told another."""
        module = name.replace("-", "_")
        info = f"{module}-{version}.dist-info"
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w") as archive:
            for path, content in files.items():
                archive.writestr(path, content)
            archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
            archive.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {tag}\n")
            archive.writestr(f"{info}/RECORD", "")
        file = f"{module}-{version}-{tag}.whl"
        self.files[file] = data.getvalue()
        digest = hashlib.sha256(self.files[file]).hexdigest()
        self.pages.setdefault(f"/{place}/{name}/", {})[file] = digest if stated is None else stated
        return digest

    def fetched(self):
        return [path.rsplit("/", 1)[1] for path in self.requests if path.startswith("/files/")]


class Setup(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.shared = Path(folder.name)
        (cls.shared / "cuda.c").write_text(LIBCUDA)
        subprocess.run(["cc", "-shared", "-fPIC", "-o", "libcuda.so.1", "cuda.c"], cwd=cls.shared, check=True)

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        # As pwd -P says it, since scripts/setup resolves what it links.
        self.folder = Path(folder.name).resolve()
        self.root = self.folder / "a copy"
        shutil.copytree(
            SCRIPTS, self.root / "scripts", ignore=shutil.ignore_patterns("__pycache__", "test_*")
        )
        shutil.copy(SCRIPTS.parent / "Cargo.toml", self.root)
        self.store = self.root / ".libtorch"
        self.tools = self.folder / "tools"
        self.tools.mkdir()
        self.tool("cargo", f'#!/bin/sh\n[ "$1" != --version ] || echo cargo 1.999.0\necho "$*" >>"{self.folder}/cargo.log"\n')
        self.tool("sleep", "#!/bin/sh\n")
        self.index = Index()
        self.addCleanup(self.index.close)
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if name != "LIBTORCH" and not name.startswith(("PIP_", "FAKE_", "FATHOM_"))
        }
        self.environment |= {
            "PATH": f"{self.tools}:{os.environ['PATH']}",
            "LD_LIBRARY_PATH": str(self.shared),
            "FATHOM_SETUP_PROC": str(self.folder / "proc"),
            "FATHOM_PYTORCH_INDEX": f"{self.index.address}/whl",
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_INDEX_URL": f"{self.index.address}/simple",
            "PIP_RETRIES": "0",
            "no_proxy": "127.0.0.1",
        }

    def tool(self, name, text):
        (self.tools / name).write_text(text)
        (self.tools / name).chmod(0o755)

    def machine(self, *gpus, driver, api=None, old=False):
        """A machine with these GPUs, "8.9 NVIDIA L4", as nvidia-smi and, if told, libcuda see it."""
        self.tool("nvidia-smi", NVIDIA_SMI)
        rows = []
        for gpu in gpus:
            capability, name = gpu.split(" ", 1)
            rows.append(f"{name}, {driver}" + ("" if old else f", {capability}"))
        self.environment["FAKE_SMI"] = "\n".join(rows)
        self.environment["FAKE_SMI_OLD"] = "1" if old else ""
        self.environment.pop("FAKE_CUDA", None)
        if api:
            self.environment["FAKE_CUDA"] = ";".join([str(api), *(gpu.replace(".", "", 1) for gpu in gpus)])

    def no_machine(self):
        (self.tools / "nvidia-smi").unlink(missing_ok=True)
        self.environment.pop("FAKE_CUDA", None)

    def offer(self, build, pinned=True):
        """Puts a build's wheels onto the indexes and its list into the copy."""
        rows = []
        place, number = ("simple", "2.11.0") if build == "cu130" else (f"whl/{build}", f"2.11.0+{build}")
        digest = self.index.add(place, "torch", number, "cp312-cp312-manylinux_2_28_x86_64", torch_files(build))
        rows.append(("torch", number, "manylinux_2_28_x86_64", digest if pinned else "index"))
        for name, version, files in nvidia_wheels(build):
            digest = self.index.add("simple", name, version, "py3-none-manylinux2014_x86_64", files)
            rows.append((name, version, "manylinux2014_x86_64", digest))
        text = "# Name, version, platform, SHA-256.\n" + "".join(" ".join(row) + "\n" for row in rows)
        (self.root / "scripts/setup_wheels" / build).write_text(text)
        if build == "cu130":
            (self.root / "scripts/setup_wheels/cpu").write_text(text)

    def run_setup(self, *arguments, code=0):
        result = subprocess.run(
            [self.root / "scripts/setup", *map(str, arguments)],
            env=self.environment,
            cwd=self.root,
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual(result.returncode, code, result.stderr)
        self.assertEqual(result.stdout, "")
        return result.stderr

    def refused(self, *arguments, code=1):
        """The message of a call that fails, and that has downloaded nothing."""
        before = len(self.index.requests)
        text = self.run_setup(*arguments, code=code)
        self.assertEqual(len(self.index.requests), before)
        lines = text.splitlines()
        self.assertTrue(lines[-1].startswith("setup: error: "), text)
        self.assertEqual(len(lines), 1, text)
        return lines[0].removeprefix("setup: error: ")

    def assert_set_up(self, build):
        manifest = (self.store / "manifest").read_text().splitlines()
        self.assertEqual(manifest[0], f"libtorch 2.11.0 {build}")
        self.assertEqual(
            sorted(path.name for path in self.store.iterdir()),
            ["lock", "manifest", *([] if build == "cpu" else ["nvidia"]), "torch"],
        )

    def folder_of(self, build, version="2.11.0"):
        """A folder of libtorch as somebody else unpacked it, and a Python that has it as its torch."""
        folder = self.folder / f"{version}+{build}" / "torch"
        for path, content in torch_files(build, version).items():
            file = folder.parent / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)
        (folder / "__init__.py").write_text("")
        python = folder.parent / "python"
        python.write_text(f'#!/bin/sh\nPYTHONPATH="{folder.parent}" exec "{sys.executable}" "$@"\n')
        python.chmod(0o755)
        return folder, python


class Choice(Setup):
    """What is chosen, as the first line says it; a full disk then ends the call."""

    NEEDS = {"cpu": 3000, "cu130": 8000, "cu128": 12000, "cu126": 11000}  # MB

    def setUp(self):
        super().setUp()
        self.tool("df", "#!/bin/sh\nprintf 'Filesystem Blocks Used Available\\nx 9 9 0 100%% /\\n'\n")

    def chosen(self, *arguments, build=None):
        text = self.run_setup(*arguments, code=1)
        lines = [line.removeprefix("setup: ") for line in text.splitlines()]
        match = re.match(r"error: libtorch and the build need (\d+) MB", lines[-1])
        self.assertTrue(match, text)
        if build:
            self.assertEqual(int(match[1]), self.NEEDS[build])
        self.assertEqual(self.index.requests, [])
        return lines

    def test_table_of_drivers_and_capabilities(self):
        table = [
            ("8.9 NVIDIA L4", "580.65.06", "cu130"),
            ("12.0 NVIDIA GeForce RTX 5090", "595.10", "cu130"),
            ("7.5 Tesla T4", "580.65.06", "cu130"),
            ("8.9 NVIDIA L4", "575.57.08", "cu128"),
            ("8.9 NVIDIA L4", "570.86.15", "cu128"),
            ("12.0 NVIDIA GeForce RTX 5090", "570.86.15", "cu128"),
            ("10.0 NVIDIA B200", "570.86.15", "cu128"),
            ("9.0 NVIDIA H100", "560.35.03", "cu126"),
            ("8.9 NVIDIA L4", "550.54.15", "cu126"),
            ("8.0 NVIDIA A100", "525.60.13", "cu126"),
            ("7.0 Tesla V100", "580.65.06", "cu126"),
            ("6.0 Tesla P100", "570.86.15", "cu126"),
            ("5.0 NVIDIA GeForce GTX 750", "535.54.03", "cu126"),
        ]
        for gpu, driver, build in table:
            with self.subTest(gpu=gpu, driver=driver):
                self.machine(gpu, driver=driver)
                lines = self.chosen(build=build)
                capability, name = gpu.split(" ", 1)
                start = f"{name} ({capability}), driver {driver}: libtorch 2.11.0 with {BUILDS[build]} fits"
                self.assertTrue(lines[0].startswith(start), lines[0])
                within = int(driver[:3]) < 560
                self.assertEqual("minor-version compatibility" in lines[1], within, lines)

    def test_reasons(self):
        self.machine("8.9 NVIDIA L4", driver="550.54.15")
        self.assertIn(
            "fits (CUDA 13.0 needs driver 580 or newer, CUDA 12.8 needs driver 570 or newer)", self.chosen()[0]
        )
        self.machine("7.0 Tesla V100", "7.0 Tesla V100", driver="535.54.03")
        line = self.chosen()[0]
        self.assertTrue(line.startswith("2 × Tesla V100 (7.0), driver 535.54.03: "), line)
        self.assertIn(
            "(CUDA 13.0 needs compute capability 7.5 or newer, CUDA 12.8 needs compute capability 7.5 or newer)", line
        )

    def test_mixed_boxes_get_the_build_for_most_of_their_gpus(self):
        self.machine("7.0 Tesla V100", "8.0 NVIDIA A100", driver="580.65.06")
        lines = self.chosen()
        self.assertIn("with CUDA 12.6 fits", lines[0])
        self.assertNotIn("left out", "".join(lines))
        self.machine("12.0 RTX 5090", "12.0 RTX 5090", "6.1 TITAN Xp", driver="580.65.06")
        lines = self.chosen()
        self.assertIn("with CUDA 13.0 fits", lines[0])
        self.assertEqual(lines[1], "left out, for CUDA 13.0 needs compute capability 7.5 or newer: TITAN Xp (6.1)")
        self.machine("12.0 RTX 5090", "6.1 TITAN Xp", "6.1 TITAN Xp", driver="580.65.06")
        lines = self.chosen()
        self.assertIn("with CUDA 12.6 fits", lines[0])
        self.assertEqual(lines[1], "left out, for CUDA 12.6 needs compute capability 5.0 to 9.0: RTX 5090 (12.0)")

    def test_old_nvidia_smi_and_libcuda(self):
        self.machine("7.0 Tesla V100", driver="525.60.13", api=12000, old=True)
        self.assertTrue(self.chosen()[0].startswith("Tesla V100 (7.0), driver 525.60.13: libtorch 2.11.0 with CUDA 12.6"))
        # Without libcuda the driver alone decides.
        self.machine("7.0 Tesla V100", driver="580.65.06", old=True)
        lines = self.chosen()
        self.assertIn("Tesla V100 (capability unknown), driver 580.65.06: libtorch 2.11.0 with CUDA 13.0 fits", lines[0])
        self.assertIn("the driver alone decided", lines[1])

    def test_without_nvidia_smi(self):
        version = self.folder / "proc/driver/nvidia/version"
        version.parent.mkdir(parents=True)
        for module in ("x86_64 Kernel Module", "Open Kernel Module for x86_64"):
            version.write_text(f"NVRM version: NVIDIA UNIX {module}  550.54.15  Tue Mar  5 22:23:56 UTC 2024\n")
            self.environment["FAKE_CUDA"] = "12040;89 NVIDIA L4"
            self.assertTrue(self.chosen()[0].startswith("NVIDIA L4 (8.9), driver 550.54.15: "))
        del self.environment["FAKE_CUDA"]
        lines = self.chosen()
        self.assertTrue(lines[0].startswith("GPUs that did not answer, driver 550.54.15: libtorch 2.11.0 with CUDA 12.6"))
        version.unlink()
        self.environment["FAKE_CUDA"] = "12080;120 NVIDIA GeForce RTX 5090"
        start = "NVIDIA GeForce RTX 5090 (12.0), a driver for CUDA 12.8: libtorch 2.11.0 with CUDA 12.8 fits"
        self.assertTrue(self.chosen()[0].startswith(start))

    def test_compatibility_package(self):
        self.machine("9.0 NVIDIA H100", driver="550.54.15", api=13000)
        self.assertIn("driver 550.54.15 with a libcuda for CUDA 13.0: libtorch 2.11.0 with CUDA 13.0", self.chosen()[0])
        self.environment["FAKE_CUDA_INIT"] = "804"  # not on this GPU
        self.assertIn("driver 550.54.15: libtorch 2.11.0 with CUDA 12.6", self.chosen()[0])

    def test_nothing_fits(self):
        self.machine("7.5 Tesla T4", driver="470.82.01")
        self.assertEqual(
            self.refused(),
            "no CUDA build of libtorch 2.11.0 fits this machine: Tesla T4 (7.5), driver 470.82.01. The one for the "
            "oldest, CUDA 12.6, needs driver 525 or newer and compute capability 5.0 to 9.0. To continue, update the "
            "driver (to 525 or newer), or take the CPU build: scripts/setup --cpu",
        )
        self.machine("3.7 Tesla K80", driver="580.65.06")
        self.assertTrue(self.refused("--cuda").endswith("To continue, take the CPU build: scripts/setup --cpu"))
        self.machine("12.0 NVIDIA GeForce RTX 5090", driver="560.35.03")
        self.assertIn("update the driver (to 570 or newer)", self.refused())
        self.assertFalse(self.store.exists())

    def test_wishes(self):
        self.machine("8.9 NVIDIA L4", driver="550.54.15")
        for build, number in ("cu130", 580), ("cu128", 570):
            self.assertEqual(
                self.refused(f"--cuda={build}"),
                f"--cuda={build} does not fit this machine (NVIDIA L4 (8.9), driver 550.54.15): {BUILDS[build]} needs "
                f"driver {number} or newer. To continue, scripts/setup --cuda takes the one that fits (CUDA 12.6)",
            )
        self.machine("7.0 Tesla V100", driver="580.65.06")
        self.assertIn("CUDA 12.8 needs compute capability 7.5 or newer", self.refused("--cuda=cu128"))
        self.machine("8.9 NVIDIA L4", driver="580.65.06")
        self.assertIn("with CUDA 12.6 fits", self.chosen("--cuda=cu126")[0])
        self.assertIn("there is no build 'cu118'", self.refused("--cuda=cu118", code=2))
        self.assertIn("there is no build ''", self.refused("--cuda=", code=2))
        self.assertIn("exclude one another", self.refused("--cuda=cu126", "--cpu", code=2))

    def test_without_a_driver(self):
        self.assertEqual(len(self.chosen(build="cpu")), 1)
        self.assertIn("no NVIDIA driver here, so CUDA 13.0 is taken", self.chosen("--cuda", build="cu130")[0])
        for build in BUILDS:
            self.assertEqual(len(self.chosen(f"--cuda={build}", build=build)), 1)
        self.tool("nvidia-smi", NVIDIA_SMI)  # that finds no driver
        self.assertIn("nvidia-smi is here, but finds no driver", self.chosen()[0])

    def test_lists_of_wheels(self):
        for file in (SCRIPTS / "setup_wheels").iterdir():
            rows = [line.split() for line in file.read_text().splitlines() if not line.startswith("#")]
            self.assertEqual(rows[0][0], "torch")
            self.assertIn(rows[0][1], ("2.11.0", f"2.11.0+{file.name}"))
            self.assertEqual(len({row[0] for row in rows}), len(rows))
            for _, _, platform, digest in rows:
                self.assertRegex(platform, r"^manylinux\w+_x86_64$")
                self.assertRegex(digest, r"^([0-9a-f]{64}|index)$")


class Download(Setup):
    def test_from_nothing_to_a_manifest(self):
        self.offer("cu126", pinned=False)
        self.machine("7.0 Tesla V100", driver="550.54.15")
        text = self.run_setup()
        self.assert_set_up("cu126")
        self.assertTrue(text.endswith("setup: libtorch 2.11.0 (cu126) in .libtorch/torch\n"), text)
        for file in (
            "torch/lib/libtorch_cuda.so",
            "torch/lib/libgomp.so.1",
            "nvidia/cublas/lib/libcublas.so.12",
            "nvidia/cuda_runtime/lib/libcudart.so.12",
        ):
            self.assertTrue((self.store / file).is_file(), file)
        self.assertFalse((self.store / "torch/nn").exists())
        self.assertFalse((self.store / "nvidia/cuda_runtime/include").exists())
        self.assertIn("clean --quiet --profile release --package torch-sys", (self.folder / "cargo.log").read_text())
        # Again, with and without the option: nothing is fetched, and one line said.
        self.index.requests.clear()
        for arguments in [], ["--cuda"], ["--cuda=cu126"]:
            self.assertEqual(self.run_setup(*arguments), "setup: libtorch 2.11.0 (cu126) in .libtorch/torch\n")
        self.assertEqual(self.index.requests, [])
        # A file that got lost brings the same build again.
        (self.store / "nvidia/cublas/lib/libcublas.so.12").unlink()
        self.run_setup()
        self.assert_set_up("cu126")

    def test_other_builds(self):
        self.offer("cu130")
        self.offer("cu128")
        self.machine("8.9 NVIDIA L4", driver="570.86.15")
        self.run_setup("--cpu")
        self.assert_set_up("cpu")
        self.assertIn("scripts/setup --cuda fetches libtorch with CUDA 12.8", self.run_setup())
        self.run_setup("--cuda")
        self.assert_set_up("cu128")
        self.machine("8.9 NVIDIA L4", driver="580.65.06")
        self.run_setup("--cuda")
        self.assert_set_up("cu128")
        self.run_setup("--cuda=cu130")
        self.assert_set_up("cu130")
        self.assertTrue((self.store / "nvidia/cu13/lib/libcudart.so.13").is_file())
        self.assertFalse((self.store / "nvidia/cublas").exists())

    def test_interrupted_download_goes_on(self):
        self.offer("cu126", pinned=False)
        self.machine("7.0 Tesla V100", driver="550.54.15")
        cut = "nvidia_cublas_cu12-12.6-py3-none-manylinux2014_x86_64.whl"
        self.index.cut.add(cut)
        text = self.run_setup(code=1)
        self.assertIn("could not download nvidia-cublas-cu12 12.6 (pip's message is above)", text)
        self.assertFalse((self.store / "manifest").exists())
        self.index.cut.clear()
        self.index.requests.clear()
        self.run_setup()
        self.assert_set_up("cu126")
        self.assertEqual(
            [name.split("-")[0] for name in self.index.fetched()],
            ["nvidia_cublas_cu12", "nvidia_cuda_runtime_cu12"],
        )

    def test_wrong_hashes_are_refused(self):
        self.machine("8.9 NVIDIA L4", driver="570.86.15")
        self.offer("cu128")
        pinned = self.root / "scripts/setup_wheels/cu128"
        good = pinned.read_text()
        pinned.write_text(re.sub("[0-9a-f]{64}", "0" * 64, good))
        self.assertIn("could not download torch 2.11.0+cu128", self.run_setup(code=1))
        self.assertFalse((self.store / "torch").exists())
        # An index that states one hash and sends another file, where none is pinned.
        pinned.write_text(re.sub("[0-9a-f]{64}", "index", good, count=1))
        page = self.index.pages["/whl/cu128/torch/"]
        (name,) = page
        page[name] = "1" * 64
        self.assertIn("could not download torch 2.11.0+cu128", self.run_setup(code=1))
        # One that states none: what arrives is taken, if it is what was asked for.
        page[name] = ""
        self.run_setup()
        self.assert_set_up("cu128")

    def test_wheels_of_another_build_are_refused(self):
        self.machine("8.9 NVIDIA L4", driver="570.86.15")
        self.offer("cu128", pinned=False)
        tag = "cp312-cp312-manylinux_2_28_x86_64"
        self.index.add("whl/cu128", "torch", "2.11.0+cu128", tag, torch_files("cpu"))
        self.assertIn("the wheels hold torch 2.11.0+cpu, where torch 2.11.0+cu128", self.run_setup(code=1))
        self.assertFalse((self.store / "torch").exists())

    def test_driver_that_no_longer_fits(self):
        self.offer("cu130")
        self.machine("8.9 NVIDIA L4", driver="580.65.06")
        self.run_setup()
        self.assert_set_up("cu130")
        # As an older scripts/setup wrote it.
        manifest = self.store / "manifest"
        manifest.write_text(manifest.read_text().replace("cu130", "cuda"))
        self.assertEqual(self.run_setup(), "setup: libtorch 2.11.0 (cu130) in .libtorch/torch\n")
        self.machine("8.9 NVIDIA L4", driver="550.54.15")
        self.assertEqual(
            self.refused(),
            "the libtorch in .libtorch is built for CUDA 13.0, which does not fit this machine (NVIDIA L4 (8.9), driver "
            "550.54.15): CUDA 13.0 needs driver 580 or newer. To continue, scripts/setup --cuda takes the one that fits "
            "(CUDA 12.6)",
        )
        self.no_machine()
        self.run_setup()
        self.offer("cu126")
        self.machine("8.9 NVIDIA L4", driver="550.54.15")
        self.run_setup("--cuda")
        self.assert_set_up("cu126")


class Elsewhere(Setup):
    """--libtorch, --python and LIBTORCH."""

    def test_builds_are_accepted(self):
        for build in "cu126", "cu128", "cu130", "cpu":
            folder, python = self.folder_of(build)
            for option in ["--libtorch", folder], ["--python", python]:
                self.assertEqual(
                    self.run_setup(*option), f"setup: libtorch 2.11.0 in {folder}, linked as .libtorch/torch\n"
                )
                self.assertEqual((self.store / "torch").readlink(), folder)
            self.assertIn(str(folder), self.run_setup())

    def test_python_s_torch_is_not_built_against(self):
        self.environment["LIBTORCH_USE_PYTORCH"] = "1"
        self.assertIn("LIBTORCH_USE_PYTORCH is set in the environment", self.refused(code=2))

    def test_misfit_is_told(self):
        folder, _ = self.folder_of("cu130")
        self.machine("8.9 NVIDIA L4", driver="550.54.15")
        warning = (
            "setup: warning: this libtorch is built for CUDA 13.0, which does not fit this machine (NVIDIA L4 (8.9), "
            "driver 550.54.15): CUDA 13.0 needs driver 580 or newer. To use its GPUs, scripts/setup --cuda takes the "
            "one that fits (CUDA 12.6)"
        )
        self.assertEqual(self.run_setup("--libtorch", folder).splitlines()[0], warning)
        self.assertEqual(self.run_setup().splitlines()[0], warning)
        self.environment["LIBTORCH"] = str(folder)
        self.assertEqual(self.run_setup().splitlines()[0], warning)

    def test_torch_of_another_version(self):
        _, python = self.folder_of("cu128", "2.10.0")
        cases = [
            (lambda: self.machine("7.0 Tesla V100", driver="550.54.15"), f" --index-url {self.index.address}/whl/cu126"),
            (lambda: self.machine("8.9 NVIDIA L4", driver="580.65.06"), ""),
            (self.no_machine, f" --index-url {self.index.address}/whl/cpu"),
        ]
        for prepare, source in cases:
            prepare()
            message = self.refused("--python", python)
            self.assertEqual(
                message,
                f"{python} has torch 2.10.0+cu128, but fathom needs torch 2.11.0. This makes an environment that has "
                f"it: {python} -m venv .libtorch/venv && .libtorch/venv/bin/pip install torch==2.11.0{source} && "
                "scripts/setup --python .libtorch/venv/bin/python",
            )
        # The address that users see; and that the command is one, which works.
        del self.environment["FATHOM_PYTORCH_INDEX"]
        self.machine("7.0 Tesla V100", driver="550.54.15")
        self.assertIn(" --index-url https://download.pytorch.org/whl/cu126 &&", self.refused("--python", python))

    def test_the_command_for_a_fresh_environment(self):
        _, python = self.folder_of("cu128", "2.10.0")
        self.machine("7.0 Tesla V100", driver="550.54.15")
        self.index.add("whl/cu126", "torch", "2.11.0+cu126", "py3-none-any", {
            **torch_files("cu126"), "torch/__init__.py": "",
        })
        command = self.refused("--python", python).split("has it: ")[1]
        # A venv that sees this Python's pip, which spares installing one.
        (self.folder / "2.10.0+cu128/python").write_text(textwrap.dedent(f"""\
            #!/bin/sh
            [ "$2" = venv ] || exit 1
            "{sys.executable}" -m venv --without-pip "$3"
            printf '#!/bin/sh\\n"{sys.executable}" -m pip --python "%s/%s/bin/python" "$@"\\n' "$PWD" "$3" >"$3/bin/pip"
            chmod +x "$3/bin/pip"
        """))
        result = subprocess.run(
            ["bash", "-c", command], cwd=self.root, env=self.environment, capture_output=True, text=True, check=False
        )
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertRegex(result.stderr, r"libtorch 2\.11\.0 in .*/torch, linked as \.libtorch/torch\n$")

    def test_python_without_torch(self):
        message = self.refused("--python", sys.executable if not _has_torch() else "true")
        self.assertRegex(message, r"has no torch\. Leave --python out, or make an environment .* -m venv ")


def _has_torch():
    import importlib.util

    return importlib.util.find_spec("torch") is not None


if __name__ == "__main__":
    unittest.main()
