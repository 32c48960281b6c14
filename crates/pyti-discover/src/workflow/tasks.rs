//! Tasks and environments in tables: hatch, pdm, pixi, poethepoet, taskipy, rye, cibuildwheel.

use toml::{Table, Value};

use super::Workflow;
use crate::declaration::{Project, strings};

/// Everything that such tables say.
pub(super) fn all(project: &Project) -> Vec<Workflow> {
    let mut all = Vec::new();
    let hatch = project
        .table(&["tool", "hatch", "envs"])
        .map(|table| (table, "pyproject.toml", "tool.hatch.envs."));
    let own = project.hatch_toml.get("envs").and_then(Value::as_table);
    all.extend(
        hatch
            .or_else(|| own.map(|table| (table, "hatch.toml", "envs.")))
            .and_then(|(table, file, needle)| of_hatch(table, file, needle)),
    );
    for (path, tool) in [
        (&["tool", "pdm", "scripts"], "pdm's script"),
        (&["tool", "poe", "tasks"], "poe's task"),
        (&["tool", "taskipy", "tasks"], "taskipy's task"),
        (&["tool", "rye", "scripts"], "rye's script"),
        (&["tool", "pixi", "tasks"], "pixi's task"),
    ] {
        if let Some(table) = project.table(path) {
            all.extend(of_tasks(table, tool, "pyproject.toml"));
        }
    }
    let pixi = project
        .table(&["tool", "pixi"])
        .map(|table| (table, "pyproject.toml"));
    let own = (!project.pixi_toml.is_empty()).then_some((&project.pixi_toml, "pixi.toml"));
    all.extend(pixi.or(own).and_then(|(table, file)| of_pixi(table, file)));
    all.extend(project.table(&["tool", "cibuildwheel"]).and_then(of_cibuildwheel));
    all
}

/// `[tool.hatch.envs.test]`, or the default one.
fn of_hatch(environments: &Table, file: &str, needle: &str) -> Option<Workflow> {
    let name = ["hatch-test", "test", "tests", "testing", "default", "dev"]
        .iter()
        .find(|name| {
            environments
                .get(**name)
                .and_then(Value::as_table)
                .is_some_and(|table| **name != "default" && **name != "dev" || script(table).is_some())
        })?;
    let table = environments.get(*name)?.as_table()?;
    let mut flow = Workflow {
        rung: format!("hatch's environment {name}"),
        file: file.to_owned(),
        needle: format!("{needle}{name}"),
        extras: strings(table.get("features")),
        groups: strings(table.get("dependency-groups")),
        commands: script(table).unwrap_or_default(),
        is_default: true,
        ..Workflow::default()
    };
    for key in ["dependencies", "extra-dependencies"] {
        for line in strings(table.get(key)) {
            flow.line(Some(line));
        }
    }
    if *name == "hatch-test" && flow.commands.is_empty() {
        flow.commands.push("pytest".to_owned());
    }
    for (name, value) in table
        .get("env-vars")
        .and_then(Value::as_table)
        .into_iter()
        .flatten()
    {
        if let Some(value) = value.as_str() {
            flow.env.insert(name.clone(), value.to_owned());
        }
    }
    Some(flow)
}

/// The commands of an environment's script for tests; scripts may name each other.
fn script(table: &Table) -> Option<Vec<String>> {
    let scripts = table.get("scripts")?.as_table()?;
    let name = ["test", "tests", "run", "unit", "pytest", "cov", "no-cov", "_cov"]
        .iter()
        .find(|name| scripts.contains_key(**name))?;
    let (mut open, mut commands, mut seen) = (vec![(*name).to_owned()], Vec::new(), 0);
    while let Some(line) = open.pop() {
        seen += 1;
        if seen > 40 {
            break;
        }
        let first = line.split_whitespace().next().unwrap_or_default();
        match scripts.get(first) {
            Some(value) if seen == 1 || first != *name => {
                // what follows another script's name is given to it
                open.extend(strings(Some(value)).into_iter().rev());
            }
            _ => commands.push(arguments(&line)),
        }
    }
    Some(commands)
}

/// `{args:tests}` is what stands for arguments.
fn arguments(line: &str) -> String {
    let mut out = line.to_owned();
    while let Some(from) = out.find("{args") {
        let Some(to) = out[from..].find('}') else { break };
        let default = out[from + 5..from + to].trim_start_matches(':').to_owned();
        out.replace_range(from..=from + to, &default);
    }
    out.replace("{root}/", "")
}

/// A table of tasks, each a command line, a list of them, or a table with one.
fn of_tasks(tasks: &Table, tool: &str, file: &str) -> Option<Workflow> {
    let name = ["test", "tests", "unit", "pytest", "unittest"]
        .iter()
        .find(|name| tasks.contains_key(**name))?;
    let mut commands = Vec::new();
    let mut open = vec![tasks.get(*name)?];
    let mut seen = 0;
    while let Some(value) = open.pop() {
        seen += 1;
        if seen > 40 {
            break;
        }
        match value {
            // a task may name another one
            Value::String(text) => match tasks.get(text.trim()) {
                Some(other) if text != name => open.push(other),
                _ => commands.push(text.replace("$@", "").trim().to_owned()),
            },
            Value::Array(list) => open.extend(list.iter().rev()),
            Value::Table(table) => {
                for key in ["cmd", "shell", "composite", "sequence", "chain"] {
                    open.extend(table.get(key));
                }
            }
            _ => {}
        }
    }
    Some(Workflow {
        rung: format!("{tool} {name}"),
        file: file.to_owned(),
        needle: format!("{name} ="),
        commands,
        is_default: true,
        ..Workflow::default()
    })
}

