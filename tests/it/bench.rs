//! `fathom bench`.

use crate::support::{fail, fathom, probe, write_script};
use serde_json::Value;
#[cfg(feature = "train")]
use std::collections::HashMap;

const TINY: &str = "bench residual --depth 8 --width 2 --size 8 --batch 8 --device cpu";

fn words(more: &str) -> Vec<String> {
    format!("{TINY} {more}").split_whitespace().map(str::to_owned).collect()
}

#[cfg(feature = "train")]
mod measured {
    use super::*;
    use crate::support::succeed;

    /// What is printed, as JSON.
    fn bench(more: &str) -> Vec<Value> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let all = words(&format!("--seconds 0.1 --format json {more}"));
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        serde_json::from_str(&succeed(folder.path(), &all)).expect("json")
    }

    fn number(row: &Value, column: &str) -> f64 {
        row[column].as_f64().unwrap_or_else(|| panic!("{column} of {row}"))
    }

    fn is_near(a: f64, b: f64) -> bool {
        (a - b).abs() <= 1e-3 * b.abs()
    }

    #[test]
    fn a_profile_has_the_time_of_every_operation() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let all = words("--seconds 0.1 --format json --layout batch-last --profile profile.csv");
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        let rows: Vec<Value> = serde_json::from_str(&succeed(folder.path(), &all)).expect("json");
        let mut profile = csv::Reader::from_path(folder.path().join("profile.csv")).expect("csv");
        let profile: Vec<HashMap<String, String>> =
            profile.deserialize().collect::<Result<_, _>>().expect("rows");
        let number =
            |row: &HashMap<String, String>, name: &str| row[name].parse::<f64>().expect(name);
        let calls = |name: &str| {
            let row = profile.iter().find(|row| row["operation"] == name);
            number(row.unwrap_or_else(|| panic!("{name}")), "calls_per_step")
        };
        // The net has six convolutions in its three stages, and one before them.
        assert_eq!(calls("fathom::convolution"), 7.0);
        assert_eq!(calls("fathom::norm_relu"), 7.0);
        assert_eq!(calls("aten::_fused_sgd_"), 1.0);
        assert!(profile.iter().all(|row| row["place"] == "host" && row["batch"] == "8"));
        let times: Vec<f64> = profile.iter().map(|row| number(row, "us_per_step")).collect();
        assert!(times.is_sorted_by(|left, right| left >= right), "{times:?}");
        // Times exclude operations inside an operation, so they add up to no more than the update. Profiling itself
        // makes an update slower.
        let slowest = 1e3 * super::measured::number(&rows[0], "step_p90_ms");
        assert!(times.iter().sum::<f64>() < 10.0 * slowest, "{times:?} of {slowest}");
    }

    #[test]
    fn figures_are_those_of_the_net_and_agree_with_each_other() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let net = ["inspect", "residual", "--depth", "8", "--width", "2", "--size", "8"];
        let audit = succeed(folder.path(), &[&net[..], &["--format", "json"]].concat());
        let audit: Value = serde_json::from_str(&audit).expect("json");
        let operations = 3.0 * 2.0 * number(&audit, "macs");
        let rows = bench("--augment crop-flip");
        let layouts: Vec<&Value> = rows.iter().map(|row| &row["layout"]).collect();
        assert_eq!(layouts, ["nchw", "channels-last", "batch-last"]);
        for row in &rows {
            let of = |column: &str| number(row, column);
            assert_eq!((&row["network"], &row["batch"]), (&"residual".into(), &8.into()));
            assert_eq!((&row["threads"], &row["jobs"]), (&1.into(), &1.into()));
            assert!(is_near(of("images_per_s"), 8e3 / of("step_ms")), "{row}");
            assert!(of("step_p10_ms") <= of("step_ms") && of("step_ms") <= of("step_p90_ms"));
            assert!(0.0 < of("data_ms") && of("data_ms") < of("step_p90_ms"), "{row}");
            assert!(of("steps") >= 3.0, "{row}");
            assert!(is_near(of("gflop_per_step"), 1e-9 * 8.0 * operations), "{row}");
            let per_second = 1e-9 * operations * of("images_per_s");
            assert!(is_near(of("gflop_per_s"), per_second), "{row}");
            assert!(of("gflop_per_s") < of("peak_gflop_per_s"), "{row}");
            let share = 100.0 * per_second / of("peak_gflop_per_s");
            assert!(is_near(of("share_of_peak_pct"), share), "{row}");
            // Some layers are limited by memory, and no layer exceeds the peak.
            assert!(0.0 < of("roofline_gflop_per_s"), "{row}");
            assert!(of("roofline_gflop_per_s") < of("peak_gflop_per_s"), "{row}");
            let share = 100.0 * per_second / of("roofline_gflop_per_s");
            assert!(is_near(of("share_of_roofline_pct"), share), "{row}");
            assert_eq!(row["peak_gflop_per_s"], row["peak_f32_gflop_per_s"]);
            assert!(of("copy_gb_per_s") > 0.0 && of("startup_s") > 0.0, "{row}");
            // libtorch alone is more than this.
            assert!(of("peak_memory_mb") > 20.0, "{row}");
            assert_eq!(row["failure"], Value::Null);
        }
    }

    #[test]
    fn keys_and_batch_are_swept_one_row_each() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let all = "bench plain residual --size 8 --width 2 --over depth=8,14 --over batch=4,8 \
                   --layout nchw --device cpu --precision bf16 --seconds 0.01 --format csv";
        let text = succeed(folder.path(), &all.split_whitespace().collect::<Vec<_>>());
        let mut lines = text.lines();
        let header = lines.next().expect("a header");
        let columns = "network,depth,width,batch,layout,precision,augment,device,threads,jobs,\
                       images_per_s,step_ms,step_p10_ms,step_p90_ms,steps,data_ms,gflop_per_step,\
                       gflop_per_s,peak_gflop_per_s,share_of_peak_pct,roofline_gflop_per_s,\
                       share_of_roofline_pct,peak_f32_gflop_per_s,\
                       copy_gb_per_s,peak_memory_mb,startup_s,failure";
        assert_eq!(header, columns);
        let begin = |line: &str| line.split(',').take(6).collect::<Vec<_>>().join(",");
        let begins: Vec<String> = lines.map(begin).collect();
        let mut expected = Vec::new();
        for network in ["plain", "residual"] {
            for point in ["8,2,4", "8,2,8", "14,2,4", "14,2,8"] {
                expected.push(format!("{network},{point},nchw,bf16"));
            }
        }
        assert_eq!(begins, expected);
    }

    #[test]
    fn jobs_side_by_side_are_added_up() {
        let rows = bench("--jobs 2 --layout nchw");
        let [row] = rows.as_slice() else { panic!("one row: {rows:?}") };
        assert_eq!(row["jobs"], 2);
        // A sum of two quotients is never less than twice the quotient by the mean.
        let alone = 8e3 / number(row, "step_ms");
        assert!(number(row, "images_per_s") > 1.99 * alone, "{row}");
    }
}

