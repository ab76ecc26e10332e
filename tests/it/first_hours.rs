//! What people do in their first hour, in a few commands each.

use crate::support::{succeed, with_experiment};

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
