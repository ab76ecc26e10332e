use super::*;

const TABLE: &str = "what,n,seconds,note\nplot,1,0.5,x\nplot,10,5,\ncheck,1,0.2,\ncheck,10,,\n";

fn columns(names: &[&str]) -> Columns {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    Columns { names, source: "a.csv".into(), ..Columns::default() }
}

/// The pieces of the lines of the first panel, and the notes.
fn pieces(columns: &Columns, table: &str) -> (Vec<Vec<Piece>>, Vec<String>) {
    let (groups, mut notes) = columns.groups(&ForeignTable::parse(table).unwrap()).unwrap();
    (groups.iter().map(|group| columns.pieces(group, 0, &mut notes)).collect(), notes)
}

#[test]
fn a_line_for_each_group_of_the_rows_that_have_a_value() {
    let columns = Columns { group_by: Some("what".into()), ..columns(&["n", "seconds"]) };
    let (found, notes) = pieces(&columns, TABLE);
    assert_eq!(found, [[vec![(1.0, 0.5), (10.0, 5.0)]], [vec![(1.0, 0.2)]]]);
    assert_eq!(notes, Vec::<String>::new());
    let svg = columns.lay_out(&ForeignTable::parse(TABLE).unwrap()).unwrap().svg().unwrap();
    for words in ["seconds against n", "plot", "check", "Source: a.csv."] {
        assert!(svg.contains(words), "{words}");
    }
}

#[test]
fn gaps_and_returns_end_a_piece_and_are_told() {
    let table = "n,y\n0,1\n1,NaN\n2,3\n3,\n4,4\n2,5\n3,inf\nNaN,7\n";
    let (found, notes) = pieces(&columns(&["n", "y"]), table);
    assert_eq!(found, [[vec![(0.0, 1.0)], vec![(2.0, 3.0), (4.0, 4.0)], vec![(2.0, 5.0)]]]);
    let expected = [
        "n is NaN or infinite in 1 row, first in line 9, which are left out",
        "y is NaN or infinite in 2 rows, first in line 3, which are gaps",
        "n goes back in 1 row, first in line 7, as after a resume, or where another run begins \
         (--group-by)",
    ];
    assert_eq!(notes, expected);
    let log = Columns { log_x: true, ..columns(&["n", "y"]) };
    let (found, notes) = pieces(&log, "n,y\n0,1\n1,2\n2,3\n");
    assert_eq!(found, [[vec![(1.0, 2.0), (2.0, 3.0)]]]);
    let expected = "n is 0 or less in 1 row, first in line 2, which are left out: a logarithmic axis \
                    has no such values";
    assert_eq!(notes, [expected]);
    let smooth = Columns { smooth: 2, ..columns(&["n", "y"]) };
    let (found, _) = pieces(&smooth, "n,y\n0,9\n1,6\n2,3\n3,nan\n4,1\n");
    assert_eq!(found, [[vec![(0.0, 9.0), (1.0, 7.5), (2.0, 4.5)], vec![(4.0, 1.0)]]]);
}

#[test]
fn a_table_of_a_thousand_gaps_is_one_line() {
    let rows: String = (0..2000)
        .map(|n| if n % 2 == 0 { format!("{n},1\n") } else { format!("{n},nan\n") })
        .collect();
    let (found, notes) = pieces(&columns(&["n", "y"]), &format!("n,y\n{rows}"));
    assert_eq!((found[0].len(), found[0][0].len()), (1, 1000));
    assert_eq!(notes[1], "y has 999 gaps, too many to show: its rows are joined by n");
}

#[test]
fn what_cannot_be_drawn_is_named() {
    let table = ForeignTable::parse(TABLE).unwrap();
    let fault = |names: &[&str]| format!("{:#}", columns(names).lay_out(&table).err().unwrap());
    let expected = "there is no column hours; there are what, n, seconds, note";
    assert_eq!(fault(&["n", "hours"]), expected);
    assert_eq!(fault(&["n", "note"]), "line 2: column note has the value x, expected a number");
    assert_eq!(fault(&["n"]), "n alone: name a second column to draw against it");
    let rows: String = (0..100).map(|n| format!("{n},{n}\n")).collect();
    let many = ForeignTable::parse(format!("n,y\n{rows}")).unwrap();
    let columns = Columns { group_by: Some("y".into()), ..columns(&["n", "y"]) };
    let expected = "y has 100 values, and a figure shows at most 60 lines";
    assert_eq!(columns.lay_out(&many).err().unwrap().to_string(), expected);
    let empty = ForeignTable::parse("n,seconds\n1,NaN\n").unwrap();
    let fault = self::columns(&["n", "seconds"]).lay_out(&empty).err().unwrap().to_string();
    let why = "seconds is NaN or infinite in 1 row, first in line 2, which are gaps";
    assert_eq!(fault, format!("no row has numbers to draw in n, seconds: {why}"));
    let huge = ForeignTable::parse("n,seconds\n1,1e308\n2,-1e308\n").unwrap();
    let fault = self::columns(&["n", "seconds"]).lay_out(&huge).err().unwrap().to_string();
    assert_eq!(fault, "a row has 1e0 and 1e308 in n, seconds: a figure shows numbers up to 1e300");
}