/// A worker that is a script, with what it does when it is asked to time a net.
fn with_worker(bench: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let probe = probe(fathom::PROGRAM.build);
    let peaks = r#"{"f32_flops":1e11,"flops":1e11,"copy_bytes_per_second":2e10}"#;
    let script = format!(
        "#!/bin/sh\n[ $1 = probe ] && echo '{probe}' && exit\njob=$(cat)\n\
         [ $1 = peaks ] && echo '{peaks}' && exit\n{bench}\n"
    );
    write_script(&folder.path().join("worker"), &script);
    folder
}

const DONE: &str = r#"echo '{"startup_seconds":0.5,"step_seconds":0.002,"step_p10_seconds":0.001,"step_p90_seconds":0.004,"data_seconds":0.0005,"peak_memory_bytes":150000000,"steps":9,"profile":[]}'"#;

/// Standard output and standard error of a bench whose worker is a script.
fn scripted(bench: &str, code: i32, more: &str) -> (String, String) {
    let folder = with_worker(bench);
    let output = fathom(folder.path())
        .env("FATHOM_TRAIN", folder.path().join("worker"))
        .args(words(more))
        .output()
        .expect("the program starts");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{errors}");
    (String::from_utf8(output.stdout).expect("text"), errors)
}

#[test]
fn a_setting_that_fails_is_a_row_and_the_others_go_on() {
    let fails = "case $job in *'\"training.batch\":16'*) echo warning >&2; \
                 echo 'error: out of memory: 1 TB' >&2; exit 1;; \
                 *'\"training.batch\":32'*) kill -KILL $$;; esac";
    let tiny = TINY.replace("--batch 8", "");
    let folder = with_worker(&format!("{fails}\n{DONE}"));
    let output = fathom(folder.path())
        .env("FATHOM_TRAIN", folder.path().join("worker"))
        .args(tiny.split_whitespace())
        .args(["--over", "batch=8,16,32,64", "--layout", "nchw", "--format", "json"])
        .output()
        .expect("the program starts");
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
    let rows: Vec<Value> = serde_json::from_slice(&output.stdout).expect("json");
    let failures: Vec<&Value> = rows.iter().map(|row| &row["failure"]).collect();
    let killed = "the worker was killed by signal 9";
    assert_eq!(
        failures,
        [&Value::Null, &"out of memory: 1 TB".into(), &killed.into(), &Value::Null]
    );
    assert_eq!(rows[1]["images_per_s"], Value::Null);
    assert_eq!(rows[3]["images_per_s"], 32_000.0);
}

