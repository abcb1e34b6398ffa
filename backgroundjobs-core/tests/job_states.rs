//! The drawing and the table in `docs/job-states.md` are the steps that the code allows.

use backgroundjobs_core::STEPS;

const DOCUMENT: &str = include_str!("../../docs/job-states.md");

/// From, step, to: as text, because that is what the document has.
type Row = [String; 3];

fn steps() -> Vec<Row> {
    STEPS
        .iter()
        .map(|(from, step, to)| [format!("{from:?}"), format!("{step:?}"), format!("{to:?}")])
        .collect()
}

/// The first three cells of each row below the table's head.
fn table() -> Vec<Row> {
    DOCUMENT
        .lines()
        .skip_while(|line| !line.starts_with("|---"))
        .skip(1)
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let mut cells = line.split('|').skip(1).map(|cell| cell.trim().to_owned());
            [(); 3].map(|()| cells.next().expect("a row has three cells and more"))
        })
        .collect()
}

/// Each arrow `From --> To: Step, Step` as one row for each of its steps.
fn arrows() -> Vec<Row> {
    let mut rows = Vec::new();
    for line in DOCUMENT.lines() {
        let Some((from, rest)) = line.split_once(" --> ") else { continue };
        let (to, steps) = rest.split_once(": ").expect("an arrow names its steps");
        if from.trim() != "[*]" {
            rows.extend(steps.split(", ").map(|step| [from.trim(), step, to].map(str::to_owned)));
        }
    }
    rows
}

#[test]
fn the_table_is_the_steps_row_by_row() {
    assert_eq!(table(), steps());
}

#[test]
fn the_drawing_has_every_step_once_and_no_other() {
    let (mut drawn, mut allowed) = (arrows(), steps());
    drawn.sort();
    allowed.sort();
    assert_eq!(drawn, allowed);
}
