# Sourced by scripts/setup: which NVIDIA driver and GPUs this machine has, and which CUDA build of
# libtorch 2.11.0 fits them. It needs version, say and die of scripts/setup. FATHOM_SETUP_PROC names
# another /proc, for tests.

builds=(cu130 cu128 cu126) # the newest that fits is taken
declare -A cuda_of=([cu130]=13.0 [cu128]=12.8 [cu126]=12.6)
# PyTorch's support matrix for 2.11: the oldest driver, and the compute capabilities in tenths.
# Within CUDA 12 a newer minor version runs on the drivers of an older one, from 525 on.
declare -A least_driver=([cu130]=580 [cu128]=570 [cu126]=525)
declare -A least_capability=([cu130]=75 [cu128]=75 [cu126]=50)
declare -A most_capability=([cu130]=999 [cu128]=999 [cu126]=90)

driver=""   # 550.54.15; empty if none answered
api=""      # the CUDA version that libcuda answers, 12040 for 12.4; empty if it did not
gpus=()     # "89 NVIDIA L4" for compute capability 8.9, "? NVIDIA L4" for an unknown one
detected=""

# --- What is there ---------------------------------------------------------------------------

ask_smi() { timeout 60 nvidia-smi --query-gpu="$1" --format=csv,noheader 2>/dev/null || true; }

# Prints "version 12040" and, if asked for devices, "gpu 89 NVIDIA L4" for each of them.
ask_libcuda() {
  timeout 120 python3 - "$1" 2>/dev/null <<'END_OF_PYTHON' || true
import ctypes
import sys

cuda = ctypes.CDLL("libcuda.so.1")


def number(function, *arguments):
    value = ctypes.c_int()
    if function(ctypes.byref(value), *arguments) != 0:
        sys.exit(1)
    return value.value


print("version", number(cuda.cuDriverGetVersion))
if sys.argv[1] == "devices" and cuda.cuInit(0) == 0:
    print("initialised")
    for device in range(number(cuda.cuDeviceGetCount)):
        major, minor = (number(cuda.cuDeviceGetAttribute, which, device) for which in (75, 76))
        name = ctypes.create_string_buffer(100)
        cuda.cuDeviceGetName(name, len(name), device)
        print("gpu", 10 * major + minor, name.value.decode(errors="replace"))
END_OF_PYTHON
}

# The first driver with this CUDA version, among those that a build may ask for.
driver_of_api() {
  if (($1 >= 13000)); then echo 580
  elif (($1 >= 12080)); then echo 570
  elif (($1 >= 12060)); then echo 560
  elif (($1 >= 12000)); then echo 525
  else echo 0; fi
}

# The first driver of the named one's generation, in the same steps.
driver_step() {
  local step
  for step in 580 570 560 525; do
    if (($1 >= step)); then echo "$step"; return; fi
  done
  echo 0
}

