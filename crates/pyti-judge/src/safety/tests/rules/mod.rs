//! Each rule finds what it is for, and leaves its harmless twin alone.

mod acting;
mod taking;

use std::collections::BTreeSet;

use pyti_model::raw::{Import, ImportOutcome, Install, ModuleImport, RawData, Start};
use pyti_model::trace::{DecoyUse, Deed, Origin};

use super::super::RuleSet;
use super::world::{World, fails};
use acting::acting;
use taking::taking;

const SITE: &str = "/home/dev/venv/lib/python3.13/site-packages";

fn import() -> World {
    World::of("import")
}

/// Something else was installed before it is imported, so that its own files are known.
fn installed() -> World {
    World::of("install").installs(sample()).task("import")
}

fn sample() -> Install {
    Install {
        top_level: vec!["sample".into()],
        ..Install::default()
    }
}

fn many(world: World, count: usize, one: impl Fn(World, usize) -> World) -> World {
    (0..count).fold(world, one)
}

fn become_(call: &str, text: &str) -> Deed {
    Deed::Become {
        call: call.into(),
        text: text.into(),
    }
}

fn forbidden(call: &str) -> Deed {
    Deed::Forbidden { call: call.into() }
}

fn audit(name: &str) -> Deed {
    Deed::Audit {
        name: name.into(),
        text: "<decoded>".into(),
    }
}

fn ptrace(request: &str) -> Deed {
    Deed::Ptrace {
        request: request.into(),
        target: 5,
    }
}

fn module(file: &str) -> RawData {
    RawData::Import(Import {
        modules: vec![ModuleImport {
            module: "sample".into(),
            top_level: true,
            outcome: ImportOutcome::Imported,
            wall_s: 0.1,
            file: Some(file.into()),
        }],
    })
}

fn script(name: &str) -> Install {
    Install {
        scripts: vec![name.into()],
        ..Install::default()
    }
}

fn path_file(text: &str, start: Start) -> World {
    let path = format!("{SITE}/sample.pth");
    World::of("install")
        .installs(Install {
            executable_pth: vec![path.as_str().into()],
            ..Install::default()
        })
        .holds(&path, text)
        .task("start")
        .starts(start)
}

fn preloaded(variable: &str) -> Deed {
    Deed::Execute {
        path: "/usr/bin/true".into(),
        argv: vec!["true".into()],
        argv_dropped: 0,
        cwd: "/".into(),
        variables: vec![variable.into()],
        origin: Origin::System,
        sockets: Vec::new(),
    }
}

fn argument(world: World) -> World {
    let act = 0;
    world.uses(
        "env.GITHUB_TOKEN",
        DecoyUse::Argument {
            encoding: "raw".into(),
            act,
        },
    )
}

fn written(path: &str) -> DecoyUse {
    DecoyUse::Written {
        encoding: "raw".into(),
        path: path.into(),
    }
}

fn printed() -> DecoyUse {
    DecoyUse::Printed {
        encoding: "raw".into(),
    }
}

const STAT: [&str; 4] = [
    "/sys/class/dmi/id/product_name",
    "/proc/uptime",
    "/.dockerenv",
    "/sys/class/net/eth0/address",
];

/// Rule, what it finds, and what is like it and harmless.
type Case = (&'static str, World, World);

fn cases() -> Vec<Case> {
    let mut cases = taking();
    cases.extend(acting());
    cases
}

fn finds(world: &World, rule: &str) -> usize {
    let record = world.record();
    RuleSet::built_in()
        .test(&record, rule)
        .map_or(0, |trial| trial.findings.len())
}

#[test]
fn each_rule_finds_its_case_and_leaves_the_twin_alone() {
    let mut wrong = Vec::new();
    for (rule, harmful, harmless) in cases() {
        if RuleSet::built_in().get(rule).is_none() {
            wrong.push(format!("{rule} does not exist"));
            continue;
        }
        if finds(&harmful, rule) == 0 {
            wrong.push(format!("{rule} does not find its case"));
        }
        if finds(&harmless, rule) > 0 {
            wrong.push(format!("{rule} finds its harmless twin"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_rule_has_a_case() {
    let tried: BTreeSet<&str> = cases().iter().map(|(rule, ..)| *rule).collect();
    let missing: Vec<&str> = RuleSet::built_in()
        .rules()
        .iter()
        .map(|rule| rule.id.as_str())
        .filter(|id| !tried.contains(id))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn sentences_are_whole() {
    for (rule, harmful, _) in cases() {
        let Some(trial) = RuleSet::built_in().test(&harmful.record(), rule) else {
            continue;
        };
        for finding in trial.findings {
            let sentence = &finding.sentence;
            assert!(sentence.ends_with('.'), "{sentence}");
            assert!(!sentence.contains(['{', '}']), "{sentence}");
            assert!(!sentence.contains("something"), "{rule}: {sentence}");
            assert!(!finding.events.is_empty(), "{rule}");
        }
    }
}