/// `[feature.test]` of pixi: what it takes from the index, and its task.
fn of_pixi(pixi: &Table, file: &str) -> Option<Workflow> {
    let features = pixi.get("feature").and_then(Value::as_table)?;
    let (name, feature) = ["test", "tests", "testing", "dev"]
        .iter()
        .find_map(|name| Some((*name, features.get(*name)?.as_table()?)))?;
    let mut flow = Workflow {
        rung: format!("pixi's feature {name}"),
        file: file.to_owned(),
        needle: format!("feature.{name}"),
        is_default: true,
        ..Workflow::default()
    };
    // conda's packages are mostly called as on the index; what is not is no requirement that can be had
    for key in ["pypi-dependencies", "dependencies"] {
        if let Some(table) = feature.get(key).and_then(Value::as_table) {
            for line in crate::poetry::lines(table) {
                flow.line(Some(line));
            }
        }
    }
    let tasks = feature
        .get("tasks")
        .or_else(|| pixi.get("tasks"))
        .and_then(Value::as_table);
    flow.commands = tasks
        .and_then(|tasks| of_tasks(tasks, "pixi's task", file))
        .map(|task| task.commands)
        .unwrap_or_default();
    Some(flow)
}

/// cibuildwheel tests each wheel that it builds.
fn of_cibuildwheel(table: &Table) -> Option<Workflow> {
    let mut flow = Workflow {
        rung: "cibuildwheel's tests".to_owned(),
        file: "pyproject.toml".to_owned(),
        needle: "tool.cibuildwheel".to_owned(),
        groups: strings(table.get("test-groups")),
        ..Workflow::default()
    };
    for line in strings(table.get("test-requires")) {
        // one text may hold several
        for line in line.split_whitespace().filter(|_| !line.contains(';')) {
            flow.line(Some(line.to_owned()));
        }
    }
    for extras in strings(table.get("test-extras")) {
        flow.extras.extend(
            extras
                .split([',', ' '])
                .filter(|e| !e.is_empty())
                .map(str::to_owned),
        );
    }
    let command = strings(table.get("test-command"));
    flow.commands = command
        .iter()
        .flat_map(|line| line.split("&&"))
        .map(|line| {
            line.replace("{project}/", "")
                .replace("{package}/", "")
                .trim()
                .to_owned()
        })
        .collect();
    (flow.wants() || !flow.commands.is_empty()).then_some(flow)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryTree;

    fn of(file: &str, text: &str) -> Vec<Workflow> {
        all(&Project::read(&MemoryTree::new([(file, text)]), &mut Vec::new()))
    }

    #[test]
    fn hatch_scripts_name_each_other_and_never_for_ever() {
        let found = of(
            "pyproject.toml",
            "[tool.hatch.envs.test]\ndependencies = ['pytest']\nfeatures = ['x']\n[tool.hatch.envs.test.scripts]\ntest = 'unit -q'\nunit = ['pytest {args:tests}', 'test']\n",
        );
        assert_eq!(
            (found[0].lines.clone(), found[0].extras.clone()),
            (vec!["pytest".to_owned()], vec!["x".to_owned()])
        );
        assert_eq!(found[0].commands, ["pytest tests", "test"]);
        assert_eq!(of("hatch.toml", "[envs.hatch-test]\n")[0].commands, ["pytest"]);
        assert!(
            of(
                "pyproject.toml",
                "[tool.hatch.envs.docs]\ndependencies = ['sphinx']\n"
            )
            .is_empty()
        );
    }

    #[test]
    fn tasks_are_lines_lists_or_tables() {
        for (text, command) in [
            ("[tool.pdm.scripts]\ntest = 'pytest -q'\n", "pytest -q"),
            ("[tool.poe.tasks]\ntest = [{cmd = 'pytest'}]\n", "pytest"),
            (
                "[tool.poe.tasks]\ntest = ['unit']\nunit = {shell = 'pytest x'}\n",
                "pytest x",
            ),
            ("[tool.pdm.scripts]\ntest = {composite = ['test']}\n", "test"),
        ] {
            assert_eq!(of("pyproject.toml", text)[0].commands, [command], "{text}");
        }
        assert!(of("pyproject.toml", "[tool.poe.tasks]\nlint = 'ruff'\n").is_empty());
    }

    #[test]
    fn pixi_and_cibuildwheel_are_read() {
        let found = of(
            "pixi.toml",
            "[feature.test.pypi-dependencies]\npytest = '>=8'\nmock = '*'\n[feature.test.tasks]\ntest = 'pytest'\n",
        );
        assert_eq!(
            (found[0].lines.clone(), found[0].commands.clone()),
            (vec!["mock".into(), "pytest>=8".into()], vec!["pytest".to_owned()])
        );
        let found = of(
            "pyproject.toml",
            "[tool.cibuildwheel]\ntest-requires = 'pytest mock'\ntest-command = 'pytest {project}/tests'\n",
        );
        assert_eq!(
            (found[0].lines.clone(), found[0].commands.clone()),
            (
                vec!["pytest".into(), "mock".into()],
                vec!["pytest tests".to_owned()]
            )
        );
    }
}