# Asks once: nvidia-smi, the kernel module, and libcuda, whose answer is what a program will get.
detect() {
  [[ -z $detected ]] || return 0
  detected=1
  local line name number capability answer unknown="" proc=${FATHOM_SETUP_PROC:-/proc}
  if command -v nvidia-smi >/dev/null; then
    answer=$(ask_smi name,driver_version,compute_cap)
    # Drivers before 510 do not know compute_cap.
    [[ $answer =~ ,\ *[0-9]+\.[0-9] ]] || answer=$(ask_smi name,driver_version)
    while IFS=, read -r name number capability; do
      number=${number// /} capability=${capability// /}
      [[ $number =~ ^[0-9]+\.[0-9.]+$ ]] || continue
      driver=$number
      if [[ $capability =~ ^[0-9]+\.[0-9]$ ]]; then
        gpus+=("${capability/./} $name")
      else
        gpus+=("? $name") unknown=1
      fi
    done <<<"$answer"
  fi
  if [[ -z $driver && -r $proc/driver/nvidia/version ]]; then
    read -r line <"$proc/driver/nvidia/version" || true
    if [[ $line =~ [0-9]+\.[0-9]+(\.[0-9]+)? ]]; then driver=${BASH_REMATCH[0]}; fi
  fi
  command -v python3 >/dev/null || return 0
  answer=$(ask_libcuda version)
  [[ $answer =~ ^version\ ([0-9]+) ]] || return 0
  api=${BASH_REMATCH[1]}
  # A compatibility package brings a libcuda newer than the driver. It works on some GPUs only.
  local differs=""
  if [[ -n $driver && $(driver_of_api "$api") != "$(driver_step "${driver%%.*}")" ]]; then differs=1; fi
  [[ -n $differs || -n $unknown || ${#gpus[@]} == 0 ]] || return 0
  answer=$(ask_libcuda devices)
  if [[ $answer != *initialised* ]]; then
    [[ -z $differs ]] || api=""
  elif [[ -n $unknown || ${#gpus[@]} == 0 ]]; then
    gpus=()
    while read -r line; do
      if [[ $line == gpu\ * ]]; then gpus+=("${line#gpu }"); fi
    done <<<"$answer"
  fi
}

has_driver() { detect; [[ -n $driver || -n $api ]]; }

# The number of a driver with what this machine's can do.
level() { if [[ -n $api ]]; then driver_of_api "$api"; else driver_step "${driver%%.*}"; fi; }

decimal() { if [[ $1 == "?" ]]; then echo "capability unknown"; else echo "${1%?}.${1: -1}"; fi; }

# 2 × NVIDIA L4 (8.9), Tesla V100 (7.0)
list_gpus() {
  (($#)) || return 0
  printf '%s\n' "$@" | LC_ALL=C sort | uniq -c | while read -r count capability name; do
    ((count == 1)) || printf '%s × ' "$count"
    printf '%s (%s)\n' "$name" "$(decimal "$capability")"
  done | paste -sd, | sed 's/,/, /g'
}

# NVIDIA L4 (8.9), driver 550.54.15
machine() {
  local found=${gpus[*]+$(list_gpus "${gpus[@]}")} text="driver $driver"
  [[ -n $driver ]] || text="a driver for CUDA $((api / 1000)).$((api % 1000 / 10))"
  if [[ -n $driver && -n $api && $(driver_of_api "$api") != "$(driver_step "${driver%%.*}")" ]]; then
    text+=" with a libcuda for CUDA $((api / 1000)).$((api % 1000 / 10))"
  fi
  echo "${found:-GPUs that did not answer}, $text"
}

# --- What fits -------------------------------------------------------------------------------

serves() {
  [[ $2 == "?" ]] || (($2 >= least_capability[$1] && $2 <= most_capability[$1]))
}

# How many of the GPUs a build serves.
served() {
  local gpu count=0
  for gpu in ${gpus[@]+"${gpus[@]}"}; do
    if serves "$1" "${gpu%% *}"; then count=$((count + 1)); fi
  done
  echo "$count"
}

driver_fits() { (($(level) >= least_driver[$1])); }

# Without an answer of the GPUs the driver alone decides.
fits() { driver_fits "$1" && { ((${#gpus[@]} == 0)) || (($(served "$1") > 0)); }; }

# The build that serves the most GPUs, the newest of those; nothing if none fits.
best() {
  local build best="" most=-1
  for build in "${builds[@]}"; do
    if fits "$build" && (($(served "$build") > most)); then
      best=$build most=$(served "$build")
    fi
  done
  echo "$best"
}

capabilities() {
  if ((most_capability[$1] == 999)); then echo "$(decimal "${least_capability[$1]}") or newer"
  else echo "$(decimal "${least_capability[$1]}") to $(decimal "${most_capability[$1]}")"; fi
}

# Why a build does not fit, or why another one was preferred that serves more GPUs.
why_not() {
  if ((${#gpus[@]})) && (($(served "$1") < ${2:-1})); then
    echo "CUDA ${cuda_of[$1]} needs compute capability $(capabilities "$1")"
  else
    echo "CUDA ${cuda_of[$1]} needs driver ${least_driver[$1]} or newer"
  fi
}

say_fit() {
  local chosen=$1 build reasons="" gpu left=()
  for build in "${builds[@]}"; do
    [[ $build != "$chosen" ]] || break
    if fits "$build" && (($(served "$build") >= $(served "$chosen"))); then continue; fi
    reasons+="${reasons:+, }$(why_not "$build" "$(served "$chosen")")"
  done
  say "$(machine): libtorch $version with CUDA ${cuda_of[$chosen]} fits${reasons:+ ($reasons)}"
  if [[ $chosen == cu126 ]] && (($(level) < 560)); then
    say "CUDA 12.6 came with driver 560; drivers from 525 on run it by CUDA 12's minor-version compatibility"
  fi
  for gpu in ${gpus[@]+"${gpus[@]}"}; do
    if ! serves "$chosen" "${gpu%% *}"; then left+=("$gpu"); fi
  done
  if ((${#left[@]})); then
    say "left out, for CUDA ${cuda_of[$chosen]} needs compute capability $(capabilities "$chosen"): $(list_gpus "${left[@]}")"
  fi
  if [[ -z ${gpus[*]+x} || " ${gpus[*]} " == *" ? "* ]]; then
    say "the compute capability is unknown, so the driver alone decided; GPUs below 7.5 need --cuda=cu126"
  fi
}

# What to do where the build of a wish, or the one that is there, does not fit.
remedy() {
  local other
  other=$(best)
  if [[ -n $other ]]; then
    echo "scripts/setup --cuda takes the one that fits (CUDA ${cuda_of[$other]})"
  else
    echo "$(update_driver)take the CPU build: scripts/setup --cpu"
  fi
}

# "update the driver (to 525 or newer), or ", if that would help.
update_driver() {
  local build least=""
  for build in "${builds[@]}"; do
    if ((${#gpus[@]} == 0)) || (($(served "$build") > 0)); then least=${least_driver[$build]}; fi
  done
  [[ -z $least ]] || (($(level) >= least)) || echo "update the driver (to $least or newer), or "
}

die_nothing_fits() {
  die "no CUDA build of libtorch $version fits this machine: $(machine). The one for the oldest, CUDA 12.6, needs driver ${least_driver[cu126]} or newer and compute capability $(capabilities cu126). To continue, $(remedy)"
}
