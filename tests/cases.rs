//! The list of bad inputs and faults, `CASES.md`: each id has a test, or a reason why it has none here.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

/// What concerns these functions, by letter: how many there are.
const LISTED: [(char, u32); 7] = [
    ('A', 12),
    ('P', 16),
    ('S', 16),
    ('K', 4),
    ('R', 7),
    ('F', 10),
    ('U', 12),
];

/// The table's last column by id.
fn table() -> Result<BTreeMap<String, String>> {
    let mut rows = BTreeMap::new();
    for line in include_str!("CASES.md").lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, id, _, shown_by, _] = cells.as_slice() else {
            continue;
        };
        if id.starts_with(char::is_uppercase) && id.ends_with(|last: char| last.is_ascii_digit()) {
            let before = rows.insert((*id).to_owned(), (*shown_by).to_owned());
            anyhow::ensure!(before.is_none(), "{id} is there twice");
        }
    }
    Ok(rows)
}

/// The names of all tests of the workspace.
fn tests() -> Result<BTreeSet<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut names = BTreeSet::new();
    let mut folders: Vec<PathBuf> = ["functions", "tests"].map(|it| root.join(it)).to_vec();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "rs") {
                names.extend(tests_in(&fs::read_to_string(&path)?));
            } else if path.extension().is_some_and(|it| it == "py") {
                names.extend(browser_tests_in(&fs::read_to_string(&path)?));
            }
        }
    }
    Ok(names)
}

/// The functions of a file that have a test's attribute, or stand in `proptest!`.
fn tests_in(source: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut is_test = false;
    for line in source.lines().map(str::trim) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if let Some((_, rest)) = line.split_once("fn ")
            && is_test
        {
            names.extend(rest.split_once('(').map(|(name, _)| name.to_owned()));
            is_test = false;
        }
    }
    names
}

/// The tests of a Python file, without what makes them tests.
fn browser_tests_in(source: &str) -> Vec<String> {
    let functions = source
        .lines()
        .filter_map(|line| line.strip_prefix("def test_"));
    functions
        .filter_map(|rest| rest.split_once('(').map(|(name, _)| name.to_owned()))
        .collect()
}

/// The ids that a test's name begins with: `s5_s6_what_…` has S5 and S6.
fn ids_of(test: &str) -> Vec<String> {
    let is_id = |part: &&str| {
        let (letter, number) = part.split_at(1.min(part.len()));
        LISTED
            .iter()
            .any(|(listed, _)| letter == listed.to_lowercase().to_string())
            && !number.is_empty()
            && number.bytes().all(|byte| byte.is_ascii_digit())
    };
    test.split('_')
        .take_while(is_id)
        .map(str::to_uppercase)
        .collect()
}

#[test]
fn every_id_has_a_test_or_a_reason() -> Result<()> {
    let (rows, tests) = (table()?, tests()?);
    let listed: BTreeSet<String> = LISTED
        .iter()
        .flat_map(|(letter, count)| (1..=*count).map(move |number| format!("{letter}{number}")))
        .collect();
    assert_eq!(rows.keys().cloned().collect::<BTreeSet<_>>(), listed);
    for (id, shown_by) in &rows {
        let named: Vec<&str> = shown_by.split('`').skip(1).step_by(2).collect();
        if named.is_empty() {
            let reason = shown_by.strip_prefix("not here: ");
            let reason = reason.with_context(|| format!("{id} has neither a test nor a reason"))?;
            assert!(reason.len() > 20, "{id}: {reason}");
        }
        for test in named {
            assert!(tests.contains(test), "{id}: there is no test {test}");
        }
    }
    Ok(())
}

#[test]
fn every_test_that_is_named_by_an_id_stands_in_its_row() -> Result<()> {
    let rows = table()?;
    for test in tests()? {
        for id in ids_of(&test) {
            let shown_by = rows
                .get(&id)
                .with_context(|| format!("{test}: no id {id}"))?;
            assert!(shown_by.contains(&format!("`{test}`")), "{id}: {test}");
        }
    }
    Ok(())
}

#[test]
fn ids_are_read_from_the_beginning_of_a_name_alone() {
    assert_eq!(ids_of("s5_s6_what_cannot_be_stored"), ["S5", "S6"]);
    assert_eq!(ids_of("a_sentence_about_s5"), Vec::<String>::new());
    assert_eq!(
        tests_in("#[test]\nfn it_works() {}\nfn helper() {}"),
        ["it_works"]
    );
}
