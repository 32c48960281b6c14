//! Reads a folder and prints what was found: `cargo run -p pyti-discover --example inspect -- FOLDER NAME [MODULE…]`.
//!
//! With the modules of the installed distribution it prints the layout for each recipe too.
#![expect(clippy::print_stdout, reason = "an example shows what it found")]

use std::path::Path;

use pyti_discover::{FolderTree, Tree as _, inspect, layout};

fn main() {
    let mut args = std::env::args().skip(1);
    let (Some(folder), Some(name)) = (args.next(), args.next()) else {
        println!("a folder and a name are wanted");
        return;
    };
    let modules: Vec<String> = args.collect();
    let tree = FolderTree::new(Path::new(&folder));
    let inspection = inspect(&tree, &name);
    let layouts: Vec<_> = inspection
        .recipes
        .iter()
        .map(|recipe| layout(&inspection, recipe, tree.files(), &modules))
        .map(|l| serde_json::json!({ "hide": l.hide, "graft": l.graft, "cwd": l.cwd, "arguments": l.arguments }))
        .collect();
    println!(
        "{:#}",
        serde_json::json!({ "inspection": inspection, "layouts": layouts })
    );
}
