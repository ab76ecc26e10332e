//! `fathom doctor` and `--device auto` on machines with GPUs in every state.

use super::{Ended, Machine};
use crate::support::with_experiment;

#[test]
fn every_device_is_named_and_tried() {
    let folder = with_experiment("");
    let Some(machine) = Machine::new(folder.path()) else { return };
    let told = machine.with("DEVICES", 2).succeed("doctor");
    for expected in [
        "driver     NVIDIA 580.65.06, which supports CUDA 13.0",
        "GPU        Emulated device, capability 9.0",
        "CUDA       13.0, 2 devices: --device auto takes cuda:0",
        "cuda:0     Emulated device, ",
        "cuda:1     Emulated device, ",
        "convolution, fused normalisation and CUDA graph are right",
        "everything works",
    ] {
        assert!(told.contains(expected), "{expected}: {told}");
    }
}

#[test]
fn a_gpu_that_libtorch_was_not_built_for_is_named_with_the_remedy() {
    let folder = with_experiment("");
    let Some(machine) = Machine::new(folder.path()) else { return };
    let machine = machine.with("NO_KERNELS", 1).with("CAPABILITY", "6.0");
    let Ended { code, stdout, .. } = machine.fathom("doctor");
    assert_eq!(code, Some(1), "{stdout}");
    assert!(stdout.contains("cuda:0     Emulated device, "), "{stdout}");
    assert!(stdout.contains("this libtorch was not built for this GPU"), "{stdout}");
    assert!(stdout.contains("something does not work"), "{stdout}");
}

#[test]
fn auto_refuses_the_cpu_where_gpus_cannot_be_used() {
    let folder = with_experiment("");
    let run = "run tiny.toml --threads 1 --out";
    let refused = |machine: &Machine, out: &str| {
        let Ended { code, stdout, .. } = machine.fathom("doctor");
        assert_eq!(code, Some(1), "{stdout}");
        let Ended { code, stderr, .. } = machine.fathom(&format!("{run} {out}"));
        assert_eq!(code, Some(1), "{stderr}");
        assert!(stderr.contains("choose the CPU by --device cpu"), "{stderr}");
        (stdout, stderr)
    };
    let Some(hidden) = Machine::new(folder.path()) else { return };
    let hidden = hidden.with_variable("CUDA_VISIBLE_DEVICES", "");
    let (told, error) = refused(&hidden, "hidden");
    assert!(told.contains("hidden     all GPUs: CUDA_VISIBLE_DEVICES is empty"), "{told}");
    assert!(error.contains("CUDA_VISIBLE_DEVICES is empty, which hides all GPUs"), "{error}");

    let Some(wrong) = Machine::new(folder.path()) else { return };
    let wrong = wrong.with_variable("CUDA_VISIBLE_DEVICES", "7");
    let (told, error) = refused(&wrong, "wrong");
    assert!(told.contains("there is no 7"), "{told}");
    assert!(error.contains("CUDA_VISIBLE_DEVICES names 7, which is no GPU"), "{error}");

    wrong.succeed(&format!("{run} meant --device cpu"));
    assert!(wrong.states("meant").values().all(|state| state.is_final()));
}

#[test]
fn a_slice_of_a_gpu_is_a_device() {
    let folder = with_experiment("");
    let Some(machine) = Machine::new(folder.path()) else { return };
    let slice = "MIG-e0020000-cda0-4000-8000-000000000001";
    let machine = machine.with("MIG", 1).with_variable("CUDA_VISIBLE_DEVICES", slice);
    let told = machine.succeed("doctor");
    assert!(told.contains("cut into 1 slice (MIG)"), "{told}");
    assert!(told.contains(&format!("capability 9.0, {slice}: convolution")), "{told}");
    assert!(!told.contains("hidden"), "{told}");
    machine.succeed("run tiny.toml --device auto --threads 1");
    let run = machine.runs("results/tiny").into_values().next().expect("a run");
    let gpu = run.manifest().expect("a manifest").execution.gpu.expect("a GPU");
    assert_eq!(gpu.uuid, slice);
}

#[test]
fn a_driver_that_is_too_old_for_this_libtorch_is_told_with_the_remedy() {
    let folder = with_experiment("");
    let Some(machine) = Machine::new(folder.path()) else { return };
    let machine = machine.with("DRIVER", "550.54").with("DRIVER_CUDA", "12.4");
    let Ended { code, stdout, .. } = machine.fathom("doctor");
    assert_eq!(code, Some(1), "{stdout}");
    let why = "this libtorch is built for CUDA 13.0, and the driver 550.54 supports CUDA 12.4: \
               scripts/setup --cuda fetches a build that fits, or install a newer driver";
    assert!(stdout.contains(why), "{stdout}");
}

#[test]
fn a_choice_of_visible_devices_is_followed() {
    let folder = with_experiment("");
    let Some(machine) = Machine::new(folder.path()) else { return };
    let machine = machine.with("DEVICES", 3).with_variable("CUDA_VISIBLE_DEVICES", "2,0");
    let told = machine.succeed("doctor");
    assert!(told.contains("CUDA       13.0, 2 devices"), "{told}");
    assert!(told.contains("hidden     1 of 3: CUDA_VISIBLE_DEVICES=2,0"), "{told}");
    let Ended { code, stderr, .. } = machine.fathom("run tiny.toml --device cuda:2");
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("libtorch sees 2 CUDA devices"), "{stderr}");
}
