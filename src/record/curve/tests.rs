use super::*;
use crate::SCHEMA;

fn row() -> CurveRow {
    CurveRow {
        schema: SCHEMA,
        step: 50,
        epoch: Some(0.32),
        lr: Some(0.1),
        train_loss: Some(f64::NAN),
        train_err_pct: Some(90.2),
        train_images: 2000,
        train_loss_running: Some(f64::INFINITY),
        seconds: Some(0.0),
        ..CurveRow::default()
    }
}

/// Reads a file with this text.
fn read(text: &str) -> Result<Vec<CurveRow>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("curve.csv");
    std::fs::write(&path, text).unwrap();
    CurveReader::read_of_classifier(&path)
}

fn fault(text: &str) -> String {
    let message = format!("{:#}", read(text).unwrap_err());
    message.split_once("curve.csv: ").expect("the file is named").1.to_owned()
}

#[test]
fn rows_survive_the_file_with_nan_inf_and_absent_values() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("curve.csv");
    let mut writer = CurveWriter::create(&path).unwrap();
    writer.append(&row()).unwrap();
    writer.append(&CurveRow { step: 100, ..row() }).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().next().unwrap(), CURVE_COLUMNS.join(","));
    assert_eq!(text.lines().nth(1).unwrap(), "1,50,0.32,0.1,NaN,90.2,2000,inf,,,,,0,,,0.0");
    let rows = CurveReader::read(&path).unwrap();
    assert_eq!(rows.len(), 2);
    assert!(rows[0].train_loss.unwrap().is_nan());
    assert_eq!(rows[0].train_loss_running, Some(f64::INFINITY));
    assert_eq!(rows[0].test_err_pct, None);
}

#[test]
fn a_curve_that_is_written_whole_has_its_extra_columns() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("curve.csv");
    let mut rows = [CurveRow { train_loss: None, ..row() }, CurveRow { step: 100, ..row() }];
    rows[1].train_loss = Some(0.5);
    rows[1].extra.insert("top5".into(), 7.5);
    write(&path, &rows).unwrap();
    assert_eq!(CurveReader::read(&path).unwrap(), rows);
    assert!(std::fs::read_to_string(&path).unwrap().ends_with(",0.0,7.5\n"));
}

#[test]
fn a_last_line_without_its_end_is_dropped() {
    let rows = read("step,train_err_pct\n0,90\n50,80\n100,7").unwrap();
    assert_eq!(rows.iter().map(|row| row.step).collect::<Vec<_>>(), [0, 50]);
    assert_eq!(read("").unwrap(), []);
    assert_eq!(read("step,train_err").unwrap(), []);
}

#[test]
fn columns_are_found_by_name_and_missing_ones_were_not_measured() {
    let rows = read("test_err_pct,note,top5_pct,step\n40.5,first,9,0\n,,,50\n").unwrap();
    let extra = [("top5_pct".to_owned(), 9.0)];
    let first = CurveRow {
        schema: 1,
        test_err_pct: Some(40.5),
        extra: extra.into(),
        ..CurveRow::default()
    };
    assert_eq!(rows[0], first);
    assert_eq!(rows[1], CurveRow { schema: 1, step: 50, ..CurveRow::default() });
    assert_eq!((rows[0].metric("top5_pct"), rows[0].metric("note")), (Some(9.0), None));
    assert_eq!((rows[0].metric("lr"), rows[0].metric("seconds")), (None, None));
}

#[test]
fn a_file_that_cannot_be_read_is_refused_with_line_and_column() {
    for (text, expected) in [
        ("epoch,train_err_pct\n0,90\n", "line 1: column `step` is missing"),
        ("step,lr,seed\n0,0.1,3\n", "line 1: no column is a metric, such as train_err_pct"),
        ("step,lr,lr\n0,0.1,3\n", "line 1: column `lr` occurs twice"),
        ("step,top5,top5\n0,1,3\n", "line 1: column `top5` occurs twice"),
        ("step,train_err_pct\n0,90\n,80\n", "line 3: column `step` is empty"),
        (
            "step,train_err_pct\n0,ninety\n",
            "line 2: column `train_err_pct` has the value `ninety`, expected a number",
        ),
        (
            "step,top5\n0,1\n10,two\n20,three\n",
            "line 3: column `top5` has the value `two`, expected a number",
        ),
        (
            "step,train_err_pct\n0,90\n5,100.01\n",
            "line 3: column `train_err_pct` has the value 100.01, expected per cent from 0 to 100",
        ),
        (
            "step,top5_err_pct\n0,-9\n",
            "line 2: column `top5_err_pct` has the value -9, expected per cent from 0 to 100",
        ),
        ("step,train_err_pct\n0,90,1\n", "line 2: 3 values, but the header has 2 columns"),
        ("step,train_err_pct\n0,90\n5,80\n5,70\n", "line 4: steps do not ascend: 5 follows 5"),
        (
            "schema,step,top5\n9,0,1\n",
            "line 2: schema 9 is of a later version of fathom; this one reads schemas up to 1",
        ),
    ] {
        assert_eq!(fault(text), expected);
    }
}

#[test]
fn what_is_no_error_rate_may_exceed_a_hundred_and_rounding_is_no_fault() {
    let text = "step,train_err_pct,gain_pct,train_loss\n0,100.0000076,301,-9\n1,NaN,-4,\n\
                2,-0.00001,0,\n";
    assert_eq!(read(text).unwrap().len(), 3);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("curve.csv");
    std::fs::write(&path, "step,train_err_pct\n0,181\n").unwrap();
    assert_eq!(CurveReader::read(&path).unwrap().len(), 1, "a regression");
}

#[test]
fn a_resumed_file_ends_where_it_was_marked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("curve.csv");
    let mut writer = CurveWriter::create(&path).unwrap();
    writer.append(&row()).unwrap();
    let mark = writer.mark().unwrap();
    writer.append(&CurveRow { step: 100, ..row() }).unwrap();
    assert!(mark.matches(&path));
    CurveWriter::resume(&path, &mark).unwrap().append(&CurveRow { step: 75, ..row() }).unwrap();
    let steps: Vec<u64> = CurveReader::read(&path).unwrap().iter().map(|row| row.step).collect();
    assert_eq!(steps, [50, 75]);
    assert!(mark.matches(&path));
    let text = std::fs::read_to_string(&path).unwrap().replace(",90.2,", ",9.2,");
    std::fs::write(&path, text).unwrap();
    assert!(!mark.matches(&path));
    assert!(!mark.matches(&folder.path().join("absent.csv")));
}

#[test]
fn a_file_with_other_columns_is_not_continued() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("curve.csv");
    std::fs::write(&path, "step,train_err_pct\n0,90\n").unwrap();
    let mark = CurveMark { bytes: 24, sha256: String::new() };
    let message = CurveWriter::resume(&path, &mark).err().unwrap().to_string();
    assert!(message.ends_with("and cannot be continued"), "{message}");
}