#[test]
fn what_a_worker_said_before_it_was_killed_is_told() {
    let said = "memory allocation of 9 bytes failed";
    let (_, told) = scripted(&format!("echo '{said}' >&2; kill -ABRT $$"), 3, "--layout nchw");
    assert!(told.contains(&format!("the worker was killed by signal 6: {said}")), "{told}");
}

#[test]
fn people_see_what_differs_and_what_does_not_once() {
    let (text, told) = scripted(DONE, 0, "");
    let same = "network residual, depth 8, width 2, batch 8, precision f32, augment none, device cpu, threads 1, \
                jobs 1\npeaks: matrix product 100.0 GFLOP/s (100.0 in f32), copy 20.00 GB/s\n\n";
    assert!(text.starts_with(same), "{text}");
    let row = |layout: &str| text.lines().find(|line| line.starts_with(layout)).expect("a row");
    let nchw: Vec<&str> = row("nchw").split_whitespace().collect();
    assert_eq!(nchw[1..], row("channels-last").split_whitespace().collect::<Vec<_>>()[1..]);
    assert_eq!(nchw[1..6], ["4000", "2.000", "(1.000", "to", "4.000)"]);
    assert!(!text.contains("failure"), "{text}");
    assert!(told.contains("residual, batch 8, channels-last: 4000.0 images/s"), "{told}");
}

#[test]
fn what_cannot_be_timed_is_refused_before_anything_is() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (arguments, said) in [
        ("residul", "did you mean residual?"),
        ("residual --over depth=8,45", "--over depth=45: --depth: 45 is not 6n+2"),
        ("residual --depth 8 --over wide=8", "no network has a key wide (did you mean width?)"),
        ("residual --depth 8 --over depth=8", "depth has a value already: 8"),
        ("residual --over depth=8 --over depth=8", "--over depth is given twice"),
        ("residual --over depth", "expected KEY=V1,V2,..."),
        (
            "residual --depth 8 --over width=4,wide",
            "--width wide: expected a whole number from 1 to 4096",
        ),
        ("residual --depth 8 --over batch=8,0", "--over batch=0: expected a whole number from 1"),
        ("residual --depth 8 --batch 8 --over batch=8", "batch has a value already: 8"),
        ("plain --depth 8 --over growth=3", "plain has no --growth"),
        ("plain --depth 8 --seconds 0", "expected a number of seconds"),
        ("plain --depth 8 --size 0", "0 is not in 1..=4096"),
        ("plain --depth 8 --profile no/profile.csv", "there is no folder no"),
        ("plain --depth 8 --profile .", "this is a folder"),
    ] {
        let all: Vec<&str> = ["bench"].into_iter().chain(arguments.split(' ')).collect();
        let errors = fail(folder.path(), 2, &all);
        assert!(errors.contains(said), "{arguments}: {errors}");
        assert!(!errors.contains("measuring"), "{arguments}: {errors}");
    }
}
