//! The page on outcomes is generated from the code, and is up to date.

use std::fmt::Write as _;
use std::path::PathBuf;

use pyti_judge::catalog::status_of;
use pyti_model::outcome::{ReasonCode, Status};

const BEGIN: &str = "<!-- reasons: generated, see pyti-judge/tests/it/document.rs -->\n";
const END: &str = "<!-- end of reasons -->\n";

fn table() -> String {
    let mut out = String::from(
        "| reason | means | usual blame | status of a step that fails so |\n|---|---|---|---|\n",
    );
    for code in ReasonCode::ALL {
        let status = status_of(*code).map_or("stands beside", Status::word);
        let _ = writeln!(
            out,
            "| `{code}` | {} | {} | {status} |",
            code.meaning(),
            code.usual_blame()
        );
    }
    out
}

/// With `PYTI_WRITE_DOCS=1` the page is written anew.
#[test]
fn the_page_lists_every_reason_and_status() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/outcomes.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let right = format!("{before}{BEGIN}{}{END}{after}", table());
    if std::env::var_os("PYTI_WRITE_DOCS").is_some() {
        std::fs::write(&path, &right).unwrap();
    } else {
        assert!(
            page == right,
            "docs/outcomes.md is out of date: run this test with PYTI_WRITE_DOCS=1"
        );
    }
    for status in Status::ALL {
        assert!(page.contains(&format!("| `{status}` |")), "{status} is missing");
    }
    for exit in ["0", "1", "2", "3", "4", "5", "130"] {
        assert!(
            page.contains(&format!("| {exit} |")),
            "exit code {exit} is missing"
        );
    }
}
