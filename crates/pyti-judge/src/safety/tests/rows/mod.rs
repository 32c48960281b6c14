//! The sixty behaviours and the thirty-one look-alikes: what each comes to.
//!
//! The numbers are those of `docs/rules.md`.

mod behaviours;
mod look_alikes;

use pyti_model::outcome::Verdict::{self, Clean};
use pyti_model::raw::{Install, Start};
use pyti_model::trace::{Deed, Result};

use super::world::{World, fails};
use behaviours::behaviours;
use look_alikes::look_alikes;

const SITE: &str = "/home/dev/venv/lib/python3.13/site-packages";
const AWS: &str = "/home/dev/.aws/credentials";

fn import() -> World {
    World::of("import")
}

fn installed() -> World {
    World::of("install")
        .installs(Install {
            top_level: vec!["sample".into()],
            ..Install::default()
        })
        .task("import")
}

fn many(world: World, count: usize, one: impl Fn(World, usize) -> World) -> World {
    (0..count).fold(world, one)
}

fn refused(world: World, call: &str) -> World {
    world.tries(Deed::Forbidden { call: call.into() }, Result::Refused)
}

fn becomes(world: World, call: &str, text: &str) -> World {
    world.does(Deed::Become {
        call: call.into(),
        text: text.into(),
    })
}

fn start(text: &str, module: &str) -> World {
    let path = format!("{SITE}/sample.pth");
    World::of("install")
        .installs(Install {
            executable_pth: vec![path.as_str().into()],
            ..Install::default()
        })
        .holds(&path, text)
        .task("start")
        .starts(Start {
            new_modules: vec![module.into()],
            ..Start::default()
        })
}

fn home(path: &str) -> String {
    format!("/home/dev/{path}")
}

type Row = (u8, Verdict, &'static [&'static str], World);

fn compare(rows: &[Row]) {
    let mut wrong = Vec::new();
    for (number, verdict, expected, world) in rows {
        let (got, rules) = world.comes_to();
        if got != *verdict || rules != *expected {
            wrong.push(format!(
                "{number}: expected {verdict:?} {expected:?}, got {got:?} {rules:?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn sixty_behaviours_come_to_what_the_table_says() {
    let rows = behaviours();
    let numbers: Vec<u8> = rows.iter().map(|(number, ..)| *number).collect();
    assert_eq!(numbers, (1..=60).collect::<Vec<u8>>());
    compare(&rows);
}

#[test]
fn thirty_one_look_alikes_stay_quiet() {
    let rows = look_alikes();
    let numbers: Vec<u8> = rows.iter().map(|(number, ..)| *number).collect();
    assert_eq!(numbers, (1..=31).collect::<Vec<u8>>());
    compare(&rows);
    // one of them is worth knowing, and none is more
    assert!(rows.iter().filter(|(_, verdict, ..)| *verdict != Clean).count() <= 1);
}
