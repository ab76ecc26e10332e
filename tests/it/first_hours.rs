//! What people do in their first hour, in a few commands each. A cluster with two GPUs is in
//! `slurm/gpus.rs`, the log of another program in `import.rs`.

use crate::support::{succeed, with_experiment};
use std::path::Path;

/// A file of CIFAR-10's binary version as a pickle of the Python version.
fn pickled(records: &[u8]) -> Vec<u8> {
    let records: Vec<&[u8]> = records.chunks(1 + 3072).collect();
    let short = |text: &str| [&[b'U', text.len() as u8], text.as_bytes()].concat();
    let number = |number: usize| [&b"J"[..], &(number as u32).to_le_bytes()].concat();
    let mut out = b"\x80\x02}q\x01(".to_vec();
    out.extend(
        [
            &short("labels")[..],
            b"](",
            &records.iter().flat_map(|it| [b'K', it[0]]).collect::<Vec<_>>(),
            b"e",
        ]
        .concat(),
    );
    out.extend(short("data"));
    out.extend(b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85U\x01b\x87R(K\x01");
    out.extend([number(records.len()), number(3072)].concat());
    out.extend(b"\x86cnumpy\ndtype\nU\x02u1K\0K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb\x89T");
    out.extend((3072 * records.len() as u32).to_le_bytes());
    records.iter().for_each(|it| out.extend(&it[1..]));
    out.extend(b"tbu.");
    out
}

/// A student whose data folder is that of torchvision: a small sweep of depths, and its figure.
#[test]
#[ignore = "needs CIFAR-10 in FATHOM_DATA"]
fn a_folder_that_torchvision_downloaded_becomes_a_figure_of_depth() {
    let from = std::env::var("FATHOM_DATA").expect("a folder of data sets");
    let from = Path::new(&from).join("cifar-10-batches-bin");
    let folder = with_experiment("[sweep]\n\"network.depth\" = [8, 14]\nseed = [0, 1]\n");
    let folder = folder.path();
    let to = folder.join("data/cifar-10-batches-py");
    std::fs::create_dir_all(&to).expect("writable");
    for name in (1..=5).map(|at| format!("data_batch_{at}")).chain(["test_batch".to_owned()]) {
        let records = std::fs::read(from.join(format!("{name}.bin"))).expect("a file of CIFAR-10");
        std::fs::write(to.join(name), pickled(&records)).expect("writable");
    }
    let run = ["run", "tiny.toml", "--data-dir", "data", "--device", "cpu"];
    succeed(folder, &[&run[..], &["--set", "data.source=cifar10"]].concat());
    succeed(folder, &["plot", "results/tiny", "--figure", "depth"]);
    assert!(folder.join("results/tiny/figures/depth.png").exists());
}

/// BatchNorm on and off: from one sweep to a table and a figure for a paper.
#[test]
fn batch_norm_on_and_off_becomes_a_table_and_a_figure_of_one_column() {
    let folder = with_experiment(
        "[sweep]\n\"network.norm\" = [\"batch\", \"none\"]\n\"network.depth\" = [8, 14]\nseed = [0, 1]\n",
    );
    let folder = folder.path();
    succeed(folder, &["run", "tiny.toml", "--device", "cpu"]);
    let compare = ["compare", "results/tiny", "--over", "norm", "--format", "markdown"];
    let table = succeed(folder, &[&compare[..], &["--plot=pdf", "--width", "column"]].concat());
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with('|')).collect();
    assert_eq!(rows.len(), 2 + 2, "a row for each depth: {table}");
    assert!(rows[2].contains("none") && rows[2].contains("batch"), "{table}");

    let pdf = std::fs::read(folder.join("results/tiny/figures/compare-norm-train_err_pct.pdf"));
    let pdf = pdf.expect("a figure");
    assert!(pdf.starts_with(b"%PDF-"));
    // The page is 84 mm wide, in points.
    let text = String::from_utf8_lossy(&pdf);
    let page = text.split("/MediaBox [").nth(1).expect("a page");
    let width: f64 = page.split_whitespace().nth(2).expect("a width").parse().expect("a number");
    assert!((width - 84.0 / 25.4 * 72.0).abs() < 1.0, "{width}");
}
